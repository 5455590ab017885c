"""What a person changed of the lessons of a run, and how it holds for the lessons to come.

An edit is never undone by what a model says: a forbidden lesson, or a near copy of it, does not
come back; one that was edited does not come back as it was; and what a person wrote stays word for
word until a person changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from atari_vlm.replies.likeness import alike
from atari_vlm.types import Lessons


@dataclass(frozen=True, slots=True)
class LessonEdit:
    """One change by a person."""

    number: int
    """1 for the first of the run."""
    made: str
    """When, as ISO 8601 in UTC."""
    who: str
    """Name of the user on the machine where it was made."""
    kind: str
    """"add", "edit", "forbid", "allow", or "drop", which makes room for another."""
    about: int
    """The number of the lesson in the list of the run; see `learning.reflection.listing`."""
    lesson: str
    """The lesson before; empty for a new one."""
    words: str
    """The lesson after; empty if it was forbidden."""
    after: int
    """The last lessons (by their first episode) that an episode had been shown; -1 for none. The
    edit holds for all that come after."""


def forbidden(edits: Iterable[LessonEdit]) -> tuple[str, ...]:
    """The lessons that are forbidden after these edits, in the order in which they became so."""
    found: dict[str, None] = {}
    for edit in edits:
        if edit.kind == "forbid":
            found[edit.lesson] = None
        elif edit.kind == "allow":
            found.pop(edit.lesson, None)
    return tuple(found)


def written(edits: Iterable[LessonEdit]) -> tuple[str, ...]:
    """The lessons in a person's words that are to be shown after these edits."""
    found: dict[str, None] = {}
    for edit in edits:
        found.pop(edit.lesson, None)
        if edit.kind in ("add", "edit", "allow"):
            found[edit.words] = None
    return tuple(found)


def edited(
    advice: Sequence[str],
    edits: Sequence[LessonEdit],
    most: int | None = None,
    own: Collection[str] = (),
) -> tuple[str, ...]:
    """Lessons after edits that were made to them.

    Args:
        advice: the lessons before, in order.
        edits: in order.
        most: lessons in all; the first that a person did not write make room. None for no limit.
        own: lessons that a person wrote, by these or other edits.
    """
    now = list(advice)
    for edit in edits:
        if edit.kind == "edit" and edit.lesson in now:
            now[now.index(edit.lesson)] = edit.words
        elif edit.kind == "forbid":
            now = [words for words in now if not alike(words, edit.lesson)]
        elif edit.kind == "drop":
            now = [words for words in now if words != edit.lesson]
        elif edit.words and edit.words not in now:
            now.append(edit.words)
    while most is not None and len(now) > most and {*now} - {*own}:
        now.remove(next(words for words in now if words not in own))
    return tuple(now)


def enforced(lessons: Lessons, edits: Sequence[LessonEdit]) -> Lessons:
    """Lessons that a learner made, as all edits so far want them.

    Left out is what is alike to a forbidden lesson, or to the former words of an edited one; what a
    person wrote is put back where it is missing.
    """
    if not edits:
        return lessons
    own, banned = written(edits), forbidden(edits)
    former = [edit.lesson for edit in edits if edit.kind == "edit" and edit.lesson not in own]
    kept = [
        words
        for words in lessons.advice
        if words in own or not any(alike(words, other) for other in (*banned, *former, *own))
    ]
    missing = [words for words in own if words not in kept]
    return replace(lessons, advice=(*missing, *kept))
