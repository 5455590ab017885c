"""SQLite files, opened as data: limits on what they hold, and nothing in them that could run.

A file that is read is never changed, and nothing is left beside it: one that is at rest is opened
as it is, one with a write-ahead log, of a program that is writing or was killed, is copied first.
Reasons are short, as in `untrusted`; the caller makes a sentence of them.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from atari_vlm.files.snapshots import COPY, MOST_BYTES, copied, has_log

MOST_VALUE = 32 * 2**20
"""The longest text or blob, and the longest row, in bytes."""

MOST_ROWS = 1_000_000
"""Rows that one query returns unless the caller names another limit."""

MOST_MEMORY = 512 * 2**20
"""Bytes of Python values that one query returns."""

MOST_WORK = 100_000_000
"""Instructions of SQLite's virtual machine (10 to 60 ns each) that one query may take."""

_EVERY = 100_000
"""Instructions between two looks at how much work is left."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MOST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_PRAGMAS = (
    "trusted_schema = OFF",  # what the file defines may call no function with side effects
    "cell_size_check = ON",
    "mmap_size = 0",  # a file that shrinks while it is mapped would end the process
)

_COPIES = 5
"""Attempts to copy a file beside its writer; after them SQLite copies it, as one more reader."""

_SIDE_FILES = ("-wal", "-shm", "-journal")


class Column(NamedTuple):
    """A column of a table."""

    kind: str
    """The type it was declared with."""
    key: int
    """Its place in the primary key, from 1; 0 if it is not part of it."""


Layout: TypeAlias = Mapping[str, Mapping[str, Column]]
"""Table -> its columns."""


class Database(sqlite3.Connection):
    """A connection made by `open_to_read`, `open_to_write` or `create`."""

    _opened: tuple[Path, tuple[int, ...]] | None = None
    _copy: Path | None = None

    @property
    def outdated(self) -> bool:
        """Whether the file has been written to since it was opened for reading.

        What was read since then may be a mixture of two moments, so open it again. A copy is never
        outdated.
        """
        if self._opened is None:
            return False
        path, stamp = self._opened
        try:
            return _stamp(path) != stamp or has_log(path)
        except (OSError, ValueError):  # deleted: what is open stays as it is
            return False

    def close(self) -> None:
        """Close it, and delete the copy if there is one."""
        super().close()
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)


# --- opening -------------------------------------------------------------------------------------


def open_to_read(path: Path) -> Database:
    """Open a file as it is at this moment, without changing it or its folder.

    Args:
        path: a regular file, or a link to one. Another program may be writing to it.

    Raises:
        ValueError: it is no regular file or too long, or is written to all the time.
        OSError: it cannot be read.
        sqlite3.Error: it is no SQLite file, or damaged.
    """
    path = path.resolve()
    for attempt in range(_COPIES + 1):
        stamp = _stamp(path)
        if not has_log(path):
            db = _connect(f"{path.as_uri()}?mode=ro&immutable=1")
            db._opened = (path, stamp)
            if not db.outdated:
                return _without_writing(db)
            db.close()
            continue
        folder = Path(tempfile.mkdtemp(prefix="atari-vlm-"))
        try:
            if attempt == _COPIES:
                _back_up(path, folder)
                return _without_writing(_open_copy(folder))
            if copied(path, folder):
                return _without_writing(_open_copy(folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)
    raise ValueError("it was written to all the time while it was to be opened")


def open_to_write(path: Path, *, timeout: float = 10.0, create: bool = False) -> Database:
    """Open a file of ours to continue it; each statement outside a transaction commits by itself.

    Args:
        path: neither the file nor its log may be a link.
        timeout: most seconds to wait for another program that is writing.
        create: make an empty file if there is none.

    Raises:
        ValueError: it is no regular file, a link, or too long.
        OSError: it cannot be read, or there is none.
        sqlite3.Error: it is no SQLite file, or damaged.
    """
    path = path.parent.resolve() / path.name
    if create:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    _check_own(path, required=True)
    for suffix in _SIDE_FILES:
        _check_own(path.with_name(path.name + suffix))
    _check_journal(path.with_name(path.name + "-journal"))
    return _connect(f"{path.as_uri()}?mode=rw", timeout)


def _connect(address: str, timeout: float = 10.0) -> Database:
    # Used in another thread if an event loop is running already, as in a notebook; one at a time.
    db: Database = sqlite3.connect(
        address,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=Database,
        uri=True,
    )
    try:
        for limit, most in _LIMITS.items():
            db.setlimit(limit, most)
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db


def _without_writing(db: Database) -> Database:
    try:
        db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to.

    Raises:
        ValueError: it is no regular file, or too long.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError(f"{path.name} is no regular file")
    if about.st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has {about.st_size:,} bytes; {MOST_BYTES:,} are read")
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _check_own(path: Path, *, required: bool = False) -> None:
    """Raise unless a file can be written to without touching anything elsewhere."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        if required:
            raise
        return
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        raise ValueError(f"{path.name} is a link, or no regular file")
    if about.st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has {about.st_size:,} bytes; {MOST_BYTES:,} are read")


_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


def _check_journal(path: Path) -> None:
    """Raise if a rollback journal names another file, which SQLite would delete."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - len(_JOURNAL_MAGIC)))
            end = file.read()
    except FileNotFoundError:
        return
    if end == _JOURNAL_MAGIC:
        raise ValueError(f"{path.name} names another file")


def _back_up(path: Path, folder: Path) -> None:
    """Copy a file whose writer starts its log anew faster than the file can be copied.

    A reader is registered with the writer for that time, in the "-shm" file that both have open.
    """
    with (
        closing(_connect(f"{path.as_uri()}?mode=ro")) as db,
        closing(sqlite3.connect(folder / COPY)) as copy,
    ):
        db.backup(copy)


def _open_copy(folder: Path) -> Database:
    """Open a copy, and delete it at once where an open file may be deleted."""
    db = _connect(f"{(folder / COPY).as_uri()}?mode=rw")
    db._copy = folder
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA synchronous = OFF")
        rows(db, "SELECT name FROM sqlite_master LIMIT 1")  # reads the log
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        db.close()
        raise
    return db


# --- what a file holds ---------------------------------------------------------------------------

_MOST_OBJECTS = 200

_KEYWORDS = "create table primary key unique not null default without rowid integer text real blob"
_WORDS = frozenset(_KEYWORDS.split()) | {"(", ")", ",", "''", "0"}
"""What the definition of a table of ours is made of, beside its names: nothing that is computed."""

_TOKEN = re.compile(r"\w+|''|\S")


@lru_cache(maxsize=8)
def layout(script: str) -> Layout:
    """The tables that a script of CREATE TABLE statements makes."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql != ''")]
        return {name: _columns(db, name) for name in names}


def check_tables(db: sqlite3.Connection, allowed: Layout, *, others: bool = False) -> Layout:
    """The tables of a file, if they are plain ones with columns of ours.

    Args:
        db: the open file.
        allowed: tables and columns that it may have. It may lack some, but no part of a key.
        others: whether other tables are passed over; they must not be used.

    Raises:
        ValueError: it holds something else: a view, a trigger, an index, computed or other columns.
        sqlite3.Error: it is damaged.
    """
    query = "SELECT type, name, tbl_name, rootpage, sql FROM main.sqlite_master LIMIT ?"
    found: dict[str, Mapping[str, Column]] = {}
    for kind, name, table, root, definition in rows(db, query, (_MOST_OBJECTS,)):
        if others and table not in allowed:
            continue
        if kind == "index" and definition is None and table in allowed:
            continue  # made by SQLite itself, for a key
        if kind != "table" or name not in allowed or name != table or not root:
            raise ValueError(f"it holds the {kind} {name!r}")
        columns, ours = _columns(db, name), allowed[name]
        names = {each.lower() for each in (name, *ours)}
        words = {word.lower() for word in _TOKEN.findall(str(definition))}
        if unknown := sorted(words - names - _WORDS):
            raise ValueError(f"its table {name!r} is defined with {unknown[0]!r}")
        keys = {column: about for column, about in ours.items() if about.key}
        if not keys.items() <= columns.items() <= ours.items():
            raise ValueError(f"its table {name!r} has other columns")
        found[name] = columns
    return found


def _columns(db: sqlite3.Connection, table: str) -> dict[str, Column]:
    about = rows(db, "SELECT name, type, pk FROM pragma_table_xinfo(?, 'main')", (table,))
    return {name: Column(kind, key) for name, kind, key in about}


# --- reading -------------------------------------------------------------------------------------


def rows(
    db: sqlite3.Connection,
    query: str,
    values: Sequence[Any] = (),
    *,
    most: int = MOST_ROWS,
) -> list[tuple[Any, ...]]:
    """The rows of a query.

    Raises:
        ValueError: more than `most` rows, more memory or more work than a file of ours can need.
        sqlite3.Error: the file is damaged.
    """
    left = MOST_WORK // _EVERY

    def is_enough() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    found: list[tuple[Any, ...]] = []
    memory = 0
    db.set_progress_handler(is_enough, _EVERY)
    try:
        for row in db.execute(query, values):
            found.append(row)
            memory += sum(map(sys.getsizeof, row))
            if len(found) > most:
                raise ValueError(f"it holds more than {most:,} rows of one kind")
            if memory > MOST_MEMORY:
                raise ValueError(f"it holds more than {MOST_MEMORY:,} bytes of one kind")
    except sqlite3.OperationalError as error:
        if left < 0:
            raise ValueError("it takes too much work to read") from error
        raise
    finally:
        db.set_progress_handler(None, 0)
    return found
