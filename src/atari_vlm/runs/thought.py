"""What thinking longer came to in a run: how many decisions, what it took, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from atari_vlm.costs.bill import format_dollars
from atari_vlm.policies.think.best_of import BROKEN
from atari_vlm.policies.think.budgets import NO_ROOM
from atari_vlm.policies.think.confidence import UNSAID
from atari_vlm.policies.think.effort import NOT, NOTE, notes_in
from atari_vlm.runs.reader import RunReader
from atari_vlm.stats import counted, times
from atari_vlm.types import Spent, Thinking


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """Thinking in a run."""

    decisions: int
    """That thought longer: something was spent on them, and not only on finding out whether."""
    spent: Spent
    """On all of them, beyond plain decisions."""
    stopped: int
    """Decisions that were plain because a budget had no room."""
    verdicts: int
    """Verdicts of a judge that could not be used."""
    glances: int
    """Decisions that did not think longer, though finding that out took something."""
    glanced: Spent
    """On all of them."""
    notes: int
    """Notes to itself that the model was asked for (+summary)."""
    noted: Spent
    """On all of them, but for those of decisions that thought longer too."""
    unanswered: int
    """Notes that the model gave no answer for."""
    unsaid: int
    """Votes by confidence in which no answer said how sure it is, so that all counted the same."""

    @property
    def line(self) -> str:
        """In one line."""
        longer = counted(self.decisions, "decision")
        parts = [
            f"{longer} thought longer: {_took(self.spent)}"
            if self.decisions
            else "no decision thought longer",
            f"{counted(self.glances, 'glance')} took {_took(self.glanced)}" if self.glances else "",
            f"{counted(self.notes, 'note')}: {_took(self.noted)}".removesuffix(": ")
            if self.notes
            else "",
            f"{self.stopped} had no budget left" if self.stopped else "",
            f"{self.unanswered} of {counted(self.notes, 'note')} had no answer"
            if self.unanswered
            else "",
            f"in {counted(self.unsaid, 'vote')} no answer said how sure it is, so all counted the "
            "same"
            if self.unsaid
            else "",
            f"the judge could not be used {times(self.verdicts)}" if self.verdicts else "",
        ]
        return f"Thinking: {'; '.join(filter(None, parts))}"


def thought_in(run: RunReader, episodes: Iterable[int]) -> Thought | None:
    """What thinking longer came to in some episodes; None if the player does not think."""
    longer, glances, notes = _Sum(), _Sum(), _Sum()
    written = stopped = verdicts = unanswered = unsaid = 0
    thinks = False
    for episode in episodes:
        made = [each for each in run.thought(episode) if each is not None]
        if not made:
            continue
        thinks = True
        reasons = list(run.reasons(episode))
        verdicts += sum(reason.startswith(BROKEN) for reason in reasons)
        unsaid += sum(UNSAID in reason for reason in reasons)
        stopped += sum(each.why.startswith(NO_ROOM) for each in made)
        for each in made:
            asked, silent = notes_in(each.why)
            written, unanswered = written + asked, unanswered + silent
            thought, glanced, noted = _parts(each)
            longer.add(thought)
            glances.add(glanced)
            notes.add(noted)
    if not thinks:
        return None
    return Thought(
        decisions=longer.count,
        spent=longer.spent,
        stopped=stopped,
        verdicts=verdicts,
        glances=glances.count,
        glanced=glances.spent,
        notes=written,
        noted=notes.spent,
        unanswered=unanswered,
        unsaid=unsaid,
    )


def _parts(thinking: Thinking) -> tuple[Spent, Spent, Spent]:
    """What a decision took to think longer, to find out whether to, and for a note."""
    why, took = thinking.why, thinking.spent
    if why != NOTE and not why.startswith(NOT):
        return took, Spent(), Spent()
    if not why.endswith(NOTE):
        return Spent(), took, Spent()
    return Spent(), Spent(frames=took.frames), took._replace(frames=0)  # a note simulates nothing


@dataclass
class _Sum:
    """Decisions on which something was spent, and what that was."""

    count: int = 0
    spent: Spent = field(default_factory=Spent)

    def add(self, took: Spent) -> None:
        if took.calls or took.frames:
            self.count += 1
            self.spent = self.spent.plus(took)


def _took(spent: Spent) -> str:
    calls, tokens, dollars, frames = spent
    took = [
        f"{counted(calls, 'more call')}, {tokens:,} more tokens" if calls else "",
        "price unknown" if dollars is None else format_dollars(dollars) if dollars else "",
        f"{frames:,} simulated frames" if frames else "",
    ]
    return ", ".join(filter(None, took))
