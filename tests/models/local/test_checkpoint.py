"""Checkpoints that are damaged, missing or do not fit get one clear sentence."""

from __future__ import annotations

import json
import shutil

import pytest

from atari_vlm.errors import InvalidSetting, MissingExtra, ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.local import checkpoint
from atari_vlm.models.local.model import LocalModel
from atari_vlm.models.local.placement import Placement

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests.models.local.helpers import answer, build_prompt, short_answers  # noqa: E402


def _damaged(folder, how):
    config = json.loads((folder / "config.json").read_text())
    if how == "truncated weights":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-5000])
    elif how == "missing weights":
        (folder / "model.safetensors").unlink()
    elif how == "another size":
        config["text_config"]["hidden_size"] = 32
    elif how == "missing layers":
        config["text_config"]["num_hidden_layers"] = 3
        config["text_config"].pop("layer_types", None)
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "no template":
        (folder / "chat_template.jinja").unlink()
    elif how == "text only":
        config = {"model_type": "llama"}
    elif how == "remote code":
        config = {"model_type": "cogvlm2", "auto_map": {"AutoModel": "modeling.CogVLM"}}
    elif how == "unknown architecture":
        config = {"model_type": "gpt-9-vision"}
    (folder / "config.json").write_text(json.dumps(config) if how != "no JSON" else "{")
    return folder


DAMAGES = {
    "truncated weights": "it was cut off",
    "missing weights": "is incomplete: it lacks model.safetensors",
    "another size": "cannot be loaded on cpu",
    "missing layers": "damaged, or of another architecture",
    "no tokenizer": "it lacks its tokenizer",
    "no template": "has no chat template",
    "text only": "is a 'llama' model, which takes no images",
    "remote code": "brings Python code of its own, which is not run here",
    "unknown architecture": "does not know the architecture 'gpt-9-vision'",
    "no JSON": "config.json is damaged",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_reported_in_one_sentence(built, screens, tmp_path, how):
    folder = _damaged(shutil.copytree(built("idefics3"), tmp_path / "damaged"), how)
    with pytest.raises(ModelUnusable) as caught:
        answer(LocalModel(str(folder), settings=short_answers()), build_prompt(screens[:1]))
    assert DAMAGES[how] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_damaged_answers_of_an_embedded_checkpoint_are_reported(built, tmp_path):
    folder = shutil.copytree(built("embedded"), tmp_path / "embedded")
    (folder / "answers.json").write_text('{"side": 160}')
    with pytest.raises(ModelUnusable, match=r"answers\.json is damaged"):
        LocalModel(str(folder))


def test_a_missing_or_empty_folder_is_named(tmp_path):
    for name in (str(tmp_path / "nothing"), "./nothing", "local:./nothing", "~/nothing/here"):
        with pytest.raises(ModelUnusable, match=r"There is no folder .*nothing"):
            build_model(name)
    with pytest.raises(ModelUnusable, match=r"holds no checkpoint: it lacks config\.json"):
        build_model(str(tmp_path))


def test_a_folder_with_several_checkpoints_is_refused(built, tmp_path):
    folder = built("idefics3")
    shutil.copytree(folder, tmp_path / "first")
    assert build_model(str(tmp_path)).version == build_model(str(folder)).version
    shutil.copytree(folder, tmp_path / "second")
    with pytest.raises(ModelUnusable, match=r"several checkpoints; name one of them: .*/first, .*"):
        build_model(str(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"dtype": "float8"}, {"threads": 0}, {"attention": "flashy"}, {"quantize": "3bit"}]
)
def test_unknown_placements_are_refused(wrong):
    with pytest.raises(InvalidSetting):
        Placement(**wrong)


def test_a_missing_device_is_named(built, screens):
    settings = short_answers(placement=Placement(device="cuda:7"))
    with pytest.raises(ModelUnusable, match="cannot be loaded on"):
        answer(LocalModel(str(built("idefics3")), settings=settings), build_prompt(screens[:1]))


@pytest.mark.parametrize("form", [{"dtype": "bfloat16"}, {"attention": "eager"}, {"threads": 1}])
def test_data_types_attention_and_threads_can_be_set(built, screens, form):
    settings = short_answers(placement=Placement(**form))
    model = LocalModel(str(built("idefics3")), settings=settings)
    assert answer(model, build_prompt(screens[:1])).usage.output_tokens > 0
    assert ("bfloat16" in model.description) == ("dtype" in form)


def test_without_the_extra_the_command_to_install_it_is_named(built, monkeypatch):
    monkeypatch.setattr(checkpoint, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install -c constraints.txt -e '.\[local\]'"):
        LocalModel(str(built("idefics3")))


def test_other_weights_have_another_version(built, tmp_path):
    folder = shutil.copytree(built("idefics3"), tmp_path / "other")
    assert LocalModel(str(folder)).version == LocalModel(str(built("idefics3"))).version
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert LocalModel(str(folder)).version != LocalModel(str(built("idefics3"))).version
