"""Lessons within a run: made once, charged, stored, and found again when the run is resumed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.random import default_rng

from atari_vlm.errors import InvalidSetting, Lost, ModelFault
from atari_vlm.models.hosted.budget import ACCOUNT, Budget
from atari_vlm.models.wrapped import WrappedModel
from atari_vlm.protocols import Learner, Model, Proof, Study, awaitable
from atari_vlm.runs.episode_log import journaled
from atari_vlm.runs.lesson_edits import LessonEdit, edited, enforced, forbidden, written
from atari_vlm.runs.run import Run
from atari_vlm.runs.totals import LEARNING
from atari_vlm.types import Call, Frame, Lessons, Prompt, Reply, Trajectory, Usage

LEARNER = 2
"""Separates a learner's randomness from the emulator's and the policy's."""


@dataclass(frozen=True)
class _RecordedModel(WrappedModel):
    """The model of a learner; keeps every call."""

    episode: int
    """The first that is played with the lessons."""
    calls: list[Call] = field(default_factory=list)

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The answer of the model inside, recorded.

        The seed of the call depends on the episode and the words too: answers are found again by
        their seed, and a learner may give the same one for every question.
        """
        words = "".join(part for m in prompt.messages for part in m.parts if isinstance(part, str))
        mixed = default_rng([seed, self.episode, zlib.crc32(words.encode(errors="replace"))])
        seed = int(mixed.integers(2**62))
        try:
            reply = await self.model.answer(prompt, seed=seed)
        except ModelFault as fault:
            lost = fault.lost or Lost()
            usage = Usage(
                calls=1,
                dollars=None if fault.lost is None else 0.0,
                uncertain=lost.requests,
                uncertain_tokens=lost.tokens,
                uncertain_dollars=lost.dollars,
            )
            reply = Reply(text="", finish=fault.kind, usage=usage)
            self.calls.append(Call(prompt, reply, seed, str(fault)))
            raise
        self.calls.append(Call(prompt, reply, seed))
        return reply


async def lessons_for(
    run: Run,
    episode: int,
    learner: Learner,
    trajectories: Callable[[], Sequence[Trajectory]],
    frame: Callable[[int, int], Frame],
    *,
    model: Model | None,
    seed: int,
    budget: Budget,
    prove: Callable[[Lessons, Sequence[str]], Awaitable[Sequence[Proof]]] | None = None,
    edits: Sequence[LessonEdit] | None = None,
    said: Callable[[int, int], str] | None = None,
) -> Lessons:
    """The lessons for an episode: those stored, or new ones, which are then stored.

    Args:
        run: open for playing; its record keeps the lessons and what they cost.
        episode: the first that is played with them.
        learner: makes them.
        trajectories: the earlier episodes, read only if the lessons are not stored.
        frame: draws the screen of (episode, step).
        model: that plays; None for a player without one.
        seed: with `episode`, decides everything random.
        budget: of the run.
        prove: tries pieces of advice beside the lessons of before, in paired games and in order.
        edits: what a person changed of the lessons; None for the edits of this run.
        said: the model's words at (episode, step); None for those in this run.

    Raises:
        ModelUnusable, BudgetExceeded: as for any call; the lessons can be made later.
        InvalidSetting: the learner returned something else than lessons.
    """
    stored = run.lessons(episode, frame)
    if stored is not None:
        return stored
    if model is not None:
        run.go_on()  # the learner may ask it before anything is played
    account = budget.account(LEARNING)
    asked = journaled(model, run, LEARNING) if model else None
    recorded = _RecordedModel(asked, episode) if asked else None
    drawn: dict[tuple[int, int], Frame] = {}

    def draw(episode: int, step: int) -> Frame:
        if (episode, step) not in drawn:
            drawn[episode, step] = frame(episode, step)
        return drawn[episode, step]

    edits = run.lesson_edits() if edits is None else edits
    before = lessons_before(run, episode, frame)
    token = ACCOUNT.set(account)
    try:
        study = Study(
            model=recorded,
            rng=default_rng([seed, episode, LEARNER]),
            account=account,
            frame=draw,
            said=said or run.said,
            before=before,
            written=written(edits),
            forbidden=forbidden(edits),
            prove=partial(prove, before) if prove else None,
        )
        lessons = await awaitable(learner.learn(trajectories(), study), learner, "learn")
    finally:
        ACCOUNT.reset(token)
    lessons = enforced(_checked(lessons, learner, [*drawn.values()]), edits)
    run.store_lessons(episode, learner.name, lessons, recorded.calls if recorded else ())
    stored = run.lessons(episode, draw)
    assert stored is not None
    return stored  # as a resumed run will read them


def lessons_before(run: Run, episode: int, frame: Callable[[int, int], Frame]) -> Lessons:
    """The newest lessons made for an earlier episode, with what a person changed of them since.

    Args:
        run: that has them.
        episode: whose lessons are to come.
        frame: draws the screen of (episode, step).
    """
    place = run.lessons_until(episode - 1)
    made = None if place is None else run.lessons(place, frame)
    edits, before = run.lesson_edits(), made or Lessons()
    since = [edit for edit in edits if edit.after == (-1 if place is None else place)]
    advice = edited(before.advice, since, run.most_lessons, written(edits))
    return replace(before, advice=advice, note="")


def _checked(lessons: object, learner: Learner, drawn: Sequence[Frame]) -> Lessons:
    """The lessons of a learner; screens that were not drawn for it are stored with the run.

    Raises:
        InvalidSetting: they are no Lessons, or hold something else than words, screens and counts.
    """
    if not isinstance(lessons, Lessons):
        raise InvalidSetting(f"{learner.name} returned {lessons!r}, which is no Lessons.")
    words = [*lessons.advice, *(example.text for example in lessons.examples)]
    for each in words:
        if not isinstance(each, str):
            raise InvalidSetting(f"{learner.name} gave {each!r}; advice and examples are text.")
    if not isinstance(lessons.note, str):
        raise InvalidSetting(f"{learner.name} gave {lessons.note!r} as note, which is text.")
    for name in ("episodes", "mean_score"):
        number = getattr(lessons, name)
        known = isinstance(number, int | float | np.number) and math.isfinite(number)
        if not known and not (name == "mean_score" and number is None):
            raise InvalidSetting(f"{learner.name} gave {number!r} as {name}, which is a number.")
    own = {id(frame) for frame in drawn}

    def kept(frame: Frame) -> Frame:
        return frame if id(frame) in own else frame.foreign()

    examples = [
        replace(
            example,
            frame=None if example.frame is None else kept(example.frame),
            later=tuple(map(kept, example.later)),
        )
        for example in lessons.examples
    ]
    return replace(lessons, examples=tuple(examples), episodes=int(lessons.episodes))
