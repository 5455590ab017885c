"""Reading what a run has learned: its lessons, what a person changed of them, their proofs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from atari_vlm.protocols import Proof
from atari_vlm.runs import records
from atari_vlm.runs.lesson_edits import LessonEdit
from atari_vlm.runs.settings import completed
from atari_vlm.runs.table_reader import TableReader, readable
from atari_vlm.types import Frame, Lessons

STAY = "The lessons of before stay"
"""How the note on a review ends that could not be used; `Lessons.note` has one for each review."""

_REVIEW = re.compile(r"Episode ([0-9]{1,9}): (.*?)(?= Episode [0-9]{1,9}: |$)", re.DOTALL)
"""A part of the note of `Lessons` that reviews made: an episode, and what came of its review."""


class LessonReader(TableReader):
    """The lessons in an open run folder."""

    settings: dict[str, Any]

    @readable
    def lessons(self, episode: int, frame: Callable[[int, int], Frame]) -> Lessons | None:
        """The lessons that were made for an episode and those after it; None if there are none.

        Args:
            episode: whose lessons.
            frame: draws the screen of (episode, step), e.g. `playback.pictures(run)`.
        """
        self._check("lessons", "episode = ?", episode)
        row = self._one("SELECT value FROM lessons WHERE episode = ?", episode)
        return records.lessons_from_json(row[0], frame) if row else None

    @readable
    def lessons_until(self, episode: int) -> int | None:
        """The last episode up to this one that lessons were made for; None if there are none."""
        self._check("lessons")
        row = self._one("SELECT max(episode) FROM lessons WHERE episode <= ?", episode)
        return row[0] if row else None

    @property
    def most_lessons(self) -> int | None:
        """Most lessons in words that are shown at a time; None for no limit."""
        settings = completed(self.settings)
        return int(settings["max_lessons"]) if settings["reflect"] else None

    @readable
    def lessons_made(self) -> list[tuple[int, str, tuple[str, ...], str]]:
        """(episode, time, advice, note) of all lessons, in order.

        The first episode that is shown them; when they were made, as ISO 8601 (empty in older
        runs); their words; how they were made.
        """
        self._check("lessons")
        found = self._all("SELECT episode, made, value FROM lessons ORDER BY episode")
        made = [(row[0], row[1], records.lessons_from_json(row[2], unseen)) for row in found]
        return [(episode, when, each.advice, each.note) for episode, when, each in made]

    def reviews(self) -> list[tuple[int, str]]:
        """(episode, why its review could not be used; "" if it could) of each review, in order."""
        notes = (note for *_, note in self.lessons_made())
        parts = [found.groups() for note in notes for found in _REVIEW.finditer(note)]
        split = ((int(number), said.partition(STAY)) for number, said in parts)
        return [(number, fault.strip() if stay else "") for number, (fault, stay, _) in split]

    @property
    def unused_reviews(self) -> str:
        """A sentence about the reviews that brought nothing because they could not be used."""
        faults = [(episode, fault) for episode, fault in self.reviews() if fault]
        if not faults:
            return ""
        count, reviews = len(faults), len(self.reviews())
        last = f"That of episode {faults[-1][0]}: {faults[-1][1]}"
        return f"{count} of {reviews} review{'s' * (reviews != 1)} could not be used. {last}"

    @readable
    def lesson_edits(self) -> list[LessonEdit]:
        """What a person changed of the lessons, in order."""
        self._check("edits")
        found = self._all(
            "SELECT number, made, who, kind, about, lesson, words, after FROM edits ORDER BY number"
        )
        return [LessonEdit(*row) for row in found]

    @readable
    def proofs(self) -> list[tuple[int, Proof]]:
        """(episode, proof) of each lesson that was tried in paired games, in order.

        The episode is the first that was shown the lesson, if it was kept.
        """
        self._check("proofs")
        found = self._all(
            "SELECT episode, lesson, seeds, shown, without, kept, reason FROM proofs"
            " ORDER BY episode, number"
        )
        return [
            (
                episode,
                Proof(
                    lesson=lesson,
                    seeds=records.numbers_from_json(seeds, int),
                    shown=records.numbers_from_json(shown, int, float),
                    without=records.numbers_from_json(without, int, float),
                    kept=bool(kept),
                    reason=reason,
                ),
            )
            for episode, lesson, seeds, shown, without, kept, reason in found
        ]


def unseen(episode: int, step: int) -> Frame:
    """A frame with its place and no pixels."""
    return Frame(records.NO_PIXELS, episode, step)
