"""Which learner a player gets from its options, and several learners as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.examples import BestMoments, Progress, progress
from atari_vlm.learning.options import LearningOptions
from atari_vlm.learning.reflection.learner import Reflection
from atari_vlm.protocols import Learner, Reviews, Study
from atari_vlm.types import Lessons, Trajectory


@dataclass(frozen=True)
class Together:
    """Several learners as one: their examples and their advice, one learner's after the other's."""

    learners: tuple[Learner, ...]

    @property
    def name(self) -> str:
        """The names of all of them."""
        return "+".join(learner.name for learner in self.learners)

    @property
    def reviews(self) -> bool:
        """Whether one of them learns when an episode has ended; see `protocols.Reviews`."""
        return any(isinstance(each, Reviews) and each.reviews for each in self.learners)

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons of each, made in order and joined."""
        made = [await learner.learn(trajectories, study) for learner in self.learners]
        return replace(
            progress(trajectories),
            examples=tuple(example for lessons in made for example in lessons.examples),
            advice=tuple(words for lessons in made for words in lessons.advice),
            note=" ".join(lessons.note for lessons in made if lessons.note),
        )


def learners_in(learner: Learner | None) -> tuple[Learner, ...]:
    """The learners that one is made of: itself, if it is not several."""
    if isinstance(learner, Together):
        return learner.learners
    return () if learner is None else (learner,)


def choose_learner(
    prompt: str,
    options: LearningOptions,
    num_examples: int,
    image_size: tuple[int, int] | None = None,
    mode: int | None = None,
) -> Learner | None:
    """The learner of a model that reads lessons; None if nothing is to be learned.

    Args:
        prompt: name of the prompt; `adaptive` counts the episodes and their scores.
        options: what to learn from. Where in-context learning is None, it is on.
        num_examples: most examples in a prompt.
        image_size: (width, height) that screens are scaled to; None for their own.
        mode: ALE game mode.
    """
    _check_reflection(options)
    chosen: list[Learner] = []
    if options.use_in_context_learning in (True, None):
        chosen.append(BestMoments(num_examples))
    if options.reflect:
        chosen.append(
            Reflection(
                max_lessons=options.max_lessons,
                lesson_length=options.lesson_length,
                review_frames=options.review_frames,
                prove=options.prove_lessons,
                image_size=image_size,
                mode=mode,
            )
        )
    if len(chosen) > 1:
        return Together(tuple(chosen))
    if chosen:
        return chosen[0]
    return Progress() if prompt == "adaptive" else None


def given_learning(options: LearningOptions) -> dict[str, Any]:
    """The options that need a model that reads lessons: name -> value, None if not set."""
    asked = {name: getattr(options, name) for name in (*_OF_REFLECTION, "reflect")}
    defaults = {each.name: each.default for each in fields(LearningOptions)}
    return {
        "use_in_context_learning": options.use_in_context_learning or None,
        **{name: value if value != defaults[name] else None for name, value in asked.items()},
    }


_OF_REFLECTION = ("max_lessons", "lesson_length", "review_frames", "prove_lessons")


def _check_reflection(options: LearningOptions) -> None:
    """Raise InvalidSetting if settings of reflection are given without it."""
    asked = {name: value for name, value in given_learning(options).items() if value is not None}
    for name in _OF_REFLECTION:
        if name in asked and not options.reflect:
            raise InvalidSetting(
                f"{setting(name)} is a setting of reflection; give {setting('reflect', True)} too, "
                "or leave it out."
            )


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
        **next((each.record for each in learners_in(learner) if isinstance(each, Reflection)), {}),
    }
