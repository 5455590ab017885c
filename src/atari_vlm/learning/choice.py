"""Which learner a player gets from its options, and several learners as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.examples import BestMoments, Progress, progress
from atari_vlm.learning.options import LearningOptions
from atari_vlm.protocols import Learner, Study
from atari_vlm.types import Lessons, Trajectory


@dataclass(frozen=True)
class Together:
    """Several learners as one: their examples and their advice, one learner's after the other's."""

    learners: tuple[Learner, ...]

    @property
    def name(self) -> str:
        """The names of all of them."""
        return "+".join(learner.name for learner in self.learners)

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons of each, made in order and joined."""
        made = [await learner.learn(trajectories, study) for learner in self.learners]
        return replace(
            progress(trajectories),
            examples=tuple(example for lessons in made for example in lessons.examples),
            advice=tuple(words for lessons in made for words in lessons.advice),
        )


def learners_in(learner: Learner | None) -> tuple[Learner, ...]:
    """The learners that one is made of: itself, if it is not several."""
    if isinstance(learner, Together):
        return learner.learners
    return () if learner is None else (learner,)


def choose_learner(prompt: str, options: LearningOptions, num_examples: int) -> Learner | None:
    """The learner of a model that reads lessons; None if nothing is to be learned.

    Args:
        prompt: name of the prompt; `adaptive` counts the episodes and their scores.
        options: what to learn from. Where in-context learning is None, it is on.
        num_examples: most examples in a prompt.
    """
    chosen: list[Learner] = []
    if options.use_in_context_learning in (True, None):
        chosen.append(BestMoments(num_examples))
    if len(chosen) > 1:
        return Together(tuple(chosen))
    if chosen:
        return chosen[0]
    return Progress() if prompt == "adaptive" else None


def given_learning(options: LearningOptions) -> dict[str, Any]:
    """The options that need a model that reads lessons: name -> value, None if not set."""
    return {"use_in_context_learning": options.use_in_context_learning or None}


def refuse_two(options: LearningOptions) -> None:
    """Raise InvalidSetting if options name a learner beside one of the caller's own."""
    for name, value in given_learning(options).items():
        if value is not None:
            raise InvalidSetting(f"{setting(name)} is a learner too; leave it or learner out.")


def learning_record(learner: Learner | None) -> dict[str, Any]:
    """What a learner adds to the settings in the record of a run.

    A setting that came after the first version is recorded only if it differs from its default, so
    that runs of before are continued.
    """
    moments = [each for each in learners_in(learner) if isinstance(each, BestMoments)]
    return {
        "learner": learner.name if learner else None,
        "examples": moments[0].examples if moments else None,
    }
