"""The file of the response cache: opened as data, since it may come from anyone.

A stored answer is checked before it is used. Which answers are being asked for now is told to other
processes by locks of the system in a file beside it, which end with the process that holds them.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from atari_vlm.errors import ModelUnusable, StoreError, setting
from atari_vlm.files.databases import (
    Database,
    check_tables,
    layout,
    open_to_read,
    open_to_write,
    rows,
)
from atari_vlm.files.untrusted import open_regular
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.types import Reply

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

APPLICATION_ID, USER_VERSION = 0x41564D43, 1
"""SQLite header fields: a response cache, and the version of its tables."""

BUSY_TIMEOUT_S = 5.0
"""Most seconds to wait while another process writes."""

_TABLES = (
    "CREATE TABLE answers(key TEXT PRIMARY KEY, reply TEXT NOT NULL, written REAL) WITHOUT ROWID"
)

_ACCESS_ERRORS = ("locked", "readonly", "unable to open", "full", "I/O")
"""Words in SQLite's messages for errors of access, not of content."""


class CacheFile:
    """An open file of answers.

    Args:
        path: created if it does not exist and may be written to.
        replay: open it for reading only, and change nothing.

    Raises:
        StoreError: the file is damaged, is not a response cache, or cannot be written.
    """

    def __init__(self, path: Path, *, replay: bool) -> None:
        self._path, self._replay = path, replay
        self._patience = BUSY_TIMEOUT_S
        self._db: Database | None = None
        with self._opened():  # fails before anything is played
            pass

    def find(self, key: str) -> Reply | None:
        """The stored answer.

        Raises:
            StoreError: the file cannot be read, or the answer is none that was stored by us.
        """
        with self._opened() as db:
            query = "SELECT reply FROM answers WHERE key = ?"
            found = rows(db, query, (key,), most=1)
            return reply_from_json(found[0][0], finite=True) if found else None

    def store(self, key: str, reply: Reply, *, replace: bool) -> bool:
        """Commit an answer; False if there is one already and it is not to be replaced.

        One that was paid for is on the disk when this returns, also after a loss of power.

        Raises:
            StoreError: it cannot be stored.
        """
        verb = "REPLACE" if replace else "IGNORE"
        with self._opened() as db:
            db.execute(f"PRAGMA synchronous = {'FULL' if reply.usage.is_paid else 'NORMAL'}")
            return bool(
                db.execute(
                    f"INSERT OR {verb} INTO answers VALUES(?, ?, ?)",
                    (key, reply_to_json(reply), time.time()),
                ).rowcount
            )

    def wait_less(self) -> None:
        """Wait for other programs no longer: it would stop every game, at every answer."""
        self._patience = 0.05
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.execute(f"PRAGMA busy_timeout = {self._patience * 1000:.0f}")

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        """The open database; errors of SQLite and the disk become StoreError."""
        path = self._path
        try:
            if self._db is not None and self._db.outdated:
                self.close()
            if self._db is None:
                self._db = _open(path, self._replay, self._patience)
            yield self._db
        except (sqlite3.Error, TypeError, ValueError, LookupError, ArithmeticError) as error:
            text = " ".join(str(error).split())[:200]
            if any(word in text for word in _ACCESS_ERRORS):
                raise StoreError(
                    f"Cannot use the response cache {path} ({text}). Another program has locked "
                    f"it, it is read-only, or the disk is full; name another {setting('cache')}."
                ) from error
            raise StoreError(
                f"{path} is damaged or no response cache ({text}). Move it away to start a new one,"
                f" or name another {setting('cache')}."
            ) from error
        except OSError as error:
            raise StoreError(
                f"Cannot use the response cache {path}: {error.strerror or error}."
            ) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        db, self._db = self._db, None
        if db is not None:
            db.close()


# --- opening -------------------------------------------------------------------------------------


def check_replayable(path: Path) -> None:
    """Raise ModelUnusable if there is no file to replay from."""
    if not path.exists():
        raise ModelUnusable(
            f"There is no response cache at {path} to replay from. Record one first: "
            f"give the same command with {setting('cache_mode', 'readwrite')} and a key."
        )


def _open(path: Path, replay: bool, patience: float) -> Database:
    if replay:
        db = open_to_read(path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = open_to_write(path, timeout=patience, create=True)
    try:
        if not replay:
            _create(db)
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise ValueError("it is another program's file")
        if (found := _pragma(db, "user_version")) != USER_VERSION:
            raise ValueError(f"format {found}, and this version reads format {USER_VERSION}")
        if "answers" not in check_tables(db, layout(f"{_TABLES};")):
            raise ValueError("it has no answers")
        if not replay:
            _write_ahead(db)
    except BaseException:
        db.close()
        raise
    return db


def _pragma(db: Database, name: str) -> int:
    ((value,),) = rows(db, f"PRAGMA {name}")
    return int(value)


def _create(db: Database) -> None:
    """Make the tables in an empty file; only one process does."""
    if _pragma(db, "application_id") == APPLICATION_ID:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        if _pragma(db, "application_id") != APPLICATION_ID:
            if rows(db, "SELECT 1 FROM sqlite_master LIMIT 1"):
                raise ValueError("it is another program's file")
            db.execute(_TABLES)
            db.execute(f"PRAGMA user_version = {USER_VERSION}")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _write_ahead(db: Database) -> None:
    """Switch to WAL; SQLite's busy timeout does not cover two processes switching at once."""
    for attempt in range(100):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)


# --- claims --------------------------------------------------------------------------------------

_OWN_LOCKS = getattr(fcntl, "F_OFD_SETLK", None)
"""The system's call for locks that belong to an open file, not to the process; Linux has it."""


class Claims:
    """Which answers this process is asking for; other processes wait for them.

    Each is one locked byte of a file beside the cache. Where that cannot be (Windows, a folder that
    may not be written to), every process asks for itself.

    Args:
        cache: the file of the cache.
    """

    def __init__(self, cache: Path) -> None:
        self._path = cache.with_name(f"{cache.name}-claims")
        self._file: int | None = None
        self._usable = _OWN_LOCKS is not None

    def take(self, key: str) -> bool:
        """Claim an answer; False if another process has."""
        while self._usable:
            try:
                if self._file is None:
                    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                    self._file = open_regular(self._path, flags)
                self._set(fcntl.F_WRLCK, _place(key), 1)
                if self._is_current():
                    return True
                self.close()  # another process deleted the file when it ended
            except (BlockingIOError, PermissionError) as error:
                if self._file is not None:
                    return False
                self._usable = isinstance(error, BlockingIOError)
            except (OSError, ValueError):
                self._usable = False
        return True

    def give_up(self, key: str) -> None:
        """Let others ask for an answer."""
        if self._usable and self._file is not None:
            with suppress(OSError):
                self._set(fcntl.F_UNLCK, _place(key), 1)

    def _set(self, kind: int, start: int, length: int) -> None:
        assert self._file is not None
        assert _OWN_LOCKS is not None
        fcntl.fcntl(
            self._file, _OWN_LOCKS, struct.pack("hhqqi", kind, os.SEEK_SET, start, length, 0)
        )

    def _is_current(self) -> bool:
        assert self._file is not None
        try:
            return os.path.samestat(os.fstat(self._file), self._path.lstat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Give up all claims; the last process deletes the file."""
        if self._file is None:
            return
        with suppress(OSError):
            self._set(fcntl.F_WRLCK, 0, 0)  # fails while another process has a claim
            if self._is_current():
                self._path.unlink()
        os.close(self._file)
        self._file = None


def _place(key: str) -> int:
    """The byte that stands for a key."""
    return int.from_bytes(sha256(key.encode()).digest()[:7])
