"""Checks the rows of a shard: every label and picture that training would use."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from atari_vlm.learning.distill.answer_schemas.base import plan_words
from atari_vlm.learning.distill.collect import Player
from atari_vlm.learning.distill.shard_header import ShardHeader

MOST_WEIGHT = 1e6
"""Largest importance of a decision."""

LONGEST_WORDS = 1_000
"""Characters of an answer."""

TOLERANCE = 1e-3
"""By which the probabilities of the plans may miss 1."""

_PNG = b"\x89PNG\r\n\x1a\n"


class RowCheck:
    """Checks the cells of rows against the header of their shard.

    Args:
        header: of the shard.
    """

    def __init__(self, header: ShardHeader) -> None:
        self._plans = frozenset(header.plans)
        self._size = (header.width, header.height)
        low, high = header.episode_seeds
        players = get_args(Player)
        self._tests: dict[str, Callable[[Any], bool]] = {
            "game": lambda v: v == header.game,
            "seed": lambda v: low <= v < high,
            "episode": lambda v: v >= 0,
            "step": lambda v: v >= 0,
            "words": self._is_answer,
            "weight": lambda v: math.isfinite(v) and 0 <= v <= MOST_WEIGHT,
            "player": lambda v: v in players,
            "reward": math.isfinite,
        }

    def check(self, columns: Mapping[str, Sequence[Any]], first: int) -> NDArray[np.float32]:
        """Check rows; returns the probabilities of their plans, (rows, plans).

        Args:
            columns: name -> cells.
            first: number of the first row in its shard, for the error.

        Raises:
            ValueError: a cell cannot be a label; names the row and the column.
        """
        for name, cells in columns.items():
            holds = self._tests.get(name)
            for place, cell in enumerate(cells):
                if cell is None or (holds is not None and not holds(cell)):
                    raise ValueError(f"row {first + place}: its {name} is {_short(cell)}")
        for place, pair in enumerate(zip(columns["action"], columns["frames"], strict=True)):
            if plan_words(*pair) not in self._plans:
                raise ValueError(f"row {first + place}: {plan_words(*pair)!r} is no plan of it")
        for place, cell in enumerate(columns["screen"]):
            self._check_screen(cell["bytes"], first + place)
        return self._probabilities(columns["plans"], first)

    def _is_answer(self, words: str) -> bool:
        return len(words) <= LONGEST_WORDS and words.rpartition(": ")[2] in self._plans

    def _probabilities(self, cells: Sequence[Any], first: int) -> NDArray[np.float32]:
        for place, cell in enumerate(cells):
            if len(cell) != len(self._plans):
                raise ValueError(
                    f"row {first + place}: it has {len(cell)} probabilities of "
                    f"{len(self._plans)} plans"
                )
        chances = np.array(cells, np.float32).reshape(len(cells), len(self._plans))
        with np.errstate(invalid="ignore"):
            fits = np.isfinite(chances).all(1) & (chances >= 0).all(1)
            fits &= np.abs(chances.sum(1) - 1) <= TOLERANCE
        if not fits.all():
            place = int(np.argmin(fits))
            raise ValueError(
                f"row {first + place}: the probabilities of its plans are {_short(cells[place])}; "
                "they have to be 0 or more and add up to 1"
            )
        return chances

    def _check_screen(self, png: Any, row: int) -> None:
        """Check the size that a PNG file says it has, before it is decompressed."""
        if not isinstance(png, bytes) or png[:8] != _PNG or png[12:16] != b"IHDR":
            raise ValueError(f"row {row}: its screen is no PNG picture")
        size, (depth, colour) = struct.unpack(">II", png[16:24]), png[24:26]
        if size != self._size or (depth, colour) != (8, 3):
            raise ValueError(
                f"row {row}: its screen has {size[0]} x {size[1]} pixels of kind {colour}, not "
                f"{self._size[0]} x {self._size[1]} of a palette"
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:76] + " ..."
