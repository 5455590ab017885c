"""What each column of a run's file may hold: types and ranges, checked by SQLite itself.

SQLite stores any value in any column, so that a file from elsewhere may have a text where a number
belongs. What is in JSON is checked where it is read (`records`).
"""

from __future__ import annotations

from functools import cache
from typing import get_args

from atari_vlm.runs.totals import COLUMNS
from atari_vlm.types import Source

MOST_EPISODE = 999_999
MOST_STEP = 249_999
"""Far above 107,999, the last step of the longest episode: 108,000 frames, one a decision."""

MOST_FRAMES = 10_000
"""Emulator frames of a decision, as many as `frame_skip` may be."""

EDITS = ("add", "edit", "forbid", "allow", "drop")
"""What a person may do to a lesson; one is dropped to make room for another."""

MOST_LESSON = 100_000
"""Characters of a lesson that was edited or proved."""

MOST_SIDE = 4096
"""Width and height of a stored picture, in pixels."""

_ANY_INTEGER = (-(2**63), 2**63 - 1)


def _whole(least: int = 0, most: int = 2**63 - 1) -> str:
    return f"typeof({{0}}) = 'integer' AND {{0}} BETWEEN {least} AND {most}"


def _number(least: float = -1e15, most: float = 1e15) -> str:
    return f"typeof({{0}}) IN ('integer', 'real') AND {{0}} BETWEEN {least} AND {most}"


def _or_null(rule: str) -> str:
    return f"({{0}} IS NULL OR ({rule}))"


def _text(most: int | None = None) -> str:
    return "typeof({0}) = 'text'" + (f" AND length({{0}}) <= {most}" if most else "")


def _one_of(*values: str) -> str:
    return f"typeof({{0}}) = 'text' AND {{0}} IN ({', '.join(map(repr, values))})"


_SOURCE = _one_of(*get_args(Source))
_PLACE = {"episode": _whole(*_ANY_INTEGER), "step": _whole(*_ANY_INTEGER)}
_SUMS = [column.split()[0] for column in COLUMNS.split(", ")[1:]]

RULES: dict[str, dict[str, str]] = {
    "settings": {"name": _text(100), "value": _text()},
    "texts": {"id": _whole(), "text": _text()},
    "replies": {"seed": _whole(*_ANY_INTEGER), "reply": _text()},
    "episodes": {
        "episode": _whole(0, MOST_EPISODE),
        "seed": _whole(),
        "status": _one_of("playing", "finished", "invalid"),
        "score": _or_null(_number()),
        "decisions": _or_null(_whole(0, MOST_STEP + 1)),
        "frames": _or_null(_whole()),
        "message": _text(),
        "worker": _text(),
    },
    "steps": {
        "step": _whole(0, MOST_STEP),
        "action": _text(40),
        "frames": _whole(1, MOST_FRAMES),
        "source": _SOURCE,
        "reason": _text(),
        "memory": _text(),
        "queue": _text(),
        "lives": _whole(0, 10**6),
        "score": _number(),
        "latency": _or_null(_number(0)),
        "waited": _whole(0, 10**9),
        "thinking": _text(),
        "stuck": _text(100),
        "reward": _or_null(_number()),
        "terminated": _whole(0, 1),
        "truncated": _whole(0, 1),
    },
    "candidates": {"step": _whole(0, MOST_STEP), "considered": _text()},
    "pictures": {
        **_PLACE,
        "height": _whole(1, MOST_SIDE),
        "width": _whole(1, MOST_SIDE),
        "standard": _one_of("ntsc", "pal"),
        "pixels": "typeof({0}) = 'blob'",
    },
    "calls": {
        **_PLACE,
        "number": _whole(),
        "seed": _whole(*_ANY_INTEGER),
        "prompt": _text(),
        "fault": _text(),
    },
    "lost": {
        "episode": _whole(-1, MOST_EPISODE),
        "requests": _whole(),
        "tokens": _whole(),
        "dollars": _or_null(_number(0)),
    },
    "totals": {
        "episode": _whole(-1, MOST_EPISODE),
        **{name: _or_null(_number(0)) if "dollars" in name else _number(0) for name in _SUMS},
    },
    "sources": {
        "episode": _whole(-1, MOST_EPISODE),
        "source": _SOURCE,
        "decisions": _whole(0, 10**12),
    },
    "lessons": {
        "episode": _whole(0, MOST_EPISODE),
        "learner": _text(),
        "value": _text(),
        "made": _text(40),
    },
    "edits": {
        "number": _whole(),
        "made": _text(40),
        "who": _text(200),
        "kind": _one_of(*EDITS),
        "about": _whole(1, 10**6),
        "lesson": _text(MOST_LESSON),
        "words": _text(MOST_LESSON),
        "after": _whole(-1, MOST_EPISODE),
    },
    "proofs": {
        "episode": _whole(0, MOST_EPISODE),
        "number": _whole(0, 10_000),
        "made": _text(40),
        "lesson": _text(MOST_LESSON),
        "seeds": _text(100_000),
        "shown": _text(100_000),
        "without": _text(100_000),
        "kept": _whole(0, 1),
        "reason": _text(10_000),
    },
    "parent": {"folder": _text(), "episode": _whole(), "step": _whole()},
}
"""Table -> column -> a condition on it, with {0} for the column."""


@cache
def wrong(table: str, where: str = "") -> str:
    """A query for the name of a column with a value that it may not hold; no rows if all is well.

    Args:
        table: its name.
        where: a condition on the rows that are looked at.
    """
    rules = RULES[table]
    cases = " ".join(
        f"WHEN NOT ({rule.format(column)}) THEN {column!r}" for column, rule in rules.items()
    )
    every = " AND ".join(f"({rule.format(column)})" for column, rule in rules.items())
    rows = f"({where}) AND " if where else ""
    return f"SELECT CASE {cases} END FROM {table} WHERE {rows}NOT ({every}) LIMIT 1"
