"""How fast one account is asked: at the same time, per minute, and not while it says to wait.

One limiter stands before each (vendor or host, key) of this process, however many models and games
share it: what a 429 tells one game holds for all. It guards requests, so every try passes it anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from weakref import WeakKeyDictionary

from atari_vlm.errors import InvalidSetting


class Clock(Protocol):
    """Time, which tests pass by themselves."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class RealClock:
    """The time of the machine."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a model may be asked; None for no limit of ours."""

    concurrency: int | None = None
    """Most requests at the same time."""
    per_minute: float | None = None
    """Most requests a minute, evenly spaced: no burst at the start of each."""

    def __post_init__(self) -> None:
        if self.concurrency is not None and not self.concurrency >= 1:
            raise InvalidSetting(f"concurrency is at least 1, not {self.concurrency!r}.")
        if self.per_minute is not None and not 0 < self.per_minute < float("inf"):
            raise InvalidSetting(f"rpm is above 0, not {self.per_minute!r}.")


class Limiter:
    """The queue before one account. Use `limiter_for` to find the one all models share."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._busy = 0
        self._next = self._cool_until = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, rate: Rate) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for one request."""
        while rate.concurrency is not None and self._busy >= rate.concurrency:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._busy += 1
        try:
            while (wait := max(self._next, self._cool_until) - self._clock.now()) > 0:
                await self._clock.sleep(wait)
            if rate.per_minute is not None:  # no await since the test: this turn is ours
                self._next = self._clock.now() + 60 / rate.per_minute
            yield
        finally:
            self._busy -= 1
            waiting, self._waiting = self._waiting, deque()
            for turn in waiting:  # all of them, in order: their models may have other limits
                if not turn.done():
                    turn.set_result(None)

    def cool(self, seconds: float) -> None:
        """Nobody asks for that long: the account was told to slow down."""
        self._cool_until = max(self._cool_until, self._clock.now() + seconds)


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Limiter]] = (
    WeakKeyDictionary()
)


def limiter_for(account: str, key: str, clock: Clock) -> Limiter:
    """The limiter that every model of this event loop shares for an account.

    Args:
        account: the vendor, or the address of a server.
        key: told from other keys by its hash, which stays in memory.
        clock: of the limiter, if it is new; models with a clock of their own share none.
    """
    if not isinstance(clock, RealClock):
        return Limiter(clock)
    shared = _SHARED.setdefault(asyncio.get_running_loop(), {})
    place = (account, sha256(key.encode()).hexdigest())
    return shared.setdefault(place, Limiter(clock))
