"""In-context learning: the best moments of earlier episodes become examples in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from atari_vlm.protocols import Study
from atari_vlm.types import Example, Lessons, Trajectory

LEAD = 3
"""Decisions before a reward that an example includes: the reward was earned earlier."""


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


@dataclass(frozen=True)
class BestMoments:
    """Shows the moments that earned most in the best-scoring episodes.

    Moments are ranked by the score of their episode, then by their own reward, so that the model
    copies play that went well as a whole. If nothing earned a reward, there are no examples.
    """

    examples: int = 3
    name: str = "in-context"

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The `examples` best moments, best first, each with the screen it began from."""
        moments = [
            (trajectory.score, step.reward, -trajectory.episode, -number, trajectory, number)
            for trajectory in trajectories
            for number, step in enumerate(trajectory.steps)
            if step.reward > 0
        ]
        moments.sort(key=lambda moment: moment[:4], reverse=True)
        chosen = tuple(
            _example(trajectory, number, study)
            for *_, trajectory, number in moments[: self.examples]
        )
        return replace(progress(trajectories), examples=chosen)


def _example(trajectory: Trajectory, number: int, study: Study) -> Example:
    start = max(0, number - LEAD)
    steps = trajectory.steps[start : number + 1]
    plans = ", then ".join(f"{step.decision.action} x{step.decision.frames}" for step in steps)
    text = (
        f"From an earlier episode that scored {trajectory.score:g}: on this screen you played "
        f"{plans}, and earned {steps[-1].reward:+g}."
    )
    return Example(text=text, frame=study.frame(trajectory.episode, start))
