"""The answer schema of a game: the sentences of an answer, and the plans that end it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from atari_vlm.types import Pixels, Plan

FRAME_SKIP = 4
"""Emulator frames of a decision; also the longest plan."""

Perturb = Callable[[Pixels, np.random.Generator], Mapping[int, int]]
"""(memory, rng) -> address and new value of the bytes to change; empty if nothing can move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSchema:
    """The sentences and plans of the answers about a game, and settings of its training data.

    An answer consists of clauses with commas between them, a colon, and the plan: "ball 72 66
    moving right 5 down 3, paddle 70, aim 84: LEFT for 3 frames". The first word of a clause is the
    name of an object. If the object may be absent, another sentence has the clause "no <name>".
    """

    game: str
    answers: tuple[str, ...]
    """All sentences; {name:kind} stands for a word of that kind. The last one is the plan alone."""
    actions: tuple[str, ...]
    """Actions of the plans, apart from NOOP."""
    plan_frames: tuple[int, ...] = tuple(range(1, FRAME_SKIP + 1))
    """Numbers of frames for which a plan may hold an action."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of words of this game only -> single words, e.g. {"way": ("left", "up")}."""
    axis: tuple[str, str] | None = None
    """Two actions that push in opposite directions; plans along this axis can be averaged."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """Name of a value -> weight of its word in the loss; 1 by default."""
    perturb: Perturb | None = None
    """Moves objects to places that are rare in play; None for no such changes."""
    episode_length: tuple[int, int] = (200, 900)
    """Fewest and most decisions that are recorded of an episode."""

    @property
    def objects(self) -> tuple[str, ...]:
        """The objects that a request can ask for ("Where is the ball?"): first words of clauses."""
        names: dict[str, None] = {}
        for answer in self.answers:
            for clause in clauses(answer):
                names[clause.removeprefix("no ").split()[0]] = None
        return tuple(name for name in names if name not in INTENTIONS)

    def clauses_about(self, name: str) -> tuple[str, ...]:
        """Every clause that can answer where an object is."""
        found = {
            clause: None
            for answer in self.answers
            for clause in clauses(answer)
            if clause.removeprefix("no ").split()[0] == name
        }
        return tuple({**found, f"no {name}": None})


INTENTIONS = ("aim",)
"""First words of clauses about intentions, not objects."""


def clauses(answer: str) -> list[str]:
    """The clauses of an answer, without its plan.

    >>> clauses("ball 72 66 new, paddle 70, aim 84: NOOP for 4 frames")
    ['ball 72 66 new', 'paddle 70', 'aim 84']
    """
    seen, colon, _ = answer.rpartition(": ")
    return re.split(", ", seen) if colon else []


def within(ranges: Mapping[int, tuple[int, int]]) -> Perturb:
    """Set each byte to a random value within its bounds, unless it is 0 (no object)."""

    def perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
        return {
            byte: int(rng.integers(low, high + 1))
            for byte, (low, high) in ranges.items()
            if memory[byte]
        }

    return perturb


def plan_words(action: str, frames: int) -> str:
    """A plan in the words of an answer: "LEFT for 3 frames"."""
    return f"{action} for {frames} frame{'s' if frames > 1 else ''}"


def plans(schema: AnswerSchema) -> tuple[Plan, ...]:
    """Every plan of a game; NOOP always lasts the whole decision."""
    held = [Plan(action, n) for action in schema.actions for n in schema.plan_frames]
    return (Plan("NOOP", FRAME_SKIP), *held)
