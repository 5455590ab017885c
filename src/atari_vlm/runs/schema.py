"""The SQLite file of a run: its tables, how it is opened, and its errors in sentences.

It may come from anyone: `files.databases` opens it, `rules` has what its columns may hold.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.files.databases import (
    Column,
    Database,
    Layout,
    check_tables,
    layout,
    open_to_read,
    open_to_write,
    rows,
)
from atari_vlm.files.writing import drafted, lock
from atari_vlm.runs import durable
from atari_vlm.runs.totals import COLUMNS

FILE = "run.sqlite"
FORMAT = 6
"""2 added the candidates of a decision. 3 added details of costs (`types.Usage`), what unanswered
requests may have cost, and episodes cut short by a budget. 4 split a decision's note into memory
and queue, and added latencies, lessons, running totals, workers and the parent of a forked run. 5
counts the answers whose token count made no sense. 6 keeps what thinking longer took, and
how long a player has been stuck, when lessons were made, how they were proved and edited.
Runs of older formats can be read and continued."""

_TABLES = {
    "settings": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
    "texts": "id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL",
    "replies": "seed INTEGER PRIMARY KEY, reply TEXT NOT NULL",
    "episodes": """episode INTEGER PRIMARY KEY, seed INTEGER NOT NULL, status TEXT NOT NULL,
        score REAL, decisions INTEGER, frames INTEGER, message TEXT NOT NULL DEFAULT '',
        worker TEXT NOT NULL DEFAULT ''""",
    "steps": """episode INTEGER, step INTEGER, action TEXT, frames INTEGER, source TEXT,
        reason TEXT, memory TEXT NOT NULL DEFAULT '', queue TEXT NOT NULL DEFAULT '',
        lives INTEGER, score REAL, latency REAL, waited INTEGER NOT NULL DEFAULT 0,
        thinking TEXT NOT NULL DEFAULT '', stuck TEXT NOT NULL DEFAULT '',
        reward REAL, terminated INTEGER, truncated INTEGER,
        PRIMARY KEY(episode, step)""",
    "candidates": "episode INTEGER, step INTEGER, considered TEXT NOT NULL,"
    " PRIMARY KEY(episode, step)",
    "pictures": """episode INTEGER, step INTEGER, height INTEGER, width INTEGER, standard TEXT,
        pixels BLOB, PRIMARY KEY(episode, step)""",
    "calls": """episode INTEGER, step INTEGER, number INTEGER, seed INTEGER, prompt TEXT,
        fault TEXT, PRIMARY KEY(episode, step, number)""",
    "lost": "episode INTEGER, requests INTEGER, tokens INTEGER, dollars REAL",
    "totals": COLUMNS,
    "sources": "episode INTEGER, source TEXT, decisions INTEGER, PRIMARY KEY(episode, source)",
    "lessons": "episode INTEGER PRIMARY KEY, learner TEXT NOT NULL, value TEXT NOT NULL,"
    " made TEXT NOT NULL DEFAULT ''",
    "edits": """number INTEGER PRIMARY KEY, made TEXT NOT NULL, who TEXT NOT NULL,
        kind TEXT NOT NULL, about INTEGER NOT NULL, lesson TEXT NOT NULL, words TEXT NOT NULL,
        after INTEGER NOT NULL""",
    "proofs": """episode INTEGER, number INTEGER, made TEXT NOT NULL, lesson TEXT NOT NULL,
        seeds TEXT NOT NULL, shown TEXT NOT NULL, without TEXT NOT NULL, kept INTEGER NOT NULL,
        reason TEXT NOT NULL, PRIMARY KEY(episode, number)""",
    "parent": "folder TEXT NOT NULL, episode INTEGER NOT NULL, step INTEGER NOT NULL",
}
"""latency: seconds the decision took. waited: emulator frames that passed meanwhile. totals and
sources: sums of each episode so far, those of learning under episode -1. lessons: shown from an
episode on; calls of learning are in `calls` under episode -1, with that episode as the step. edits:
what a person changed of the lessons, see `lesson_edits`. proofs: lessons that were tried in paired
games before they were shown, see `trials`. parent: the run that this one was forked from. worker:
the process that played an episode."""

_WITHOUT_ROWID = ("steps", "candidates", "pictures", "calls", "sources", "proofs")


def _definition(table: str) -> str:
    tail = " WITHOUT ROWID" if table in _WITHOUT_ROWID else ""
    return f"{table}({_TABLES[table]}){tail};"


def _allowed() -> Layout:
    """The tables and columns that a run of any format may have."""
    ours = layout(" ".join(f"CREATE TABLE {_definition(table)}" for table in _TABLES))
    return {**ours, "steps": {**ours["steps"], "note": Column("TEXT", 0)}}


def create(path: Path, settings: Mapping[str, Any]) -> None:
    """Write a new file whole or not at all, also if the power fails."""
    with drafted(path) as draft:
        with closing(sqlite3.connect(draft, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")  # it is synced once, when it is complete
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN")
            for table in _TABLES:
                db.execute(f"CREATE TABLE {_definition(table)}")
            db.executemany(
                "INSERT INTO settings VALUES(?, ?)",
                [(k, json.dumps(value)) for k, value in {"format": FORMAT, **settings}.items()],
            )
            db.execute("COMMIT")
        durable.sync(draft)
    durable.sync(path.parent)


def connect(path: Path, *, playing: bool = False) -> Database:
    """Open the file of a run; each statement outside a transaction commits by itself.

    Args:
        path: the file.
        playing: it will be written to, so an older format is brought up to date. Otherwise it is
            opened as it is at this moment, and not changed.

    Raises:
        StoreError: its format is unknown.
        ValueError, OSError, sqlite3.Error: it is no run; see `legible`.
    """
    db = open_to_write(path) if playing else open_to_read(path)
    try:
        found = _format(db, path)
        check_tables(db, _allowed())
        if playing:
            db.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing at NORMAL; only a power cut may lose the last commits.
            db.execute("PRAGMA synchronous = NORMAL")
        if found < FORMAT:
            _bring_up_to_date(db, playing)
    except BaseException:
        db.close()
        raise
    return db


def _format(db: Database, path: Path) -> int:
    check_tables(db, {"settings": _allowed()["settings"]}, others=True)
    found = rows(db, "SELECT value FROM settings WHERE name = 'format'")
    formats = {str(number): number for number in range(1, FORMAT + 1)}
    if len(found) != 1 or found[0][0] not in formats:
        raise StoreError(f"{path} has a format this version cannot read.")
    return formats[found[0][0]]


# --- older formats -------------------------------------------------------------------------------

_NEW_COLUMNS = {
    "steps": {
        "memory": "TEXT NOT NULL DEFAULT ''",
        "queue": "TEXT NOT NULL DEFAULT ''",
        "latency": "REAL",
        "waited": "INTEGER NOT NULL DEFAULT 0",
        "thinking": "TEXT NOT NULL DEFAULT ''",
        "stuck": "TEXT NOT NULL DEFAULT ''",
    },
    "episodes": {"worker": "TEXT NOT NULL DEFAULT ''"},
    "totals": {"uncounted": "REAL NOT NULL DEFAULT 0"},
    "lessons": {"made": "TEXT NOT NULL DEFAULT ''"},
}
_VIEW_DEFAULTS = {
    "latency": "NULL",
    "waited": "0",
    "worker": "''",
    "memory": "''",
    "queue": "''",
    "thinking": "''",
    "stuck": "''",
    "uncounted": "0",
    "made": "''",
}


def _bring_up_to_date(db: sqlite3.Connection, playing: bool) -> None:
    """Give an older run the tables and columns it lacks: in the file, or for reading in memory."""
    found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    tables = [table for table in _TABLES if table not in found]
    columns = {table: _columns(db, table) for table in _NEW_COLUMNS}
    lacking = {
        table: {name: kind for name, kind in new.items() if name not in columns[table]}
        for table, new in _NEW_COLUMNS.items()
        if table not in tables
    }
    noted = "note" in columns["steps"]
    db.create_function("queue_in", 2, queue_in_note, deterministic=True)
    db.create_function("memory_in", 2, memory_in_note, deterministic=True)
    if not playing:
        db.execute("PRAGMA query_only = OFF")  # for what is made in memory
        for table in tables:
            db.execute(f"CREATE TEMP TABLE {_definition(table)}")
        for table, new in lacking.items():
            if new:
                shown = [*columns[table], *(f"{_value(name, noted)} AS {name}" for name in new)]
                db.execute(
                    f"CREATE TEMP VIEW {table} AS SELECT {', '.join(shown)} FROM main.{table}"
                )
        db.execute("PRAGMA query_only = ON")
        return
    script = [f"CREATE TABLE {_definition(table)}" for table in tables]
    script += [
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};"
        for table, new in lacking.items()
        for name, kind in new.items()
    ]
    if noted:
        script.append(
            "UPDATE steps SET queue = queue_in(source, note), memory = memory_in(source, note)"
            " WHERE note != '';"
        )
    script.append(f"UPDATE settings SET value = '{FORMAT}' WHERE name = 'format';")
    db.executescript(f"BEGIN IMMEDIATE; {' '.join(script)} COMMIT;")


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]


def _value(column: str, noted: bool) -> str:
    """What an absent column reads as."""
    if noted and column in ("memory", "queue"):
        return f"{column}_in(source, note)"
    return _VIEW_DEFAULTS[column]


_CHUNK = re.compile(r"Planned at decision [0-9]+, [0-9]+ to [0-9]+ of [0-9]+: (.+)")
_PLANS = re.compile(r"[A-Z]+ x?[0-9]+(?:, [A-Z]+ x?[0-9]+)*")


def queue_in_note(source: str, note: str) -> str:
    """The plans in a note of formats 1 to 3, as JSON; empty if it holds none."""
    found = _CHUNK.fullmatch(note)
    plans = found[1] if found else note if source == "searched" else ""
    if not _PLANS.fullmatch(plans):
        return ""
    pairs = [plan.replace(" x", " ").split(" ") for plan in plans.split(", ")]
    return json.dumps([[action, int(frames)] for action, frames in pairs])


def memory_in_note(source: str, note: str) -> str:
    """The words in a note of formats 1 to 3; empty if it holds plans."""
    return "" if queue_in_note(source, note) else note


# --- locks and errors ----------------------------------------------------------------------------


def locked(folder: Path) -> IO[str]:
    """Lock a run folder, so that one process at a time plays in it."""
    busy = f"Another process is playing in {folder}. Wait for it, or use another folder."
    for _ in range(10):  # a worker whose parent was killed needs a moment to end
        with suppress(StoreError):
            return lock(folder / "lock", busy)
        time.sleep(0.1)
    return lock(folder / "lock", busy)


def is_locked(folder: Path) -> bool:
    """Whether a process is playing in a run folder at this moment."""
    path = folder / "lock"
    if not path.is_file():
        return False
    try:
        lock(path, "").close()
    except StoreError:
        return not path.is_symlink()
    except OSError:  # it cannot be written to, so that nobody plays in it
        return False
    return False


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        text = " ".join(str(error).split())[:200]  # SQLite quotes a table as it was made
        if "locked" in text or "readonly" in text or "unable to open" in text:
            raise StoreError(
                f"Cannot open {path} for use ({text}). Another program holds it, or the folder "
                "may not be written to."
            ) from error
        if "full" in text or "disk I/O" in text:
            raise StoreError(
                f"Cannot write to {path}: the disk is full or failing ({text}). Everything up to "
                "the last decision is kept; make room and give the same command to continue."
            ) from error
        raise StoreError(
            f"{path} is damaged or not a run of this project ({text}). Move the folder away to "
            "start anew, or restore it from a copy."
        ) from error
    except OSError as error:
        raise StoreError(f"Cannot use {path.parent}: {error.strerror or error}.") from error


_UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError)


@contextmanager
def legible(path: Path) -> Iterator[None]:
    """Turn every error that the content of a run's file can cause into one sentence."""
    with explained(path):
        try:
            yield
        except AtariVLMError:
            raise
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise StoreError(
                f"{path} is damaged or not a run of this project ({reason}). Move the folder away "
                "to start anew, or restore it from a copy."
            ) from error
