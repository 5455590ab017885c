"""What a learner must provide, and what it works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from atari_vlm.protocols.players import Model
from atari_vlm.types import Charge, Frame, Lessons, Trajectory


class Account(Protocol):
    """Pays for requests, within the caps on spending."""

    async def reserve(self, charge: Charge) -> AbstractContextManager[Any]:
        """Set aside the most a request can cost; raises BudgetExceeded if a cap forbids it."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """A lesson that was tried in paired games: the same seeds with it and without it."""

    lesson: str
    seeds: tuple[int, ...]
    """Of the emulator; neither trained nor evaluated on."""
    shown: tuple[float, ...]
    """The score on each seed with the lesson; empty if its games were no measure of the player."""
    without: tuple[float, ...]
    """The score on each seed without it."""
    kept: bool
    """Whether play was no worse with it."""
    reason: str
    """Why, as a sentence with the numbers."""

    @property
    def line(self) -> str:
        """What came of it, in a line."""
        kept = "Kept" if self.kept else "Not kept"
        return f'{kept} after trying: "{self.lesson}" {self.reason}.'


Prove: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[Proof]]]
"""Tries pieces of advice in paired games, in order: each beside the lessons of before and those of
the advice that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What a learner works with."""

    model: Model | None
    """The model that plays; None for players without one. Its answers are recorded, and found again
    when the run is resumed."""
    rng: np.random.Generator
    """Decides everything random. Seeds of calls come from it too."""
    account: Account
    """What the model's answers are charged to; `model` does so by itself."""
    frame: Callable[[int, int], Frame]
    """Draws the screen that was shown at (episode, step)."""
    said: Callable[[int, int], str] = lambda episode, step: ""
    """The model's last reply at (episode, step), unedited; empty if it was not asked there."""
    before: Lessons = field(default_factory=Lessons)
    """The lessons of the episodes before, with what a person changed of them since."""
    written: tuple[str, ...] = ()
    """Advice in `before` that a person wrote. It stays as it is, whatever the learner returns."""
    forbidden: tuple[str, ...] = ()
    """Advice that a person forbade. It is left out of what the learner returns, near copies too."""
    prove: Prove | None = None
    """Tries advice in paired games, which are recorded with the run and charged to it; None where
    nothing can be played."""


@runtime_checkable
class Learner(Protocol):
    """Makes lessons from earlier episodes."""

    @property
    def name(self) -> str:
        """Short name for settings and tables."""
        ...

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons for the episodes to come.

        Args:
            trajectories: every finished episode so far, in order, their steps without frames.
            study: the model, randomness, account and screens to work with.
        """
        ...


@runtime_checkable
class Reviews(Protocol):
    """A learner that learns when episodes have ended, and not only before the next is played.

    What it learned of the last episode is in the record of the training run, and an evaluation
    shows it as it is.
    """

    @property
    def reviews(self) -> bool:
        """Whether it does."""
        ...
