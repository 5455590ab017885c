"""What a training begins with: weights of other games, and their architecture."""

from __future__ import annotations

import shutil

import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.models.embedded.runtime import EmbeddedRuntime


@pytest.mark.training
def test_a_student_can_start_from_weights_of_other_games(tmp_path):
    pytest.importorskip("torch")
    from safetensors.torch import load_file

    from atari_vlm.learning.distill.train import Trainer

    games = ("freeway", "qbert")
    fresh = DistillSettings(games=games, minutes=1, out=tmp_path, architecture="coarse")
    begun = DistillSettings(
        games=("freeway", "qbert"), minutes=1, out=tmp_path, base=checkpoint("pong")
    )
    cold, warm = Trainer(fresh), Trainer(begun)
    shipped = EmbeddedRuntime(checkpoint("pong"))
    known = load_file(checkpoint("pong") / "model.safetensors")
    name = "model.text_model.embed_tokens.weight"
    words = warm.tokenizer.get_vocab()
    assert "qbert" in words
    assert shipped.answers.unknown_words("qbert") == ["qbert"]
    table, other = (t.model.state_dict()[name] for t in (warm, cold))
    assert table[words[" 37"]].tolist() == known[name][shipped.answers.encode(" 37")[0]].tolist()
    assert table[words["qbert"]].tolist() == other[words["qbert"]].tolist()
    vision = "model.vision_model.encoder.layers.0.mlp.fc1.weight"
    assert warm.model.state_dict()[vision].tolist() == known[vision].tolist()


@pytest.mark.training
def test_a_training_keeps_the_architecture_that_it_began_with(tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import COARSE, FINE, architecture_of, build_model
    from atari_vlm.learning.distill.train import Trainer

    assert architecture_of(checkpoint("pong")) == COARSE
    begun = Trainer(DistillSettings(out=tmp_path, base=checkpoint("pong")))
    assert begun.settings.architecture == "coarse"
    with pytest.raises(InvalidSetting, match=r"are coarse, so architecture cannot be fine"):
        Trainer(DistillSettings(out=tmp_path, base=checkpoint("pong"), architecture="fine"))

    new = Trainer(DistillSettings(out=tmp_path, architecture="fine"))
    assert "--architecture fine" in new.settings.command()
    assert new.model.config.vision_config.patch_size == FINE.patch_size
    # A folder of the version before says nothing of architectures.
    older = DistillSettings(out=tmp_path, architecture="coarse")
    assert "architecture" not in older.to_json()
    (tmp_path / "settings.json").write_text(older.to_json())
    Trainer(older).save(tmp_path / "checkpoint.pt")
    continued = Trainer(DistillSettings(out=tmp_path))
    continued.load(tmp_path / "checkpoint.pt")
    assert continued.settings.architecture == "coarse"
    assert build_model(new.tokenizer, seed=0).num_parameters() < 1.1e6


@pytest.mark.training
def test_weights_of_another_architecture_are_refused(tmp_path):
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    from atari_vlm.learning.distill.train import Trainer

    def begin(folder):
        Trainer(DistillSettings(games=("pong",), out=tmp_path, base=folder))

    with pytest.raises(ModelUnusable, match=r"There is no folder .*nowhere\."):
        begin(tmp_path / "nowhere")
    wrong = shutil.copytree(checkpoint("pong"), tmp_path / "wrong")
    tensors = load_file(wrong / "model.safetensors")
    name = "model.vision_model.encoder.layers.0.mlp.fc1.weight"
    save_file({**tensors, name: tensors[name][:100]}, wrong / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"another architecture: .*fc1\.weight differ"):
        begin(wrong)
