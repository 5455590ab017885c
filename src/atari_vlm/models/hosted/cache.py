"""Answers kept for other runs: one SQLite file that many runs and processes may share.

An answer is found by what was asked, never by the bytes that were sent, which change with every
version of a library: model, host, every setting that can change an answer, the words, the legal
actions, the pixels of the frames before they are coloured, and a nonce. The nonce is the call's
seed, so that two samples of one question stay two samples and a rerun finds both; `share` leaves it
out, and equal states get equal answers.

What a model said is kept, refusals and garbage included; what the network did (timeouts, 5xx) is
not. A replayed answer costs nothing: its tokens and seconds are those of its recording, and
`Usage.replayed` counts it.
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
)
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.types import Frame, Message, Prompt, Reply

KEY_VERSION = 1
"""Raised when what a key means changes."""

APPLICATION, FORMAT = 0x41564D43, 1
"""What marks a file as a response cache, and the layout of its tables."""

BUSY_S = 30.0
"""Most seconds to wait for another process that writes."""

Mode: TypeAlias = Literal["off", "readwrite", "replay", "refresh"]
"""readwrite: ask what is not there. replay: never ask. refresh: ask everything anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Where answers are kept, and how they are used."""

    file: Path
    mode: Mode = "readwrite"
    share: bool = False
    """Whether equal questions get one answer, whatever their seeds."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InvalidSetting(
                f"No --cache-mode is called {self.mode!r}. Choose from: "
                f"{', '.join(get_args(Mode))}."
            )


def key_of(settings: Mapping[str, Any], prompt: Prompt, nonce: str) -> str:
    """The name of a question.

    Args:
        settings: those that can change an answer.
        prompt: its frames count by their pixels, not by their place in an episode.
        nonce: tells equal questions apart that are to have answers of their own.
    """
    asked = [
        KEY_VERSION,
        sorted(settings.items()),
        [_told(message) for message in prompt.messages],
        [prompt.legal, prompt.longest, prompt.plans, prompt.image_size, prompt.json],
        nonce,
    ]
    return sha256(json.dumps(asked).encode()).hexdigest()


def _told(message: Message) -> list[Any]:
    parts = [_digest(part) if isinstance(part, Frame) else part for part in message.parts]
    return [message.role, parts]


@lru_cache(maxsize=1024)
def _digest(frame: Frame) -> list[Any]:
    pixels = frame.pixels
    return [sha256(pixels.tobytes()).hexdigest(), pixels.shape, frame.standard]


class ResponseCache:
    """One file of answers.

    Raises:
        StoreError: the file is damaged, something else, or cannot be written.
        ModelUnusable: a replay has no file to replay from.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._db: sqlite3.Connection | None = None
        self._asking: dict[str, asyncio.Future[Reply]] = {}
        if settings.mode == "replay" and not settings.file.is_file():
            raise ModelUnusable(
                f"There is no response cache at {settings.file} to replay from. Record one first: "
                f"give the same command with --cache-mode readwrite and a key."
            )
        with self._opened():  # what cannot work says so before anything is played
            pass

    @property
    def shares(self) -> bool:
        """Whether equal questions get one answer."""
        return self._settings.share

    async def through(self, key: str, who: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """The kept answer, or that of `ask`, which is then kept.

        A question that is being asked already is waited for, not asked twice.

        Raises:
            ModelUnusable: the answer is not there and the mode is "replay".
            Whatever `ask` raises; it is not kept.
        """
        while (asking := self._asking.get(key)) is not None:
            reply = await self._wait(asking)
            if reply is not None:
                return _replayed(reply)
        kept = None if self._settings.mode == "refresh" else self._find(key)
        if kept is not None:
            return _replayed(kept)
        if self._settings.mode == "replay":
            raise ModelUnusable(
                f"{self._settings.file} has no answer of {who} to this question, so this run cannot"
                " be replayed from it: it was recorded with other settings, another version or "
                "another seed. --cache-mode readwrite asks what is missing."
            )
        return await self._lead(key, ask)

    async def _wait(self, asking: asyncio.Future[Reply]) -> Reply | None:
        """What another call was answered; None if it was stopped, and this one must ask."""
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not asking.cancelled() or (task is not None and task.cancelling()):
                raise  # this call was stopped, not only the other
            return None
        except BudgetExceeded:  # of the other's episode
            return None
        except ModelFault as fault:  # its requests are counted where they were made
            raise ModelFault(fault.kind, str(fault), Lost()) from None

    async def _lead(self, key: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        asking = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            reply = self._keep(key, await ask())
            asking.set_result(reply)
            return reply
        except asyncio.CancelledError:
            asking.cancel()
            raise
        except BaseException as error:
            asking.set_exception(error)
            asking.exception()  # nobody need be waiting for it
            raise
        finally:
            del self._asking[key]

    # -- the file -------------------------------------------------------------------------------

    def _find(self, key: str) -> Reply | None:
        with self._opened() as db:
            row = db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
            return reply_from_json(row[0]) if row else None

    def _keep(self, key: str, reply: Reply) -> Reply:
        """Commit an answer. Where another process was faster, its words are kept and count."""
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
        """The open file; what SQLite and the disk say becomes one sentence."""
        path = self._settings.file
        try:
            if self._db is None:
                self._db = _open(path)
            yield self._db
        except (sqlite3.Error, TypeError, ValueError, KeyError) as error:
            text = str(error)
            if any(word in text for word in _AROUND_IT):
                raise StoreError(
                    f"Cannot use the response cache {path} ({text}). Another program holds it, or "
                    "it may not be written to, or the disk is full; name another --cache."
                ) from error
            raise StoreError(
                f"{path} is damaged or no response cache ({text}). Move it away to start a new one,"
                " or name another --cache."
            ) from error
        except OSError as error:
            raise StoreError(
                f"Cannot use the response cache {path}: {error.strerror or error}."
            ) from error

    def close(self) -> None:
        """Let go of the file; using the cache again opens it."""
        db, self._db = self._db, None
        if db is not None:
            db.close()


_AROUND_IT = ("locked", "readonly", "unable to open", "full", "I/O")
"""Words of SQLite for what is wrong around a file, not in it."""


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
    # A trainer plays in a thread of its own where an event loop runs already; one at a time.
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
        db.execute("BEGIN IMMEDIATE")  # of several processes one makes the tables
        if db.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise ValueError("it is another program's file")
            db.execute(
                "CREATE TABLE answers(key TEXT PRIMARY KEY, reply TEXT NOT NULL, written REAL)"
                " WITHOUT ROWID"
            )
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("COMMIT")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found != FORMAT:
        raise ValueError(f"format {found}, and this version reads format {FORMAT}")
    _write_ahead(db)
    db.execute("PRAGMA synchronous = NORMAL")


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to WAL, for which SQLite does not wait while another process switches."""
    for attempt in range(100):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
