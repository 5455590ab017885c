"""The lessons of a run as a list: their numbers, where they come from, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from atari_vlm.protocols import Proof
from atari_vlm.runs.lesson_edits import LessonEdit, edited, forbidden, written
from atari_vlm.runs.reader import RunReader


@dataclass(slots=True)
class Lesson:
    """A lesson of a run. It keeps its number when its words are edited."""

    number: int
    words: str
    made: str
    """When it was learned or added, as ISO 8601; empty if it is not known."""
    source: str
    """The episodes it was drawn from, "3" or "2 to 3"; the person who added it, or "another run".
    """
    shown: int = 0
    """Episodes that were played with it, in any of its words."""
    proof: Proof | None = None
    """How it fared in paired games; None if it was not tried."""
    state: str = "dropped"
    """"shown" (in the episodes to come), "forbidden", or "dropped" to make room or by a review."""
    edits: list[LessonEdit] = field(default_factory=list)
    """What a person changed of it, in order."""


def lessons_of(run: RunReader) -> list[Lesson]:
    """Every lesson in words that the run ever had, by number."""
    rows, edits = run.lessons_made(), run.lesson_edits()
    numbers = {words: edit.about for edit in edits for words in (edit.lesson, edit.words) if words}
    taken, found = {*numbers.values()}, dict[int, Lesson]()
    for edit in edits:
        if edit.kind == "add":
            found[edit.about] = Lesson(edit.about, edit.words, edit.made, edit.who)
    earlier = 0
    for row, made, advice, _ in rows:
        for words in advice:
            if words not in numbers:
                numbers[words] = next(n for n in range(1, len(taken) + 2) if n not in taken)
                taken.add(numbers[words])
            number = numbers[words]
            if number not in found:
                source = _episodes(earlier, row) if row else "another run"
                found[number] = Lesson(number, words, made, source)
        earlier = row
    for edit in edits:  # of lessons that no episode was shown before they were changed
        if edit.about not in found:
            row = next((row for row, *_ in rows if row > edit.after), edit.after + 1)
            made = next((when for each, when, *_ in rows if each == row), "")
            found[edit.about] = Lesson(edit.about, edit.lesson, made, _episodes(edit.after, row))
    _follow(found, numbers, run, edits)
    return [found[number] for number in sorted(found)]


def why_no_lessons(run: RunReader) -> str:
    """Why a run has no lessons, as a sentence."""
    ended = [row.episode for row in run.episodes() if row.status == "finished"]
    waiting = len(ended) - max((row for row, *_ in run.lessons_made()), default=0)
    if not ended:
        return "No lessons yet: they are drawn when an episode has ended."
    if waiting > 0:
        return (
            f"No lessons yet: {_ended(waiting)} and {'its' if waiting == 1 else 'their'} "
            "review is not finished. The command that played the run goes on with it."
        )
    return f"No lessons: {_ended(len(ended))}, and reviews brought none."


def shown_now(run: RunReader) -> tuple[str, ...]:
    """The lessons that the episodes to come are shown, in order."""
    rows, edits = run.lessons_made(), run.lesson_edits()
    place, advice = (rows[-1][0], rows[-1][2]) if rows else (-1, ())
    since = [edit for edit in edits if edit.after == place]
    return edited(advice, since, run.most_lessons, written(edits))


def marks(run: RunReader, episode: int) -> tuple[Callable[[str], str], tuple[str, ...]]:
    """What is to be said of the lessons that an episode was shown.

    Args:
        run: open.
        episode: that was shown them.

    Returns:
        from the words of a lesson to "new", "edited", "added" or ""; and those that were forbidden
        by then.
    """
    rows = [row for row in run.lessons_made() if row[0] <= episode]
    place = rows[-1][0] if rows else -1
    known = {*rows[-2][2]} if len(rows) > 1 else set[str]()
    edits = [edit for edit in run.lesson_edits() if edit.after < place]
    kinds = {edit.words: {"edit": "edited", "add": "added"}.get(edit.kind) for edit in edits}

    def said(words: str) -> str:
        return kinds.get(words) or ("new" if place > 0 and words not in known else "")

    return said, forbidden(edits)


def _follow(
    found: dict[int, Lesson], numbers: dict[str, int], run: RunReader, edits: Sequence[LessonEdit]
) -> None:
    """Fill in what became of the lessons."""
    for edit in edits:
        lesson = found[edit.about]
        lesson.edits.append(edit)
        lesson.words = edit.words or lesson.words
    rows = run.lessons_made()
    for played in run.episodes():
        advice = next((row[2] for row in reversed(rows) if row[0] <= played.episode), ())
        for number in {numbers[words] for words in advice}:
            found[number].shown += 1
    for _, proof in run.proofs():
        if proof.lesson in numbers:
            found[numbers[proof.lesson]].proof = proof
    banned, shown = forbidden(edits), shown_now(run)
    for lesson in found.values():
        lesson.state = "shown" if lesson.words in shown else "dropped"
        if lesson.words in banned:
            lesson.state = "forbidden"


def is_written(run: RunReader, words: str) -> bool:
    """Whether a person wrote a lesson."""
    return words in written(run.lesson_edits())


def _ended(count: int) -> str:
    """E.g. "2 episodes have ended"."""
    return f"{count:,} episode{'s have' if count != 1 else ' has'} ended"


def _episodes(first: int, after: int) -> str:
    """The episodes that lessons were drawn from: from `first` up to `after`, which is not one."""
    first = max(0, first)
    return f"{first}" if after - first <= 1 else f"{first} to {after - 1}"
