"""Numbers that are not finite are never written, and a damaged checkpoint is said."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.errors import ModelUnusable, StoreError
from atari_vlm.learning.distill.run import drafted_folder, remove_leftovers
from atari_vlm.learning.distill.settings import DistillSettings

NAN = math.nan


@pytest.fixture
def trainer(tmp_path, rows):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.train import Trainer

    trainer = Trainer(DistillSettings(out=tmp_path, batch=8))
    trainer.data["pong"].add(rows)
    trainer.step(np.random.default_rng(0))
    trainer.save(tmp_path / "checkpoint.pt")
    return trainer


@pytest.mark.training
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_weights(trainer, tmp_path):
    import torch

    before = {name: w.clone() for name, w in trainer.model.state_dict().items()}
    saved = (tmp_path / "checkpoint.pt").read_bytes()
    data = trainer.data["pong"]
    data.soft_plans = [np.full_like(plans, np.nan) for plans in data.soft_plans]
    trainer.settings = replace(trainer.settings, opening=0.0)
    with pytest.raises(ModelUnusable, match=r"after step 1: the loss is nan.*checkpoint is kept"):
        trainer.step(np.random.default_rng(1))
    after = trainer.model.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    with torch.no_grad():
        next(iter(trainer.model.parameters())).view(-1)[3] = float("inf")
    with pytest.raises(ModelUnusable, match=r"the weight model.* is not finite"):
        trainer.save(tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").read_bytes() == saved
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.training
def test_weights_that_are_not_finite_are_neither_written_nor_exported_nor_begun_with(
    trainer, tmp_path
):
    import torch

    from atari_vlm.learning.distill.architecture import initialize_from, save_pretrained
    from atari_vlm.learning.distill.export import export
    from tests.tensor_files import rewrite

    folder = tmp_path / "weights"
    save_pretrained(trainer.model, trainer.tokenizer, ("pong",), folder)
    export(folder)
    rewrite(folder / "model.safetensors", number=float("nan"))
    with pytest.raises(ModelUnusable, match=r"cannot be exported: its tensor .* not finite"):
        export(folder)
    with pytest.raises(ModelUnusable, match=r"Cannot begin with .*not finite"):
        initialize_from(trainer.model, trainer.tokenizer, folder)
    with torch.no_grad():
        next(iter(trainer.model.parameters())).view(-1)[0] = float("nan")
    with pytest.raises(ModelUnusable, match="not finite, so nothing is written"):
        save_pretrained(trainer.model, trainer.tokenizer, ("pong",), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def _state(change):
    def damage(path):
        import torch

        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)

    return damage


def _code(path):
    import pickle

    class Code:
        def __reduce__(self):
            return os.system, (f"touch {path.parent / 'ran'}",)

    path.write_bytes(pickle.dumps({"settings": Code()}))


def _deflated(path):
    import zipfile

    with zipfile.ZipFile(path) as whole:
        parts = {part.filename: whole.read(part) for part in whole.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)


def _nan(state):
    next(iter(state["average"].values())).view(-1)[0] = NAN


CHECKPOINTS = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "code": _code,
    "packed": _deflated,
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "directory": lambda path: (path.unlink(), path.mkdir()),
    "huge": lambda path: os.truncate(path, 10**12),
    "nan": _state(_nan),
    "seconds": _state(lambda state: state.update(seconds=NAN)),
    "steps": _state(lambda state: state.update(steps="7")),
    "no rounds": _state(lambda state: state.pop("rounds")),
    "other shapes": _state(lambda state: state["average"].popitem()),
    "a list": _state(lambda state: state.update(optimiser=[])),
}


@pytest.mark.training
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_damaged_checkpoint_is_said_and_never_runs_code(trainer, tmp_path, name):
    path = tmp_path / "checkpoint.pt"
    CHECKPOINTS[name](path)
    with pytest.raises(StoreError, match=r"checkpoint\.pt is damaged .*delete it to train from"):
        trainer.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.training
def test_a_full_disk_keeps_the_last_checkpoint_and_leaves_nothing_behind(trainer, tmp_path):
    resource = pytest.importorskip("resource")
    from atari_vlm.learning.distill.architecture import save_pretrained

    saved = (tmp_path / "checkpoint.pt").read_bytes()
    trainer.step(np.random.default_rng(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            trainer.save(tmp_path / "checkpoint.pt")
        with pytest.raises(OSError, match="File too large"):
            save_pretrained(trainer.model, trainer.tokenizer, ("pong",), tmp_path / "weights")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "checkpoint.pt").read_bytes() == saved
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "weights"}
    trainer.load(tmp_path / "checkpoint.pt")
    assert trainer.steps == 1


def test_what_a_killed_run_left_half_written_is_removed_and_links_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    out = tmp_path / "out"
    for name in ("data/.pong-held-00000.parquet.abc", ".checkpoint.pt.abc", ".weights.abc/config"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("half")
    (out / ".weights.link").symlink_to(precious)
    (out / "checkpoint.pt").write_text("whole")
    remove_leftovers(out)
    assert sorted(path.name for path in out.rglob("*")) == ["checkpoint.pt", "data"]
    assert (precious / "file").read_text() == "kept"


def test_weights_take_their_place_with_all_their_files_or_not_at_all(tmp_path):
    place = tmp_path / "weights"

    def write(content, end=None):
        with drafted_folder(place) as draft:
            (draft / "config.json").write_text(content)
            assert not place.exists() or (place / "config.json").read_text() != content
            if end is not None:
                raise end

    write("first")
    write("second")
    with pytest.raises(KeyboardInterrupt):
        write("third", KeyboardInterrupt())
    assert (place / "config.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
