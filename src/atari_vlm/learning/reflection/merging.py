"""Merges the lessons of a review with those of before, by a rule and without a model.

The other way is to let the model answer with the whole edited list. A model that forgets a line
then loses a lesson, one that words everything anew makes every lesson a new one, and an answer that
is cut off loses the rest. Here a model only adds, and takes back by number; so the worst answer
costs nothing, a lesson keeps its words, and the record can say when it was learned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from atari_vlm.replies.likeness import alike


@dataclass(frozen=True, slots=True)
class Merged:
    """The lessons after a review."""

    advice: tuple[str, ...]
    added: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    """Lessons of before that the review said again; they are the last to make room."""
    dropped: tuple[str, ...] = ()
    """Lessons of before that the review took back, or that made room."""


def merged(
    before: Sequence[str],
    new: Sequence[str],
    drop: Collection[int] = (),
    *,
    most: int,
    written: Collection[str] = (),
) -> Merged:
    """Lessons of before and of a review together, at most `most`.

    Those that the review takes back go first. A new lesson that is alike to one of before says it
    again: it keeps its words and moves to the end. If there are too many, those go that were said
    least recently, from the front. What a person wrote stays.

    Args:
        before: lessons, least recently said first.
        new: lessons of the review.
        drop: numbers of lessons of before, from 1 on.
        most: lessons in all.
        written: lessons that a person wrote.
    """
    now = [w for number, w in enumerate(before, 1) if number not in drop or w in written]
    added: list[str] = []
    again: list[str] = []
    for words in new:
        known = next((each for each in now if alike(words, each)), None)
        if known is None:
            added.append(words)
        elif known not in added:
            again.append(known)
        now = [each for each in now if each != known] + [known or words]
    while len(now) > most:
        rest = [each for each in now if each not in written]
        if not rest:
            break
        now.remove(rest[0])
    return Merged(
        tuple(now),
        tuple(each for each in added if each in now),
        tuple(each for each in again if each in now),
        tuple(each for each in before if each not in now),
    )
