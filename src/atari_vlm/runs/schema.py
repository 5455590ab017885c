"""The SQLite file of a run: its tables, how it is opened, and what it says when it cannot be."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from atari_vlm.errors import StoreError
from atari_vlm.files import lock

FILE = "run.sqlite"
FORMAT = 3
"""2 added the candidates of a decision; 3 says more of what an answer cost (see `types.Usage`),
keeps what unanswered questions may have cost, and marks episodes that a budget cut short. Runs of
older formats can be read and continued."""

_CANDIDATES = """candidates(
    episode INTEGER, step INTEGER, considered TEXT NOT NULL,
    PRIMARY KEY(episode, step)) WITHOUT ROWID;
"""
_LOST = """lost(episode INTEGER, requests INTEGER, tokens INTEGER, dollars REAL);
"""
_SCHEMA = f"""
CREATE TABLE {_CANDIDATES}
CREATE TABLE {_LOST}
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE replies(seed INTEGER PRIMARY KEY, reply TEXT NOT NULL);
CREATE TABLE episodes(
    episode INTEGER PRIMARY KEY, seed INTEGER NOT NULL, status TEXT NOT NULL, score REAL,
    decisions INTEGER, frames INTEGER, message TEXT NOT NULL DEFAULT '');
CREATE TABLE steps(
    episode INTEGER, step INTEGER, action TEXT, frames INTEGER, source TEXT, reason TEXT,
    note TEXT, lives INTEGER, score REAL, reward REAL, terminated INTEGER, truncated INTEGER,
    PRIMARY KEY(episode, step)) WITHOUT ROWID;
CREATE TABLE pictures(
    episode INTEGER, step INTEGER, height INTEGER, width INTEGER, standard TEXT, pixels BLOB,
    PRIMARY KEY(episode, step)) WITHOUT ROWID;
CREATE TABLE calls(
    episode INTEGER, step INTEGER, number INTEGER, seed INTEGER, prompt TEXT, fault TEXT,
    PRIMARY KEY(episode, step, number)) WITHOUT ROWID;
"""


def create(path: Path, settings: Mapping[str, Any]) -> None:
    """Write a new file whole: under another name first."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        db.executemany(
            "INSERT INTO settings VALUES(?, ?)",
            [(name, json.dumps(value)) for name, value in {"format": FORMAT, **settings}.items()],
        )
    finally:
        db.close()
    os.replace(draft, path)


def connect(path: Path, *, playing: bool = False) -> sqlite3.Connection:
    """Open the file of a run; each statement outside a transaction commits by itself.

    Args:
        path: the file.
        playing: it will be written to, so an older format is brought up to date.
    """
    # Played in another thread where an event loop runs already, as in a notebook; one at a time.
    db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    # A killed process loses nothing at NORMAL; only a power cut may lose the last commits.
    db.execute("PRAGMA synchronous = NORMAL")
    found = db.execute("SELECT value FROM settings WHERE name = 'format'").fetchone()
    if found is None or json.loads(found[0]) not in range(1, FORMAT + 1):
        raise StoreError(f"{path} has a format this version cannot read.")
    if json.loads(found[0]) < FORMAT:
        _complete(db, playing)
    return db


def _complete(db: sqlite3.Connection, playing: bool) -> None:
    """Give an older run the tables it lacks; who only reads gets them beside the file."""
    found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    lacking = [table for table in (_CANDIDATES, _LOST) if table.partition("(")[0] not in found]
    if not playing:
        db.executescript(" ".join(f"CREATE TEMP TABLE {table}" for table in lacking))
        return
    new = " ".join(f"CREATE TABLE {table}" for table in lacking)
    update = f"UPDATE settings SET value = '{FORMAT}' WHERE name = 'format'"
    db.executescript(f"BEGIN IMMEDIATE; {new} {update}; COMMIT;")


def locked(folder: Path) -> IO[str]:
    """Lock a run folder, so that one process at a time plays in it."""
    busy = f"Another process is playing in {folder}. Wait for it, or use another folder."
    return lock(folder / "lock", busy)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "locked" in text or "readonly" in text or "unable to open" in text:
            raise StoreError(
                f"Cannot open {path} for use ({text}). Another program holds it, or the folder "
                "may not be written to, which SQLite needs even to read; a copy will do."
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
