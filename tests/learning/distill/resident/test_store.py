"""Rows on the device: what they hold, how they are drawn, and which ones are forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.atari.images import motion
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.row_arrays import RowArrays
from tests.learning.distill.resident.conftest import CHUNK, CPU, GAMES, store_with

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.training

SIZE = (160, 160)


def numbered(chunk, number, weight=1.0):
    """The rows of a chunk with a number as their sentence."""
    count = len(chunk)
    return replace(
        chunk,
        sentence=np.full(count, number, np.uint8),
        weight=np.full(count, weight, np.float32),
    )


def shortened(chunk, rows):
    return RowArrays(*(getattr(chunk, name)[:rows] for name in RowArrays.__slots__))


def pong_store(chunks=4, **settings):
    from atari_vlm.learning.distill.resident.store import RowStore

    room = {"pong": chunks * CHUNK + 7}
    return RowStore(("pong",), room, CPU, 20, chunk=CHUNK, **settings)


@pytest.mark.parametrize("patch_size", [10, 20])
def test_pictures_are_those_of_images_motion(patch_size, chunks, rows):
    store = store_with(chunks, patch_size)
    side = 160 // patch_size
    for number, game in enumerate(GAMES):
        numbers = store.low[number] + torch.arange(CHUNK)
        given = store.pixels(numbers, torch.float32).view(CHUNK, side, side, 3, patch_size, -1)
        pixels = ((given + 1) * 127.5).round().permute(0, 1, 4, 2, 5, 3).reshape(CHUNK, *SIZE, 3)
        before = None
        for row, picture in zip(rows[game], pixels.numpy(), strict=True):
            before = row.screen if row.first else before
            assert np.array_equal(motion(before, row.screen, SIZE), picture)
            before = row.screen
    rounded = store.pixels(numbers, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, store.pixels(numbers, torch.float32).to(torch.bfloat16))


def test_rows_are_drawn_by_weight(chunks):
    store = pong_store(chunks=2)
    weight = np.zeros(CHUNK, np.float32)
    weight[[3, 7, 20]] = 1, 2, 5
    store.add("pong", replace(chunks["pong"], weight=weight))
    chances = (torch.arange(8_000, dtype=torch.float64) + 0.5) / 8_000
    drawn = store.draw(torch.zeros(8_000, dtype=torch.long), chances)
    assert dict(zip(*np.unique(drawn, return_counts=True), strict=True)) == {
        3: 1_000,
        7: 2_000,
        20: 5_000,
    }
    ends = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    assert store.draw(torch.zeros(2, dtype=torch.long), ends).tolist() == [3, 20]


def test_games_are_drawn_apart(chunks):
    store = store_with(chunks)
    games = torch.arange(3).repeat(200)
    rows = store.draw(games, torch.rand(600, dtype=torch.float64))
    assert (rows >= store.low[games]).all()
    assert (rows <= store.high[games]).all()
    assert (store.weight[rows] > 0).all()


def test_a_full_store_forgets_the_oldest_rows_beyond_the_share_it_keeps(chunks):
    store = pong_store(chunks=4, held_out_rows=CHUNK, kept_share=0.3)
    pong = chunks["pong"]
    store.add("pong", numbered(pong, 99), held_out=True)
    held_out = store.held_out("pong")

    def kept():
        return store.sentence[: 4 * CHUNK : CHUNK].tolist()

    seen = []
    for number in range(9):
        store.add("pong", numbered(pong, number))
        seen.append(kept())
    assert seen[3:] == [
        [0, 1, 2, 3],
        [0, 4, 2, 3],
        [0, 4, 5, 3],
        [0, 4, 5, 6],
        [0, 7, 5, 6],
        [0, 7, 8, 6],
    ]
    assert (store.sentence[held_out] == 99).all()
    assert len(held_out) == CHUNK
    rows = store.draw(torch.zeros(5_000, dtype=torch.long), torch.rand(5_000).double())
    assert not np.isin(rows, held_out).any()
    assert set(store.sentence[rows].tolist()) == {0, 6, 7, 8}
    assert store.count("pong") == 9 * CHUNK
    with pytest.raises(InvalidSetting, match="no room for more held-out rows of pong"):
        store.add("pong", pong, held_out=True)


def test_a_short_chunk_leaves_no_old_rows_behind_it(chunks):
    store = pong_store(chunks=1)
    store.add("pong", numbered(chunks["pong"], 1))
    store.add("pong", numbered(shortened(chunks["pong"], 10), 2))
    rows = store.draw(torch.zeros(500, dtype=torch.long), torch.rand(500).double())
    assert set(rows.tolist()) <= set(range(10))
    store.add("pong", shortened(chunks["pong"], 0))  # nothing
    assert store.count("pong") == CHUNK + 10


def test_rows_that_teach_nothing_are_told_apart(chunks):
    store = pong_store(chunks=1)
    assert not store.teaches("pong")
    store.add("pong", numbered(chunks["pong"], 1, weight=0.0))
    assert not store.teaches("pong")
    store.add("pong", chunks["pong"])
    assert store.teaches("pong")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": np.full(CHUNK, np.nan, np.float32)}, "cannot be learned"),
        ({"weight": np.full(CHUNK, -1, np.float32)}, "cannot be learned"),
        ({"plans": np.full((CHUNK, 16), np.inf, np.float32)}, "cannot be learned"),
    ],
)
def test_labels_that_are_not_finite_are_refused(change, reason, chunks):
    store = pong_store()
    with pytest.raises(InvalidSetting, match=reason):
        store.add("pong", replace(chunks["pong"], **change))
    assert store.count("pong") == 0


def test_too_little_memory_is_said():
    with pytest.raises(InvalidSetting, match=r"room for 7 rows of pong.*Teach fewer games"):
        pong_store(chunks=0)


def test_the_memory_of_a_row_is_what_its_tensors_take(chunks):
    from atari_vlm.learning.distill.resident.store import MEMORY_OF_ROW

    store = store_with(chunks)
    tensors = [t for t in vars(store).values() if isinstance(t, torch.Tensor) and len(t) > 3]
    assert sum(t.element_size() * t[0].numel() for t in tensors) == MEMORY_OF_ROW
