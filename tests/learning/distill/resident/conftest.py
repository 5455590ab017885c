"""Two students on three games, their rows on the device, and the same rows as data sets."""

from __future__ import annotations

import pytest

from atari_vlm.learning.distill.architecture import build_tokenizer
from atari_vlm.learning.distill.collect import Disturbance, collect

GROUPS = (("pong", "breakout"), ("montezuma_revenge",))
GAMES = ("pong", "breakout", "montezuma_revenge")
CHUNK = 48

torch = pytest.importorskip("torch")
CPU = torch.device("cpu")


@pytest.fixture(scope="package")
def tokenizer():
    return build_tokenizer(GAMES)


@pytest.fixture(scope="package")
def rows():
    """Game -> rows of one chunk, some of which have no screen before them."""
    often = Disturbance(scatter=0.1, length=(CHUNK, CHUNK + 1))
    return {game: list(collect(game, CHUNK, seed=3, disturbance=often)) for game in GAMES}


@pytest.fixture(scope="package")
def chunks(rows, tokenizer):
    from atari_vlm.learning.distill.row_arrays import Labeller

    return {game: Labeller(game, tokenizer).chunk(iter(rows[game]), CHUNK) for game in GAMES}


def store_with(chunks, patch_size=20):
    """A store with one chunk of each game, which is held out as well."""
    from atari_vlm.learning.distill.resident.store import RowStore

    games = tuple(chunks)
    room = dict.fromkeys(games, 2 * CHUNK)
    store = RowStore(games, room, CPU, patch_size, chunk=CHUNK, held_out_rows=CHUNK)
    for game, arrays in chunks.items():
        store.add(game, arrays)
        store.add(game, arrays, held_out=True)
    return store
