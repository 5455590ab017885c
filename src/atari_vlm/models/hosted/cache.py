"""The response cache: one SQLite file of answers, shared by any number of runs and processes.

The key of an answer is a hash of the model, the host, every setting that can change an answer, the
text, the legal actions, the palette indices of the frames, and a nonce. It does not depend on the
bytes of the request, which change with library versions. The nonce is the call's seed, so that two
samples of one prompt stay distinct and a rerun finds both. `share` omits it, so that equal states
get equal answers.

Whatever the model answered is stored, including refusals and garbage. Failures of the network
(timeouts, 5xx) are not. A replayed answer costs nothing; it keeps the tokens and seconds of its
recording, and `Usage.replayed` counts it. An answer is asked for once, however many tasks and
processes want it; if it cannot be stored, it is used all the same.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
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
from atari_vlm.models.hosted.cache_file import CacheFile, Claims, check_replayable
from atari_vlm.types import Frame, Message, Prompt, Reply

KEY_VERSION = 1
"""Incremented when the contents of a key change."""

POLL_EVERY = 0.05
"""Seconds between two looks for the answer that another process is asking for."""

MOST_UNSAVED = 10_000
"""Most answers that are kept in memory because they cannot be stored."""

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
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}
        self._unsaved: dict[str, Reply] = {}
        self._warned = False
        replay = settings.mode == "replay"
        if replay:
            check_replayable(settings.file)
        self._file = CacheFile(settings.file, replay=replay)
        self._claims = Claims(settings.file)

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
                "another seed, or no answer came then, as errors of server or network are not "
                f"stored. {setting('cache_mode', 'readwrite')} asks for missing answers."
            )
        return await self._ask(key, partial(self._ask_once, key, ask))

    async def _ask_once(self, key: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """Ask, unless another process is asking or has just asked; then its answer is returned."""
        if self._settings.mode == "refresh":
            return self._store(key, await ask())
        while not self._claims.take(key):
            await asyncio.sleep(POLL_EVERY)
        try:
            if (stored := self._find(key)) is not None:
                return _replayed(stored)
            return self._store(key, await ask())
        finally:
            self._claims.give_up(key)

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
            reply = await ask()
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
        return self._unsaved.get(key) or self._file.find(key)

    def _store(self, key: str, reply: Reply) -> Reply:
        """Commit an answer. If another process stored one first, that answer is returned.

        An answer that was paid for is never lost because it cannot be stored: it is kept in memory.
        """
        refresh = self._settings.mode == "refresh"
        try:
            new = self._file.store(key, reply, replace=refresh)
            other = None if new else self._file.find(key)
        except StoreError as error:
            if len(self._unsaved) < MOST_UNSAVED:
                self._unsaved[key] = reply
            if not self._warned:
                self._warned = True
                self._file.wait_less()
                warnings.warn(f"{error} Answers are used without being stored there.", stacklevel=2)
            return reply
        self._unsaved.pop(key, None)
        return reply if other is None else replace(other, usage=reply.usage)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()
        self._claims.close()


def _replayed(reply: Reply) -> Reply:
    usage = replace(
        reply.usage,
        dollars=0.0,
        replayed=1,
        uncertain=0,
        uncertain_tokens=0,
        uncertain_dollars=0.0,
        uncounted=0,  # nothing is charged at the most it could be
    )
    return replace(reply, usage=usage)
