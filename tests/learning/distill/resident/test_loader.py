"""Rows on their way into memory, and snapshots and checkpoints on their way to the disk."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable, StoreError
from atari_vlm.learning.distill.collect import collect
from atari_vlm.learning.distill.resident.checkpoint import (
    NAMES,
    load_checkpoint,
    write_checkpoint,
)
from atari_vlm.learning.distill.resident.loader import Loader, check_rows
from atari_vlm.learning.distill.resident.spool import Spool
from atari_vlm.learning.distill.row_arrays import Labeller

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def arrays():
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer

    return Labeller("pong", build_tokenizer(("pong",))).chunk(collect("pong", 40, seed=1), 40)


class Taken(list):
    def add(self, game, arrays, *, held_out=False):
        self.append((game, len(arrays), held_out))


def loaded(spool, count):
    loader, taken = Loader(spool, 1_000), Taken()
    try:
        while len(taken) < count:
            loader.take(taken)
            time.sleep(0.01)
    finally:
        loader.stop()
    return loader, taken


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "0", tmp_path / "games")
    made.create()
    return made


def test_chunks_are_taken_in_order_and_held_out_ones_apart(spool, arrays):
    spool.put("pong-student-0.0.3-0000002", arrays.to_buffer())
    spool.put("pong-held-0.0-0000001", arrays.to_buffer())
    spool.put("pong-expert-0.0.1-0000000", arrays.to_buffer()[:7])
    loader, taken = loaded(spool, 2)
    assert taken == [("pong", 40, True), ("pong", 40, False)]
    assert (loader.of_kind("student"), loader.rows.total()) == (40, 40)
    assert spool.waiting() == []
    assert spool.dropped() == ["pong-expert-0.0.1-0000000.rows was damaged, and was dropped."]


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("weight", np.nan, "a weight that is not a number"),
        ("weight", -1.0, "a weight that is not a number"),
        ("plans", np.nan, "a probability of a plan that is not finite"),
        ("plans", 5.0, "probabilities of plans that do not"),
        ("answers", 1_000, "a token that the vocabulary lacks"),
        ("before", 40, "no screen before"),
    ],
)
def test_labels_that_would_spoil_the_weights_stop_the_training(spool, arrays, name, value, named):
    spoilt = getattr(arrays, name).copy()
    spoilt.flat[3] = value
    bad = replace(arrays, **{name: spoilt})
    check_rows("pong", arrays, 1_000)
    with pytest.raises(ModelUnusable, match=f"of pong has {named}"):
        check_rows("pong", bad, 1_000)
    spool.put("pong-expert-0.0.0-0000001", bad.to_buffer())
    with pytest.raises(ModelUnusable, match="Training stopped: a labelled row of pong"):
        loaded(spool, 1)


def test_a_checkpoint_is_read_with_its_settings_and_refused_with_others(tmp_path):
    path = tmp_path / "checkpoint.pt"
    state = dict.fromkeys(NAMES, 0) | {"settings": "{}", "seconds": 1.5}
    write_checkpoint(path, state)
    assert load_checkpoint(path, "{}") == state
    with pytest.raises(InvalidSetting, match="holds a distillation with other settings"):
        load_checkpoint(path, "[]")
    write_checkpoint(path, state | {"seconds": float("nan")})
    with pytest.raises(StoreError, match="says nan seconds"):
        load_checkpoint(path, "{}")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(StoreError, match="is damaged"):
        load_checkpoint(path, "{}")


def test_a_snapshot_plays_and_only_its_weights_are_its_own(tmp_path):
    torch = pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import FINE, build_model, build_tokenizer
    from atari_vlm.learning.distill.resident.snapshots import Snapshots
    from atari_vlm.models.embedded.runtime import EmbeddedRuntime

    tokenizer = build_tokenizer(("pong", "freeway"))
    snapshots = Snapshots(tmp_path, (("pong",), ("freeway",)), tokenizer, FINE)
    for version in (1, 2):
        states = [
            dict(build_model(tokenizer, seed=10 * version + k).state_dict()) for k in range(2)
        ]
        folder = snapshots.write(version, states)
    runtime = EmbeddedRuntime(folder / "freeway")
    assert runtime.games == ("freeway",)
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    model = build_model(tokenizer, seed=21).eval()
    features = runtime._sessions.encode(image)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        hidden = model.model.vision_model(pixel_values=pixels).last_hidden_state
        expected = model.model.connector(hidden)
    assert np.allclose(features, expected.numpy(), atol=1e-3)
    states[1]["model.connector.modality_projection.proj.weight"][0, 0] = float("nan")
    with pytest.raises(ModelUnusable, match="is not finite, so nothing is written"):
        snapshots.write(3, states)
    snapshots.keep({2})
    assert snapshots.versions() == {2}
    assert snapshots.is_whole(2)
    with (folder / "freeway" / "model.safetensors").open("r+b") as file:
        file.truncate(10_000)
    assert not snapshots.is_whole(2)
