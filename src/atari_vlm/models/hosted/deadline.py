"""How long an answer is waited for, and how many connections this process can hold.

The time-out of a request counts from its first byte on: not while it waits for a connection, and
not while this process is too busy to read what has arrived. Connecting has a limit of its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

CONNECT_S = 20.0
"""Most seconds to connect to a server."""

MOST_CONNECTIONS = 1000
KEPT_FREE = 16
"""File descriptors that are left for the record and the emulator."""

PATIENCE_S = 30.0
"""Most seconds to wait for a file descriptor or memory that this process lacks."""

Result = TypeVar("Result")
Trace = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Called with what happens to a request, as httpcore's extension "trace"."""


class TooSlow(Exception):
    """The answer was not there in time."""

    def __init__(self, timeout: float) -> None:
        super().__init__(f"no answer within {timeout:g} seconds")
        self.timeout = timeout


class Shortage(Exception):
    """This process lacks something that a connection needs; the server was not asked."""


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[Trace]:
    """Raise TooSlow if the body of the `with` is not done in time.

    Yields:
        What starts the clock, when a request begins to be sent.
    """
    loop, tick = asyncio.get_running_loop(), min(seconds / 8, 0.25)
    spent, before = 0.0, 0.0
    timer: asyncio.TimerHandle | None = None
    try:
        async with asyncio.timeout(None) as limit:

            def count() -> None:
                nonlocal spent, before, timer
                now = loop.time()
                spent += min(now - before, 2 * tick)  # longer: this process was busy
                before = now
                if spent > seconds + tick:  # what arrived in time was read in the last tick
                    limit.reschedule(now)
                else:
                    timer = loop.call_later(tick, count)

            async def trace(name: str, info: dict[str, Any]) -> None:
                nonlocal before, timer
                if timer is None and name.endswith("send_request_headers.started"):
                    before = loop.time()
                    timer = loop.call_later(tick, count)

            yield trace
    except TimeoutError:
        if not limit.expired():
            raise
        raise TooSlow(seconds) from None
    finally:
        if timer is not None:
            timer.cancel()


async def with_patience(connect: Callable[[], Awaitable[Result]]) -> Result:
    """Call until this process has what a connection needs, at most `PATIENCE_S` seconds.

    Raises:
        Shortage: it still lacks it.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while True:
        try:
            return await connect()
        except Exception as error:
            lacking = _lacking(error)
            if not lacking:
                raise
            if loop.time() > end:
                raise Shortage(lacking) from None
        await asyncio.sleep(0.1)


_SHORTAGES = {
    errno.EMFILE: "it may open no more files (`ulimit -n`)",
    errno.ENFILE: "the system may open no more files",
    errno.ENOMEM: "the memory is used up",
    errno.ENOBUFS: "the memory for connections is used up",
    errno.EADDRNOTAVAIL: "there is no free port (or no such address)",
}


def _lacking(error: BaseException | None) -> str:
    """What this process lacks, if an error or its cause says so."""
    for _ in range(10):
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            return _SHORTAGES[error.errno]
        if isinstance(error, MemoryError):
            return _SHORTAGES[errno.ENOMEM]
        if isinstance(error, BaseExceptionGroup):  # several addresses were tried
            every = [_lacking(each) for each in error.exceptions]
            return every[0] if all(every) else ""
        if error is None:
            break
        error = error.__cause__ or error.__context__
    return ""


def connections() -> int:
    """How many connections this process may hold, by the files that it may open."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows
        return MOST_CONNECTIONS
    allowed, _ = getrlimit(RLIMIT_NOFILE)
    if not 0 <= allowed < MOST_CONNECTIONS + KEPT_FREE + 100:
        return MOST_CONNECTIONS
    free = max(1, allowed - sum(1 for _ in _open_files()) - KEPT_FREE)
    if free < 100:
        warnings.warn(
            f"This process may open {allowed} files (`ulimit -n`), so at most {free} requests are "
            f"made at the same time; the others wait.",
            stacklevel=2,
        )
    return min(free, MOST_CONNECTIONS)


def _open_files() -> Iterator[str]:
    try:
        yield from os.listdir("/dev/fd")
    except OSError:
        yield from ("?",) * 32
