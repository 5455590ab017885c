"""Search in a second emulator: planners without a model, as teachers and as baselines.

A search restores the state of the game and tries actions in it; compare it with models that have
the same privilege. It never sees the random numbers of the real game, so sticky actions affect it
like any other player. The best branch is queued for the next decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from atari_vlm.policies.search.methods import Search
from atari_vlm.policies.search.nodes import Held, Node
from atari_vlm.policies.search.tree import SearchSettings, tree, without_screens
from atari_vlm.policies.search.workers import searched
from atari_vlm.types import Decision, Observation, Plan, Privilege, Step


@dataclass(frozen=True)
class SearchPolicy:
    """Plays the action that a search ranks highest; ties are broken at random."""

    search: Search
    settings: SearchSettings = field(default_factory=SearchSettings)
    privileges: frozenset[Privilege] = frozenset({"emulator"})

    @property
    def name(self) -> str:
        """The search's name."""
        return self.search.name

    @property
    def version(self) -> str:
        """All settings of the search."""
        return self.version_at(10**6)

    def version_at(self, frames: int) -> str:
        """All settings that matter at so many frames a decision, so that runs of before go on."""
        values = {**asdict(self.settings), **vars(self.search)}
        hold = self.settings.hold or frames
        if not self.search.falls_short(frames, hold):
            del values["depth"]
        if self.settings.seconds is None:  # runs of before have no such setting
            del values["seconds"]
        if self.search.revision > 1:
            values["revision"] = self.search.revision
        return ", ".join(f"{name} {value}" for name, value in values.items())

    def check_interval(self, frames: int) -> None:
        """Raise InvalidSetting if the budget is below one decision of so many frames."""
        self.settings.check_interval(frames)

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Search; the candidates of the decision are all actions with their values."""
        plan = _planned(observation, history)
        seen = without_screens(observation)
        return await searched(_decision, self.search, self.settings, seen, plan, rng)


def _decision(
    search: Search,
    settings: SearchSettings,
    observation: Observation,
    plan: Sequence[int],
    rng: np.random.Generator,
) -> Decision:
    with tree(observation, settings, rng) as grown:
        search.grow(grown, rng, plan)
        rated = search.rate(grown)
    best = max(rating.rank for rating in rated if rating)
    ties = [k for k, rating in enumerate(rated) if rating and rating.rank == best]
    place = ties[int(rng.integers(len(ties)))]
    chosen = rated[place]
    assert chosen is not None
    legal, interval = observation.legal, observation.interval
    among = f", one of {len(ties)} as good" if len(ties) > 1 else ""
    return Decision(
        action=legal[place],
        frames=interval,
        source="searched",
        reason=f"{chosen.words}{among}; {grown.spent} frames simulated",
        queue=queue_of([*chosen.branch, *chosen.held], legal),
        considered=tuple(
            Decision(
                action=action,
                frames=interval,
                source="searched",
                reason=rating.words if rating else "not tried",
            )
            for action, rating in zip(legal, rated, strict=True)
        ),
    )


PLANNED = 240
"""Most emulator frames of the best branch that are kept for the next decision."""


def queue_of(
    branch: Sequence[Node | Held], legal: Sequence[str], start: int = 0, most: int = PLANNED
) -> tuple[Plan, ...]:
    """A branch as plans; equal actions in a row are one plan.

    Args:
        branch: moments, the earliest first.
        legal: legal action names.
        start: frames from the root to where the branch begins.
        most: frames from the root after which no plan begins.
    """
    plans: list[Plan] = []
    for node in branch:
        if start >= most:
            break
        action, frames = legal[node.place], node.elapsed - start
        if plans and plans[-1].action == action:
            frames += plans.pop().frames
        plans.append(Plan(action, frames))
        start = node.elapsed
    return tuple(plans)


def _planned(observation: Observation, history: Sequence[Step]) -> list[int]:
    """What the last search planned from now on: the index of an action for each frame."""
    if not history or history[-1].decision.source != "searched":
        return []
    return later(history[-1].decision.queue, observation)


def later(branch: Sequence[Plan], observation: Observation) -> list[int]:
    """What is left of the branch of the last decision: the index of an action for each frame."""
    places: list[int] = []
    for action, frames in branch:
        places += [observation.legal.index(action)] * frames
    return places[observation.interval :]
