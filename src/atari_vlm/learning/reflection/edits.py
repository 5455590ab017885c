"""What a person does to the lessons of a run: add, edit, forbid, allow.

    add_lesson("runs/pong", "Wait below the ball.")
    forbid_lesson("runs/pong", 2)

Each is one line of the run's record and holds for the episodes and evaluations to come; what
earlier episodes were shown stays as it was.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.reflection.listing import Lesson, is_written, lessons_of, shown_now
from atari_vlm.learning.reflection.words import (
    SHORTEST,
    has_control_characters,
    illegal_actions,
)
from atari_vlm.models.hosted.redaction import all_secrets
from atari_vlm.replies.likeness import alike
from atari_vlm.runs.lesson_writing import store_edit
from atari_vlm.runs.playback import environment
from atari_vlm.runs.reader import RunReader
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import completed


def add_lesson(folder: str | Path, words: str) -> Lesson:
    """Add a lesson; one of a model makes room for it if there are too many (`Lesson.made_room`).

    Raises:
        InvalidSetting: its words cannot be a lesson of the run.
        StoreError: there is no run, or it is being played.
    """
    with _changing(folder) as (run, known):
        words = _checked(run, words, known)
        dropped = _make_room(run, known)
        number = max((lesson.number for lesson in known), default=0) + 1
        store_edit(run, "add", number, "", words, _who())
        return replace(_lesson(lessons_of(run), number), made_room=dropped)


def edit_lesson(folder: str | Path, number: int, words: str) -> Lesson:
    """Give a lesson other words; see `add_lesson`."""
    with _changing(folder) as (run, known):
        lesson = _lesson(known, number)
        if lesson.state != "shown":
            raise InvalidSetting(
                f"Lesson {number} is {lesson.state}. Bring it back first, with "
                f"{setting('allow', number)}."
            )
        words = _checked(run, words, [each for each in known if each.number != number])
        store_edit(run, "edit", number, lesson.words, words, _who())
        return _lesson(lessons_of(run), number)


def forbid_lesson(folder: str | Path, number: int) -> Lesson:
    """Forbid a lesson: neither it nor a near copy is shown again; see `add_lesson`."""
    with _changing(folder) as (run, known):
        lesson = _lesson(known, number)
        if lesson.state == "forbidden":
            raise InvalidSetting(f"Lesson {number} is forbidden already.")
        store_edit(run, "forbid", number, lesson.words, "", _who())
        return _lesson(lessons_of(run), number)


def allow_lesson(folder: str | Path, number: int) -> Lesson:
    """Show a lesson again that was forbidden or dropped; see `add_lesson`."""
    with _changing(folder) as (run, known):
        lesson = _lesson(known, number)
        if lesson.state == "shown":
            raise InvalidSetting(f"Lesson {number} is shown already.")
        dropped = _make_room(run, known)
        store_edit(run, "allow", number, lesson.words, lesson.words, _who())
        return replace(_lesson(lessons_of(run), number), made_room=dropped)


def check_learned(run: RunReader) -> None:
    """Raise InvalidSetting if a run cannot have lessons in words."""
    if run.settings.get("learner") in (None, "progress", "in-context"):
        raise InvalidSetting(
            f"{run.folder} has no lessons in words: it was played without a learner that writes "
            f"them. Train with {setting('reflect', True)}."
        )


@contextmanager
def _changing(folder: str | Path) -> Iterator[tuple[Run, list[Lesson]]]:
    """The run and its lessons, open to be changed."""
    with closing(Run.read(folder)) as looked_at:
        check_learned(looked_at)
        purpose = looked_at.settings.get("purpose", "train")
        if purpose != "train":
            raise InvalidSetting(
                f"{folder} shows the lessons of another run as they were ({purpose}). Change those "
                "of the training run."
            )
    with closing(Run.change(folder)) as run:
        yield run, lessons_of(run)


def _lesson(known: Sequence[Lesson], number: int) -> Lesson:
    last = max((lesson.number for lesson in known), default=0)
    if not known:
        raise InvalidSetting("The run has no lessons yet.")
    if not 1 <= number <= last:
        has = "lesson 1 only" if last == 1 else f"lessons 1 to {last}"
        raise InvalidSetting(f"There is no lesson {number}: the run has {has}.")
    return next(lesson for lesson in known if lesson.number == number)


def _checked(run: RunReader, words: str, others: Sequence[Lesson]) -> str:
    """Words of a person that can be a lesson of the run.

    Raises:
        InvalidSetting: they cannot. They are not shown: there may be a key in them.
    """
    if has_control_characters(words.strip()):
        raise InvalidSetting(
            "A lesson is one line of plain text; this one has a line break or another control "
            "character in it."
        )
    words = " ".join(words.split())
    longest = int(completed(run.settings)["lesson_length"])
    if not SHORTEST <= len(words) <= longest:
        raise InvalidSetting(
            f"A lesson has {SHORTEST} to {longest} characters; this one has {len(words):,}."
        )
    if all_secrets().blot(words) != words:
        raise InvalidSetting("There is a key in this lesson, and lessons are sent and stored.")
    legal = environment(run.settings).legal
    if wrong := illegal_actions(words, legal):
        raise InvalidSetting(
            f"{', '.join(wrong)} is no action of {run.settings['game']}. Its actions are: "
            f"{', '.join(legal)}."
        )
    for other in others:
        if other.state != "dropped" and alike(words, other.words):
            advice = (
                f"; allow that one with {setting('allow', other.number)}"
                if other.state == "forbidden"
                else ""
            )
            raise InvalidSetting(
                f"Lesson {other.number}, which is {other.state}, says that already{advice}."
            )
    return words


def _make_room(run: Run, known: Sequence[Lesson]) -> Lesson | None:
    """Drop the lesson of a model that was said least recently, if as many are shown as may be."""
    most, shown = run.most_lessons, shown_now(run)
    if most is None or len(shown) < most:
        return None
    first = next((words for words in shown if not is_written(run, words)), None)
    if first is None:
        raise InvalidSetting(
            f"{run.folder} shows {most} lessons, all of which are a person's. Edit or forbid one "
            f"first, or train another run with a higher {setting('max_lessons')}."
        )
    dropped = next(each for each in known if each.words == first and each.state == "shown")
    store_edit(run, "drop", dropped.number, first, "", _who())
    return dropped


def _who() -> str:
    try:
        return getpass.getuser()[:100]
    except (OSError, KeyError, ImportError):
        return "unknown"
