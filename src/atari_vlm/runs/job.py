"""What the runner plays: a player, its model, the seeds, and who teaches and pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from atari_vlm.models.hosted.budget import Account, Budget, Caps
from atari_vlm.protocols import Learner, Model, Policy
from atari_vlm.types import Lessons, Limits, Step

Watcher = Callable[[int, Step], None]
"""Called with (episode, step) for every new step; not for those that a resume repeats."""


@runtime_checkable
class Announces(Protocol):
    """A watcher that is also told of games that are no episodes of the run."""

    def announce(self, text: str) -> None:
        """Say how far they are, in a sentence."""
        ...


def _silent(text: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be played."""

    policy: Callable[[Model | None, Lessons], Policy]
    """Builds the player from its model and the lessons of earlier episodes."""
    model: Model | None = None
    """The model that the policy asks; its answers are stored before they are used."""
    seeds: Sequence[int]
    """The seed of each episode of the run."""
    limits: Limits
    learner: Learner | None = None
    lessons: Lessons | None = None
    """Shown in every episode, unchanged; None for those of the learner."""
    parallel: int = 1
    """Episodes played at the same time in this process."""
    budget: Budget = field(default_factory=lambda: Budget(Caps()))
    """What the episodes may spend together."""
    account_of: Callable[[int], Account] | None = None
    """Returns the account of an episode; None for that of the run's own episode."""
    announce: Callable[[str], None] = _silent
    """Called with a sentence while lessons are tried."""

    def account(self, episode: int) -> Account:
        """What the requests of an episode are charged to."""
        return (self.account_of or self.budget.account)(episode)
