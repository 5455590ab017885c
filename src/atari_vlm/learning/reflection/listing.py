"""The lessons of a run as a list: their numbers, where they come from, and what became of them."""

from __future__ import annotations

from bisect import bisect_right
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
    """Episodes that were played with it in these words."""
    shown_before: int = 0
    """Episodes that were played with it in other words, before a person changed them."""
    proof: Proof | None = None
    """How it fared in paired games; None if it was not tried."""
    state: str = "dropped"
    """"shown" (in the episodes to come), "forbidden", or "dropped" to make room or by a review."""
    edits: list[LessonEdit] = field(default_factory=list)
    """What a person changed of it, in order."""
    made_room: Lesson | None = None
    """The lesson that is no longer shown since this one was added or allowed now."""


def lessons_of(run: RunReader) -> list[Lesson]:
    """Every lesson in words that the run ever had, by number."""
    return _History(run).lessons()


class _History:
    """Follows the lessons of a run in the order in which things happened.

    The same words may be another lesson later: those that a person gave up, and somebody adds.
    """

    def __init__(self, run: RunReader) -> None:
        self._run, self._edits = run, run.lesson_edits()
        self._to_come = list(self._edits)
        self._numbers: dict[str, int] = {}
        """Words -> the lesson that says so now."""
        self._former: dict[str, int] = {}
        """Words -> the lesson that said so before it was edited."""
        self._taken = {edit.about for edit in self._edits}
        self._found: dict[int, Lesson] = {}
        self._played: list[int] = [row.episode for row in run.episodes()]

    def lessons(self) -> list[Lesson]:
        """All of them, by number."""
        rows, proofs = self._run.lessons_made(), self._run.proofs()
        for edit in self._edits:
            if edit.kind == "add":
                self._found[edit.about] = Lesson(edit.about, edit.words, edit.made, edit.who)
        shown: list[dict[int, str]] = []
        earlier = 0
        for row, made, advice, _ in rows:
            self._edit(row)
            source = _episodes(earlier, row) if row else "another run"
            for words in advice:
                number = self._number(words)
                self._found.setdefault(number, Lesson(number, words, made, source))
            shown.append({self._numbers[words]: words for words in advice})
            for proof in (proof for episode, proof in proofs if episode == row):
                about = self._numbers.get(proof.lesson, self._former.get(proof.lesson))
                if about in self._found:
                    self._found[about].proof = proof
            earlier = row
        self._edit(None)
        self._add_unshown([(row, made) for row, made, *_ in rows])
        self._follow()
        self._count([row for row, *_ in rows], shown)
        return [self._found[number] for number in sorted(self._found)]

    def _edit(self, row: int | None) -> None:
        """Apply the edits that hold for lessons of a row, and all of them for None."""
        while self._to_come and (row is None or self._to_come[0].after < row):
            edit = self._to_come.pop(0)
            if edit.kind == "edit" and self._numbers.get(edit.lesson) in (edit.about, None):
                self._numbers.pop(edit.lesson, None)
                self._former[edit.lesson] = edit.about
            elif edit.lesson:
                self._numbers.setdefault(edit.lesson, edit.about)
            if edit.words:
                self._numbers[edit.words] = edit.about

    def _number(self, words: str) -> int:
        """The number of a lesson: a known one, that of a later edit of it, or a new one."""
        if words not in self._numbers:
            later = (edit for edit in self._to_come if words in (edit.lesson, edit.words))
            naming = next(later, None)
            free = next(n for n in range(1, len(self._taken) + 2) if n not in self._taken)
            same = naming is not None and naming.lesson == words
            self._numbers[words] = naming.about if naming and same else free
            self._taken.add(self._numbers[words])
        return self._numbers[words]

    def _add_unshown(self, rows: Sequence[tuple[int, str]]) -> None:
        """Add the lessons that no episode was shown before they were changed."""
        for edit in self._edits:
            if edit.about not in self._found:
                row, made = next(
                    ((row, made) for row, made in rows if row > edit.after), (edit.after + 1, "")
                )
                source = _episodes(edit.after, row)
                self._found[edit.about] = Lesson(edit.about, edit.lesson, made, source)

    def _follow(self) -> None:
        """Fill in what became of the lessons."""
        for edit in self._edits:
            lesson = self._found[edit.about]
            lesson.edits.append(edit)
            lesson.words = edit.words or lesson.words
        banned = forbidden(self._edits)
        now = {self._numbers.get(words) for words in shown_now(self._run)}
        for lesson in self._found.values():
            lesson.state = "shown" if lesson.number in now else "dropped"
            if lesson.words in banned:
                lesson.state = "forbidden"

    def _count(self, rows: Sequence[int], shown: Sequence[dict[int, str]]) -> None:
        """Count the episodes that were shown each lesson."""
        for episode in self._played:
            place = bisect_right(rows, episode)
            for number, words in (shown[place - 1] if place else {}).items():
                lesson = self._found[number]
                if words == lesson.words:
                    lesson.shown += 1
                else:
                    lesson.shown_before += 1


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
