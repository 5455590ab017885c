"""Running totals of an episode: what it cost, and how its decisions were chosen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

from atari_vlm.types import Charge, Decision, Usage

LEARNING = -1
"""The episode that what a learner asks is counted under."""


@dataclass(slots=True)
class Totals:
    """Sums over the decisions and answers of an episode so far."""

    usage: Usage = field(default_factory=Usage)
    """Of every answer."""
    spent: Charge = field(default_factory=Charge)
    """What the answers were charged, uncertain requests at their worst case. Answers of the
    response cache are free. An unknown price counts as 0: no budget in dollars starts with one."""
    sources: Counter[str] = field(default_factory=Counter)
    """How many decisions were chosen in which way."""

    def add_usage(self, usage: Usage) -> None:
        """Count an answer."""
        self.usage += usage
        if usage.replayed:
            return
        self.spent = Charge(
            self.spent.tokens + usage.input_tokens + usage.output_tokens + usage.uncertain_tokens,
            (self.spent.dollars or 0.0) + (usage.dollars or 0.0) + (usage.uncertain_dollars or 0.0),
        )

    def add_decision(self, decision: Decision) -> None:
        """Count a decision; its answers are counted one by one."""
        self.sources[decision.source] += 1

    def __add__(self, other: Totals) -> Totals:
        """The sums over both."""
        tokens = self.spent.tokens + other.spent.tokens
        dollars = (self.spent.dollars or 0.0) + (other.spent.dollars or 0.0)
        sources = self.sources + other.sources
        return Totals(self.usage + other.usage, Charge(tokens, dollars), sources)

    def to_json(self) -> str:
        """For the run's file."""
        values = [asdict(self.usage), [self.spent.tokens, self.spent.dollars], dict(self.sources)]
        return json.dumps(values)

    @staticmethod
    def from_json(blob: str) -> Totals:
        """The totals that `to_json` wrote."""
        usage, (tokens, dollars), sources = json.loads(blob)
        return Totals(Usage(**usage), Charge(tokens, dollars), Counter(sources))
