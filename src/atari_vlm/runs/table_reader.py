"""Reading the tables of a run's file: checked, all of one moment, and with errors in sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from atari_vlm.errors import StoreError
from atari_vlm.files.databases import Database, rows
from atari_vlm.replies.plan_parser import REFUSAL
from atari_vlm.runs.rules import wrong
from atari_vlm.runs.schema import FILE, connect, legible

_Arguments = ParamSpec("_Arguments")
_Read = TypeVar("_Read")
_Reader = TypeVar("_Reader", bound="TableReader")


def readable(
    method: Callable[Concatenate[_Reader, _Arguments], _Read],
) -> Callable[Concatenate[_Reader, _Arguments], _Read]:
    """A method that raises StoreError for whatever may be wrong with the file."""

    @wraps(method)
    def reading(self: _Reader, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Read:
        with legible(self.folder / FILE):
            return method(self, *args, **kwargs)

    return reading


class TableReader:
    """The open file of a run.

    Args:
        folder: of the run.
        db: its open file.
    """

    def __init__(self, folder: Path, db: Database) -> None:
        self.folder, self._db = folder, db
        self._checked: set[tuple[str, str, tuple[Any, ...]]] = set()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _check(self, table: str, where: str = "", *values: int) -> None:
        """Raise ValueError if a column holds a value that it may not hold; looked at once.

        What this process writes to the file afterwards needs no look.
        """
        if (table, where, values) in self._checked:
            return
        if found := self._one(wrong(table, where), *values):
            raise ValueError(f"its table {table!r} holds a value that {found[0]!r} cannot have")
        if table == "steps" and where:
            self._check_order(*values)
        self._checked.add((table, where, values))

    def _check_order(self, episode: int) -> None:
        """Raise ValueError unless the decisions of an episode are numbered from 0, each once."""
        query = "SELECT count(*), count(DISTINCT step), max(step) FROM steps WHERE episode = ?"
        ((count, distinct, last),) = self._all(query, episode)
        if count and not count == distinct == last + 1:
            raise ValueError(f"decisions of episode {episode} are missing")

    def _check_scores(self) -> None:
        """Raise ValueError if an episode that ended lacks decisions, or the sum of its rewards."""
        if ("scores", "", ()) in self._checked:
            return
        query = (
            "SELECT episode FROM episodes WHERE status = 'finished' AND abs(score - (SELECT"
            " total(reward) FROM steps WHERE steps.episode = episodes.episode)) > 1e-6 LIMIT 1"
        )
        if found := self._one(query):
            raise ValueError(f"the score of episode {found[0]} is not the sum of its rewards")
        query = (
            "SELECT episode, decisions, (SELECT count(*) FROM steps WHERE steps.episode ="
            " episodes.episode) AS stored FROM episodes WHERE status != 'playing' AND"
            " decisions != stored LIMIT 1"
        )
        if found := self._one(query):
            episode, decisions, stored = found
            raise ValueError(f"episode {episode} had {decisions} decisions and {stored} are stored")
        self._checked.add(("scores", "", ()))

    @readable
    def refusals(self, episodes: Collection[int] | None = None) -> int:
        """How many answers refused to play, in some episodes or, for None, in all."""
        for table in ("calls", "candidates"):
            self._check(table)
        found = self._all(
            "SELECT episode, count(*) FROM calls WHERE instr(fault, ?1) = 1 GROUP BY episode"
            " UNION ALL"
            # The calls of a candidate are lists of a seed, a prompt and a fault.
            " SELECT episode, count(*) FROM candidates, json_tree(considered)"
            " WHERE instr(considered, ?1) AND key = 2 AND type = 'text' AND instr(value, ?1) = 1"
            " GROUP BY episode",
            REFUSAL,
        )
        return sum(count for episode, count in found if episodes is None or episode in episodes)

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, all of one moment."""
        path = self.folder / FILE
        for _ in range(20):
            try:
                found = rows(self._db, query, values)
            except (sqlite3.Error, ValueError):
                if not self._db.outdated:
                    raise
            else:
                if not self._db.outdated:
                    return found
            self._db.close()
            self._db = connect(path)
            self._checked.clear()
        raise StoreError(f"{path} is written to all the time. Read it when the run is stopped.")

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        found = self._all(query, *values)
        return found[0] if found else None
