"""What can be taught about one game: how answers are worded, and the plans that end them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from atari_vlm.types import Pixels

FRAME_SKIP = 4
"""Emulator frames between two decisions, and so the longest plan."""

Scatter = Callable[[Pixels, np.random.Generator], Mapping[int, int]]
"""(memory, dice) -> byte of memory and the value it is set to; nothing where nothing can move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """How answers about a game are worded, and how its teacher's play is varied.

    An answer is a row of clauses with commas between them, each opened by the name of a thing, and
    after a colon the plan: "ball 72 66 moving right 5 down 3, paddle 70, aim 84: LEFT for 3
    frames". A thing that may be missing has a sentence with the clause "no <thing>" instead.
    """

    game: str
    answers: tuple[str, ...]
    """Every sentence an answer may be; {name:kind} stands for a word of that kind. The last one is
    the plan alone."""
    actions: tuple[str, ...]
    """Actions a plan may hold, apart from NOOP."""
    lengths: tuple[int, ...] = tuple(range(1, FRAME_SKIP + 1))
    """Frames a plan may hold an action."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of words of this game alone -> single words, e.g. {"way": ("left", "up")}."""
    axis: tuple[str, str] | None = None
    """Actions that push in opposite directions, so that plans between them can be averaged."""
    stress: Mapping[str, float] = field(default_factory=dict)
    """Name of a value -> how much its word counts in training; 1 where nothing is said."""
    scatter: Scatter | None = None
    """Puts objects where play rarely brings them."""
    length: tuple[int, int] = (200, 900)
    """Fewest and most decisions recorded of an episode while collecting."""

    @property
    def things(self) -> tuple[str, ...]:
        """What can be asked for ("where is the ball?"): the names that open clauses."""
        names: dict[str, None] = {}
        for answer in self.answers:
            for clause in clauses(answer):
                names[clause.removeprefix("no ").split()[0]] = None
        return tuple(name for name in names if name not in INNER)

    def about(self, thing: str) -> tuple[str, ...]:
        """Every clause that may answer where a thing is."""
        found = {
            clause: None
            for answer in self.answers
            for clause in clauses(answer)
            if clause.removeprefix("no ").split()[0] == thing
        }
        return tuple({**found, f"no {thing}": None})


INNER = ("aim",)
"""Clauses that say what is intended, not what is seen."""


def clauses(answer: str) -> list[str]:
    """The clauses of an answer, without its plan.

    >>> clauses("ball 72 66 new, paddle 70, aim 84: NOOP for 4 frames")
    ['ball 72 66 new', 'paddle 70', 'aim 84']
    """
    seen, colon, _ = answer.rpartition(": ")
    return re.split(", ", seen) if colon else []


def within(ranges: Mapping[int, tuple[int, int]]) -> Scatter:
    """Set each byte to anything between its bounds, unless it is 0: nothing to move is there."""

    def scatter(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
        return {
            byte: int(rng.integers(low, high + 1))
            for byte, (low, high) in ranges.items()
            if memory[byte]
        }

    return scatter


def plan_words(action: str, frames: int) -> str:
    """A plan as the answer words it: "LEFT for 3 frames"."""
    return f"{action} for {frames} frame{'s' if frames > 1 else ''}"


def plans(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Every plan of a game; resting is always for the whole interval."""
    held = [(action, n) for action in subject.actions for n in subject.lengths]
    return (("NOOP", FRAME_SKIP), *held)
