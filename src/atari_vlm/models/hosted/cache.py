"""The response cache: one SQLite file of answers, shared by any number of runs and processes.

The key of an answer is a hash of the model, the host, every setting that can change an answer, the
text, the legal actions, the palette indices of the frames, and a nonce. It does not depend on the
bytes of the request, which change with library versions. The nonce is the call's seed, so that two
samples of one prompt stay distinct and a rerun finds both. `share` omits it, so that equal states
get equal answers.

Whatever the model answered is stored, including refusals and garbage. Failures of the network
(timeouts, 5xx) are not. A replayed answer costs nothing; it keeps the tokens and seconds of its
recording, and `Usage.replayed` counts it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from atari_vlm.errors import (
    BudgetExceeded,
    InvalidSetting,
    Lost,
    ModelFault,
    ModelUnusable,
    StoreError,
    setting,
)
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.types import Frame, Message, Prompt, Reply

KEY_VERSION = 1
"""Incremented when the contents of a key change."""

APPLICATION_ID, USER_VERSION = 0x41564D43, 1
"""SQLite header fields: a response cache, and the version of its tables."""

BUSY_TIMEOUT_S = 30.0
"""Most seconds to wait while another process writes."""

CacheMode: TypeAlias = Literal["off", "readwrite", "replay", "refresh"]
"""readwrite: ask the model if an answer is missing. replay: never ask. refresh: always ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """The file of the response cache and how to use it."""

    file: Path
    mode: CacheMode = "readwrite"
    share: bool = False
    """Whether equal prompts get the same answer, regardless of the seed."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(CacheMode):
            raise InvalidSetting(
                f"No {setting('cache_mode')} is called {self.mode!r}. Choose from: "
                f"{', '.join(get_args(CacheMode))}."
            )


def cache_key(settings: Mapping[str, Any], prompt: Prompt, nonce: str) -> str:
    """The key of a prompt's answer.

    Args:
        settings: those that can change an answer.
        prompt: frames count by their pixels, not by their episode and step.
        nonce: distinguishes equal prompts that need answers of their own.
    """
    content = [
        KEY_VERSION,
        sorted(settings.items()),
        [_message(message) for message in prompt.messages],
        [prompt.legal, prompt.longest, prompt.plans, prompt.image_size, prompt.json],
        nonce,
    ]
    return sha256(json.dumps(content).encode()).hexdigest()


def _message(message: Message) -> list[Any]:
    parts = [_digest(part) if isinstance(part, Frame) else part for part in message.parts]
    return [message.role, parts]


@lru_cache(maxsize=1024)
def _digest(frame: Frame) -> list[Any]:
    pixels = frame.pixels
    return [sha256(pixels.tobytes()).hexdigest(), pixels.shape, frame.standard]


class ResponseCache:
    """An open response cache.

    Raises:
        StoreError: the file is damaged, is not a response cache, or cannot be written.
        ModelUnusable: the mode is "replay" and there is no file.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._db: sqlite3.Connection | None = None
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}
        if settings.mode == "replay" and not settings.file.is_file():
            raise ModelUnusable(
                f"There is no response cache at {settings.file} to replay from. Record one first: "
                f"give the same command with {setting('cache_mode', 'readwrite')} and a key."
            )
        with self._opened():  # fails before anything is played
            pass

    @property
    def shares(self) -> bool:
        """Whether equal prompts get the same answer."""
        return self._settings.share

    async def get_or_ask(self, key: str, name: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """Return the stored answer, or call `ask` and store its answer.

        If another task is already asking for this key, waits for its answer.

        Args:
            key: from `cache_key`.
            name: of the model, for messages.
            ask: gets the answer from the model. Its errors are not stored.

        Raises:
            ModelUnusable: the answer is missing and the mode is "replay".
        """
        while (pending := self._in_flight.get(key)) is not None:
            reply = await self._wait(pending)
            if reply is not None:
                return _replayed(reply)
        stored = None if self._settings.mode == "refresh" else self._find(key)
        if stored is not None:
            return _replayed(stored)
        if self._settings.mode == "replay":
            raise ModelUnusable(
                f"{self._settings.file} has no answer of {name} to this prompt, so this run cannot"
                " be replayed from it: it was recorded with other settings, another version or "
                f"another seed. {setting('cache_mode', 'readwrite')} asks for missing answers."
            )
        return await self._ask(key, ask)

    async def _wait(self, pending: asyncio.Future[Reply]) -> Reply | None:
        """Another task's answer; None if that task was cancelled or its episode's cap reached."""
        try:
            return await asyncio.shield(pending)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not pending.cancelled() or (task is not None and task.cancelling()):
                raise  # this task was cancelled, not only the other
            return None
        except BudgetExceeded:
            return None
        except ModelFault as fault:  # the other task counts what its requests may have cost
            raise ModelFault(fault.kind, fault.message, Lost()) from None

    async def _ask(self, key: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        pending = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            reply = self._store(key, await ask())
            pending.set_result(reply)
            return reply
        except asyncio.CancelledError:
            pending.cancel()
            raise
        except BaseException as error:
            pending.set_exception(error)
            pending.exception()  # marks it as retrieved, as no task may be waiting
            raise
        finally:
            del self._in_flight[key]

    # -- the file -------------------------------------------------------------------------------

    def _find(self, key: str) -> Reply | None:
        with self._opened() as db:
            row = db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
            return reply_from_json(row[0]) if row else None

    def _store(self, key: str, reply: Reply) -> Reply:
        """Commit an answer. If another process stored one first, that answer is returned."""
        verb = "REPLACE" if self._settings.mode == "refresh" else "IGNORE"
        with self._opened() as db:
            new = db.execute(
                f"INSERT OR {verb} INTO answers VALUES(?, ?, ?)",
                (key, reply_to_json(reply), time.time()),
            ).rowcount
        other = None if new else self._find(key)
        return reply if other is None else replace(other, usage=reply.usage)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The open database; errors of SQLite and the disk become StoreError."""
        path = self._settings.file
        try:
            if self._db is None:
                self._db = _open(path)
            yield self._db
        except (sqlite3.Error, TypeError, ValueError, KeyError) as error:
            text = str(error)
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


_ACCESS_ERRORS = ("locked", "readonly", "unable to open", "full", "I/O")
"""Words in SQLite's messages for errors of access, not of content."""


def _replayed(reply: Reply) -> Reply:
    usage = replace(
        reply.usage,
        dollars=0.0,
        replayed=1,
        uncertain=0,
        uncertain_tokens=0,
        uncertain_dollars=0.0,
    )
    return replace(reply, usage=usage)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # If an event loop is already running, a trainer plays in its own thread; one at a time.
    db = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        db.execute("BEGIN IMMEDIATE")  # only one process creates the tables
        if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise ValueError("it is another program's file")
            db.execute(
                "CREATE TABLE answers(key TEXT PRIMARY KEY, reply TEXT NOT NULL, written REAL)"
                " WITHOUT ROWID"
            )
            db.execute(f"PRAGMA user_version = {USER_VERSION}")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("COMMIT")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found != USER_VERSION:
        raise ValueError(f"format {found}, and this version reads format {USER_VERSION}")
    _write_ahead(db)
    db.execute("PRAGMA synchronous = NORMAL")


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite's busy timeout does not cover two processes switching at once."""
    for attempt in range(100):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
