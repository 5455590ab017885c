"""Running totals of an episode: what it cost, and how its decisions were chosen."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from atari_vlm.types import Charge, Source, Usage

LEARNING = -1
"""The episode that what a learner asks is counted under."""

_USAGE = tuple(each.name for each in fields(Usage))
_SUMS = (*_USAGE, "spent_tokens", "spent_dollars")

COLUMNS = ", ".join(("episode INTEGER PRIMARY KEY", *(f"{name} REAL" for name in _SUMS)))
"""Of the table `totals`. An unknown price is NULL, which makes every later sum NULL too."""

NAMES = ", ".join(("episode", *_SUMS))
"""Of those columns, in the order of `totals_from_row`."""

_ADD = (
    f"INSERT INTO totals({NAMES}) VALUES({', '.join('?' * (1 + len(_SUMS)))})"
    " ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
)


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

    def __add__(self, other: Totals) -> Totals:
        """The sums over both."""
        tokens = self.spent.tokens + other.spent.tokens
        dollars = (self.spent.dollars or 0.0) + (other.spent.dollars or 0.0)
        sources = self.sources + other.sources
        return Totals(self.usage + other.usage, Charge(tokens, dollars), sources)


def charged(usage: Usage) -> Charge:
    """What an answer counts for in a budget; see `Totals.spent`."""
    if usage.replayed:
        return Charge()
    return Charge(
        usage.input_tokens + usage.output_tokens + usage.uncertain_tokens,
        (usage.dollars or 0.0) + (usage.uncertain_dollars or 0.0),
    )


def add_usage(db: sqlite3.Connection, episode: int, usage: Usage, spent: Charge) -> None:
    """Add to the totals of an episode, within a transaction."""
    values = [getattr(usage, name) for name in _USAGE]
    db.execute(_ADD, (episode, *values, spent.tokens, spent.dollars))


def add_decisions(db: sqlite3.Connection, episode: int, source: Source | str, count: int) -> None:
    """Count decisions of an episode by how they were chosen, within a transaction."""
    db.execute(
        "INSERT INTO sources VALUES(?, ?, ?) ON CONFLICT DO UPDATE"
        " SET decisions = decisions + excluded.decisions",
        (episode, source, count),
    )


def totals_from_row(row: Sequence[Any]) -> Totals:
    """The totals of one row of the table (its columns `NAMES`), without its sources."""
    _, *values, tokens, dollars = row
    names = dict(zip(_USAGE, values, strict=True))
    money = ("dollars", "uncertain_dollars", "seconds")
    usage = Usage(**{name: v if name in money else int(v) for name, v in names.items()})
    return Totals(usage, Charge(int(tokens), dollars))
