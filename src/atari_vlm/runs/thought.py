"""What thinking longer came to in a run: how many decisions, what it took, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from atari_vlm.costs.bill import format_dollars
from atari_vlm.policies.think.best_of import BROKEN
from atari_vlm.policies.think.budgets import NO_ROOM
from atari_vlm.runs.reader import RunReader
from atari_vlm.types import Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """Thinking in a run."""

    decisions: int
    """For which something was spent."""
    spent: Spent
    """On all of them, beyond plain decisions."""
    stopped: int
    """Decisions that were plain because a budget had no room."""
    verdicts: int
    """Verdicts of a judge that could not be used."""

    @property
    def line(self) -> str:
        """In one line."""
        calls, tokens, dollars, frames = self.spent
        took = [
            f"{calls:,} more calls, {tokens:,} more tokens" if calls else "",
            "price unknown" if dollars is None else format_dollars(dollars) if dollars else "",
            f"{frames:,} simulated frames" if frames else "",
        ]
        parts = [
            f"{self.decisions} decisions thought longer: {', '.join(filter(None, took))}"
            if self.decisions
            else "no decision thought longer",
            f"{self.stopped} had no budget left" if self.stopped else "",
            f"the judge could not be used {self.verdicts} times" if self.verdicts else "",
        ]
        return f"Thinking: {'; '.join(filter(None, parts))}"


def thought_in(run: RunReader, episodes: Iterable[int]) -> Thought | None:
    """What thinking longer came to in some episodes; None if the player does not think."""
    spent, decisions, stopped, verdicts, thinks = Spent(), 0, 0, 0, False
    for episode in episodes:
        each = run.thought(episode)
        if not any(each):
            continue
        thinks = True
        verdicts += sum(reason.startswith(BROKEN) for reason in run.reasons(episode))
        for thinking in each:
            if thinking is not None:
                decisions += bool(thinking.spent.calls or thinking.spent.frames)
                stopped += thinking.why.startswith(NO_ROOM)
                spent = spent.plus(thinking.spent)
    if not thinks:
        return None
    return Thought(decisions=decisions, spent=spent, stopped=stopped, verdicts=verdicts)
