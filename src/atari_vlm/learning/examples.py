"""In-context learning: the best moments of earlier episodes become examples in the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from atari_vlm.types import Example, Frame, Lessons, Step, Trajectory

LEAD = 3
"""Decisions before a reward that an example tells: what earned it came earlier."""


@dataclass(frozen=True)
class Progress:
    """Counts episodes and their mean score, for prompts that adapt; teaches nothing else."""

    name: str = "progress"

    def learn(
        self, experience: Sequence[Trajectory], picture: Callable[[int, int], Frame]
    ) -> Lessons:
        """How many episodes there were, and the mean score of those that were whole games."""
        whole = [played.score for played in experience if played.steps[-1].terminated]
        return Lessons(
            episodes=len(experience), mean_score=sum(whole) / len(whole) if whole else None
        )


@dataclass(frozen=True)
class BestMoments:
    """Shows the moments that earned most in the best-scoring episodes.

    Moments are ranked by the score of their episode, then by their own reward, so that what the
    model copies is play that went well as a whole. With no reward earned anywhere there is no
    success to show, and the prompt stays as it was.
    """

    examples: int = 3
    name: str = "in-context"

    def learn(
        self, experience: Sequence[Trajectory], picture: Callable[[int, int], Frame]
    ) -> Lessons:
        """The `examples` best moments, best first, each with the screen it began from."""
        moments = [
            (trajectory.score, step.reward, -trajectory.episode, -number, trajectory, number)
            for trajectory in experience
            for number, step in enumerate(trajectory.steps)
            if step.reward > 0
        ]
        moments.sort(key=lambda moment: moment[:4], reverse=True)
        chosen = tuple(
            _example(trajectory, number, picture)
            for *_, trajectory, number in moments[: self.examples]
        )
        return replace(Progress().learn(experience, picture), examples=chosen)


def _example(trajectory: Trajectory, number: int, picture: Callable[[int, int], Frame]) -> Example:
    start = max(0, number - LEAD)
    steps = trajectory.steps[start : number + 1]
    plans = ", then ".join(_plan(step) for step in steps)
    text = (
        f"From an earlier episode that scored {trajectory.score:g}: on this screen you played "
        f"{plans}, and earned {steps[-1].reward:+g}."
    )
    return Example(text=text, frame=picture(trajectory.episode, start))


def _plan(step: Step) -> str:
    decision = step.decision
    return f"{decision.action} x{decision.frames}"
