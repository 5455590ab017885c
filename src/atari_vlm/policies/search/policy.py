"""Search in a second emulator: planners without a model, as teachers and as labelled baselines.

They restore the state they are shown and try actions in it; a model that is given the same
privilege should be held against them. The sticky dice of the real game are never seen: its noise
hits a search like any other player. What a search found travels to the next one as a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from atari_vlm.policies.search.methods import Search
from atari_vlm.policies.search.tree import Node, SearchSettings, tree
from atari_vlm.types import Decision, Observation, Privilege, Step


@dataclass(frozen=True)
class SearchPolicy:
    """Plays what a search judges best; ties are broken at random. "Uses emulator"."""

    search: Search
    settings: SearchSettings = field(default_factory=SearchSettings)
    privileges: frozenset[Privilege] = frozenset({"emulator"})

    @property
    def name(self) -> str:
        """The search's name."""
        return self.search.name

    @property
    def version(self) -> str:
        """Every setting that decides what is played, for the record of a run."""
        values = {**asdict(self.settings), **vars(self.search)}
        return ", ".join(f"{name} {value}" for name, value in values.items())

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Search, and say of each action what was found."""
        plan = _planned(observation, history)
        with tree(observation, self.settings, rng) as grown:
            self.search.grow(grown, rng, plan)
            judged = self.search.judge(grown)
        best = max(judgement.rank for judgement in judged if judgement)
        ties = [k for k, judgement in enumerate(judged) if judgement and judgement.rank == best]
        place = ties[int(rng.integers(len(ties)))]
        chosen = judged[place]
        assert chosen is not None
        legal, interval = observation.legal, observation.interval
        among = f", one of {len(ties)} as good" if len(ties) > 1 else ""
        return Decision(
            action=legal[place],
            frames=interval,
            source="searched",
            reason=f"{chosen.words}{among}; {grown.spent} frames simulated",
            note=_noted(chosen.branch, legal),
            considered=tuple(
                Decision(
                    action=action,
                    frames=interval,
                    source="searched",
                    reason=judgement.words if judgement else "not tried",
                )
                for action, judgement in zip(legal, judged, strict=True)
            ),
        )


PLANNED = 160
"""Emulator frames of a plan that are noted for the next decision."""


def _noted(branch: Sequence[Node], legal: Sequence[str]) -> str:
    """A branch in words: "LEFT 12, NOOP 4", frames after each action."""
    parts: list[tuple[str, int]] = []
    start = 0
    for node in branch:
        if start >= PLANNED:
            break
        action, frames = legal[node.place], node.elapsed - start
        if parts and parts[-1][0] == action:
            frames += parts.pop()[1]
        parts.append((action, frames))
        start = node.elapsed
    return ", ".join(f"{action} {frames}" for action, frames in parts)


def _planned(observation: Observation, history: Sequence[Step]) -> list[int]:
    """What the last decision meant to play from now on: the place of an action for each frame."""
    if not history or history[-1].decision.source != "searched":
        return []
    places: list[int] = []
    for part in filter(None, history[-1].decision.note.split(", ")):
        action, frames = part.split(" ")
        places += [observation.legal.index(action)] * int(frames)
    return places[observation.interval :]
