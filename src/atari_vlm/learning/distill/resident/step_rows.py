"""The rows of a step: which student and game each belongs to, and what it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.distill.distillation_loss import ACT_EVERY, LOOK_EVERY

FEWEST = 8
"""Rows of a game in a step, at least: one of them is asked for an object."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The rows that are asked one kind of request, as many of each student."""

    rows: torch.Tensor
    """(students * count,): row of the step, student after student."""
    weights: torch.Tensor
    """(students, count): weight in the mean over the student's games; 0 for rows that pad."""

    @property
    def count(self) -> int:
        """Rows of each student."""
        return int(self.weights.shape[1])


class Block(NamedTuple):
    """Games side by side that have as many rows each."""

    games: slice
    rows: slice
    size: int
    """Rows of each game."""


class StepRows:
    """Student after student, and within a student game after game.

    As in `DistillationLoss`, the first rows of a game are asked for the plan alone, the others for
    a whole answer, and the last for one object as well. A student's loss is the mean over its
    games.

    Args:
        groups: the games of each student.
        batch: rows of each student.
        device: where the tensors live.

    Raises:
        InvalidSetting: the games of a student do not divide the batch, or leave too few rows each.
    """

    def __init__(
        self, groups: tuple[tuple[str, ...], ...], batch: int, device: torch.device
    ) -> None:
        for games in groups:
            _check(games, batch)
        sizes = [batch // len(games) for games in groups for _ in games]
        starts = [sum(sizes[:game]) for game in range(len(sizes))]
        students = [student for student, games in enumerate(groups) for _ in games]
        self.batch = batch

        def asked(places: list[range]) -> Asked:
            rows: list[list[int]] = [[] for _ in groups]
            weights: list[list[float]] = [[] for _ in groups]
            for game, chosen in enumerate(places):
                student = students[game]
                rows[student] += chosen
                weights[student] += [1 / len(chosen) / len(groups[student])] * len(chosen)
            longest = max(map(len, rows))
            padded = [each + each[:1] * (longest - len(each)) for each in rows]
            filled = [each + [0.0] * (longest - len(each)) for each in weights]
            return Asked(
                torch.tensor(padded, device=device).flatten(), torch.tensor(filled, device=device)
            )

        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        middles = [start + size // ACT_EVERY for start, size in zip(starts, sizes, strict=True)]
        lasts = [end - size // LOOK_EVERY for end, size in zip(ends, sizes, strict=True)]
        self.act = asked([range(*span) for span in zip(starts, middles, strict=True)])
        self.see = asked([range(*span) for span in zip(middles, ends, strict=True)])
        self.look = asked([range(*span) for span in zip(lasts, ends, strict=True)])
        parts = (self.see, self.act, self.look)
        every = torch.cat([part.rows.view(len(groups), -1) for part in parts], 1)
        self.asked = every.flatten()
        """Rows of all requests: of each student those of `see`, `act` and `look`."""
        self.games = torch.tensor(
            [game for game, size in enumerate(sizes) for _ in range(size)], device=device
        )
        """Number of each row's game, (rows,)."""
        self.students = torch.tensor(students, device=device)
        """Number of each game's student, (games,)."""
        shares = [1 / len(groups[student]) for student in students]
        self.shares = torch.tensor(shares, device=device)
        """Weight of each game in the loss of its student, (games,)."""
        self.blocks: list[Block] = []
        for size, run in groupby(range(len(sizes)), key=sizes.__getitem__):
            numbers = list(run)
            first, last = numbers[0], numbers[-1]
            rows = slice(starts[first], ends[last])
            self.blocks.append(Block(slice(first, last + 1), rows, size))


def _check(games: tuple[str, ...], batch: int) -> None:
    count = len(games)
    if batch % count:
        raise InvalidSetting(
            f"{setting('batch')} is {batch}, which cannot be divided among the {count} games "
            f"{', '.join(games)}. Try {max(FEWEST, -(-batch // count)) * count}."
        )
    if batch // count < FEWEST:
        raise InvalidSetting(
            f"{setting('batch')} is {batch}, which leaves fewer than {FEWEST} decisions to each of "
            f"the {count} games {', '.join(games)}. Try {FEWEST * count}."
        )
