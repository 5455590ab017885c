"""Limits on concurrent requests and requests per minute, and pauses after a rate limit.

All models and games of this process that use the same vendor (or host) and key share one limiter,
so a 429 that one game receives delays all of them. Every retry passes the limiter again.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from weakref import WeakKeyDictionary

from atari_vlm.errors import InvalidSetting, setting

LONG = 10.0
"""Seconds from which on a wait is said."""

SAID_EVERY = 60.0
"""Least seconds until the same is said again."""


class Clock(Protocol):
    """Time and sleep; tests substitute their own."""

    def now(self) -> float:
        """Seconds since a fixed moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class RealClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        """Seconds since a fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Limits on the requests to one model; None for no limit."""

    concurrency: int | None = None
    """Most requests in flight."""
    per_minute: float | None = None
    """Most requests per minute, evenly spaced, without a burst at the start of each minute."""

    def __post_init__(self) -> None:
        if self.concurrency is not None and not self.concurrency >= 1:
            raise InvalidSetting(
                f"{setting('concurrency')} must be at least 1, not {self.concurrency!r}."
            )
        if self.per_minute is not None and not 0 < self.per_minute < float("inf"):
            raise InvalidSetting(f"{setting('rpm')} must be above 0, not {self.per_minute!r}.")


def _silent(sentence: str) -> None:
    pass


class Limiter:
    """The limiter of one vendor's account. Use `limiter_for` to get the shared one.

    Args:
        clock: for waits.
        say: called with a sentence about a long wait.
    """

    def __init__(self, clock: Clock, say: Callable[[str], None] = _silent) -> None:
        self._clock, self._say = clock, say
        self._said: dict[str, float] = {}
        self._in_flight = 0
        self._next = self._paused_until = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, rate: Rate) -> AsyncIterator[None]:
        """Wait until a request may be sent; the context holds its slot until it is done."""
        began = self._clock.now()
        while rate.concurrency is not None and self._in_flight >= rate.concurrency:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
            limit = f"the limit of {rate.concurrency:,} at the same time"
            self._say_wait(self._clock.now() - began, limit)
        self._in_flight += 1
        began = self._clock.now()
        try:
            while (wait := max(self._next, self._paused_until) - self._clock.now()) > 0:
                if rate.per_minute is not None and self._next >= self._paused_until:
                    limit = f"the limit of {rate.per_minute:g} a minute"
                    self._say_wait(self._clock.now() - began + wait, limit)
                await self._clock.sleep(wait)
            if rate.per_minute is not None:  # no await since the check: the slot is still free
                self._next = self._clock.now() + 60 / rate.per_minute
            yield
        finally:
            self._in_flight -= 1
            waiting, self._waiting = self._waiting, deque()
            for turn in waiting:  # wake all in order, because their models may have other limits
                if not turn.done():
                    turn.set_result(None)

    def _say_wait(self, seconds: float, limit: str) -> None:
        if limit not in self._said:  # the user's own limits are said once
            self.say(seconds, limit, f"Requests wait {seconds:,.0f} seconds because of {limit}.")

    def say(self, seconds: float, what: str, sentence: str) -> None:
        """Say why requests wait, if they wait long and it was not said just now.

        Args:
            seconds: that they wait.
            what: they wait for.
            sentence: about it.
        """
        now = self._clock.now()
        if seconds >= LONG and now - self._said.get(what, float("-inf")) >= SAID_EVERY:
            self._said[what] = now
            self._say(sentence)

    def pause(self, seconds: float) -> None:
        """Let no request start for this long, because the vendor reported a rate limit.

        Nonsense (a negative number, infinity, NaN) pauses nothing.
        """
        if 0 <= seconds < float("inf"):
            self._paused_until = max(self._paused_until, self._clock.now() + seconds)


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Limiter]] = (
    WeakKeyDictionary()
)


def limiter_for(host: str, key: str, clock: Clock) -> Limiter:
    """The limiter that all models of this event loop share for a host and key.

    Args:
        host: the vendor, or the address of a server.
        key: the API key; only its hash is kept, in memory.
        clock: of a new limiter. A model with a clock of its own shares no limiter.
    """
    if not isinstance(clock, RealClock):
        return Limiter(clock)
    shared = _SHARED.setdefault(asyncio.get_running_loop(), {})
    account = (host, sha256(key.encode()).hexdigest())
    if account not in shared:
        shared[account] = Limiter(clock, _warn)
    return shared[account]


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)
