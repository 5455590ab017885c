"""How far a player is: the number of episodes, and their mean score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atari_vlm.protocols import Study
from atari_vlm.types import Lessons, Trajectory


@dataclass(frozen=True)
class Progress:
    """Counts episodes and their mean score, for prompts that adapt; gives no other lesson."""

    name: str = "progress"

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The number of episodes, and the mean score of those that were whole games."""
        return progress(trajectories)


def progress(trajectories: Sequence[Trajectory]) -> Lessons:
    """Lessons without examples or advice."""
    whole = [played.score for played in trajectories if played.steps[-1].terminated]
    return Lessons(
        episodes=len(trajectories), mean_score=sum(whole) / len(whole) if whole else None
    )
