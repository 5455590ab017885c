"""What a learner must provide, and what it works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from atari_vlm.protocols.players import Model
from atari_vlm.types import Charge, Frame, Lessons, Trajectory


class Account(Protocol):
    """Pays for requests, within the caps on spending."""

    async def reserve(self, charge: Charge) -> AbstractContextManager[Any]:
        """Set aside the most a request can cost; raises BudgetExceeded if a cap forbids it."""
        ...


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
