"""Which learner a player gets from its options, and several learners as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import Game
from atari_vlm.atari.options import GameOptions
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.begun import example_source, lesson_source
from atari_vlm.learning.examples import BestMoments
from atari_vlm.learning.options import LearningOptions
from atari_vlm.learning.progress import Progress, progress
from atari_vlm.learning.reflection.given import GivenLessons
from atari_vlm.learning.reflection.learner import Reflection
from atari_vlm.prompts.options import PromptOptions
from atari_vlm.protocols import Learner, Reviews, Study
from atari_vlm.runs.options import RunOptions
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


@dataclass(frozen=True, kw_only=True)
class LearnerSetting:
    """What a learner needs to know of the player."""

    game: str
    """Name of the game in the catalogue."""
    legal: Callable[[], tuple[str, ...]]
    """Returns the player's action names."""
    folder: Path | None = None
    """Of the run to be played; None if it is named after its settings."""
    num_examples: int = 3
    """Most examples in a prompt."""
    plans: bool = True
    """Whether the prompt asks how long to hold an action."""
    image_size: tuple[int, int] | None = None
    """(width, height) that screens are scaled to; None for their own."""
    mode: int | None = None
    """ALE game mode."""
    picture_tokens: int = 0
    """Tokens of one picture, by the rule of the model."""


def learner_setting(
    game: Game, play: GameOptions, prompts: PromptOptions, run: RunOptions, picture_tokens: int
) -> LearnerSetting:
    """What a learner needs to know of the player of a game, from its options.

    Args:
        game: that is played.
        play: how.
        prompts: what the prompts show and ask for.
        run: which run is played.
        picture_tokens: of one screen, by the rule of the model.
    """
    return LearnerSetting(
        game=game.name,
        legal=partial(_legal, game, play.full_action_space),
        folder=None if run.run_folder is None else Path(run.run_folder),
        num_examples=prompts.num_examples,
        plans=prompts.plans,
        image_size=prompts.resize_shape,
        mode=play.mode,
        picture_tokens=picture_tokens,
    )


def _legal(game: Game, full: bool) -> tuple[str, ...]:
    return Emulator(game, full_action_space=full).legal


def choose_learner(prompt: str, options: LearningOptions, player: LearnerSetting) -> Learner | None:
    """The learner of a model that reads lessons; None if nothing is to be learned.

    Args:
        prompt: name of the prompt; `adaptive` counts the episodes and their scores.
        options: what to learn from. Where in-context learning is None, it is on unless another way
            of learning is named.
        player: who learns.

    Raises:
        InvalidSetting, StoreError: the run to take examples from cannot be used.
    """
    _check_reflection(options)
    chosen: list[Learner] = []
    own, others = options.use_in_context_learning, options.examples_from
    if own is None:
        own = not named_learning(options)
    if own or others is not None:
        source = None
        if others is not None:
            source = example_source(
                others,
                player.folder,
                player.game,
                player.legal(),
                own=bool(own),
                alone=not (own or options.reflect or options.lessons_from),
            )
        chosen.append(
            BestMoments(
                player.num_examples,
                tokens=options.example_tokens,
                pictures=options.example_pictures,
                own=own,
                source=source,
                plans=player.plans,
                picture_tokens=player.picture_tokens,
            )
        )
    given = None
    if options.lessons_from is not None:
        limits = (options.lesson_length, options.max_lessons) if options.reflect else ()
        given = lesson_source(
            options.lessons_from, player.folder, player.game, player.legal(), *limits
        )
    if given is not None and not options.reflect:
        chosen.append(GivenLessons(given))
    if options.reflect:
        chosen.append(
            Reflection(
                max_lessons=options.max_lessons,
                lesson_length=options.lesson_length,
                review_frames=options.review_frames,
                prove=options.prove_lessons,
                image_size=player.image_size,
                mode=player.mode,
                start=given,
            )
        )
    if len(chosen) > 1:
        return Together(tuple(chosen))
    if chosen:
        return chosen[0]
    return Progress() if prompt == "adaptive" else None


def named_learning(options: LearningOptions) -> bool:
    """Whether a way of learning other than from the player's own moments is named."""
    return options.reflect or (options.examples_from or options.lessons_from) is not None


def given_learning(options: LearningOptions) -> dict[str, Any]:
    """The options that need a model that reads lessons: name -> value, None if not set."""
    asked = {name: getattr(options, name) for name in (*_OF_REFLECTION, "reflect")}
    defaults = {each.name: each.default for each in fields(LearningOptions)}
    return {
        "use_in_context_learning": options.use_in_context_learning or None,
        "examples_from": options.examples_from,
        "lessons_from": options.lessons_from,
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


def why_no_lessons(name: str, *, embedded: bool) -> str:
    """Why a player learns nothing between episodes, as a sentence without its full stop.

    Args:
        name: of a player that is an embedded model, or has no model.
        embedded: whether it is an embedded model.
    """
    nothing = "so it learns nothing from what it plays"
    if embedded:
        return f"{name} reads no lessons, {nothing} (`atari-vlm distill` trains its weights)"
    return f"{name} has no model, {nothing}"


def refuse_learning(
    name: str, options: LearningOptions, own: Learner | None, advice: str, *, embedded: bool
) -> None:
    """Raise InvalidSetting if a player that reads no lessons is to learn.

    Args:
        name: of the player.
        options: of learning.
        own: a learner of the caller's own.
        advice: what to do instead, as the end of a sentence.
        embedded: whether it is an embedded model, and not without a model.
    """
    asked = [name for name, value in given_learning(options).items() if value is not None]
    names = [setting(name) for name in (*asked, *(["learner"] if own else []))]
    if names:
        why = why_no_lessons(name, embedded=embedded)
        raise InvalidSetting(f"{why}; leave out {', '.join(names)}, or {advice}.")


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
        **(moments[0].record if moments else {}),
        **next((each.record for each in learners_in(learner) if isinstance(each, _IN_WORDS)), {}),
    }


_IN_WORDS = (Reflection, GivenLessons)
"""Learners whose lessons are words."""


def without_own_moments(learner: Learner | None) -> Learner | None:
    """The learner that shows no moments of the player's own; None if nothing is left."""
    parts = [
        replace(each, own=False) if isinstance(each, BestMoments) else each
        for each in learners_in(learner)
        if not isinstance(each, BestMoments) or each.source is not None
    ]
    return Together(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def as_begun(learner: Learner | None, settings: Mapping[str, Any]) -> Learner | None:
    """The learner by the rule for examples that a run was begun with.

    Args:
        learner: of the player, by the newest rule.
        settings: of the run, completed.
    """
    rule = int(settings["learner_version"])
    if isinstance(learner, Together):
        parts = (as_begun(each, settings) for each in learner.learners)
        return replace(learner, learners=tuple(each for each in parts if each is not None))
    return replace(learner, rule=rule) if isinstance(learner, BestMoments) else learner


def gives_at_once(learner: Learner | None) -> bool:
    """Whether there are lessons before the first episode: those of another run."""
    return any(
        (isinstance(each, BestMoments) and each.source is not None)
        or isinstance(each, GivenLessons)
        or (isinstance(each, Reflection) and each.start is not None)
        for each in learners_in(learner)
    )
