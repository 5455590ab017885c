"""Waits for a coroutine from synchronous code, in a script or in a notebook."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

POLL = 0.25
"""Seconds between two looks for Ctrl-C on Windows, where it does not interrupt a wait."""


def wait_for(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end.

    If an event loop is running already, as in a notebook, it runs in a thread of its own. Ctrl-C
    cancels it there as it does elsewhere.

    Raises:
        KeyboardInterrupt: after the work was cancelled and has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with _interruptible():
        _InThread(work).wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the main thread.

    `asyncio.run` installs a handler that only cancels its task, which cannot end before the wait.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _InThread:
    """An event loop in a thread, with one task."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def main() -> None:
            self._task = asyncio.current_task()
            self._started.set()
            await self._work

        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(main())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()
            self._ended.set()

    def wait(self) -> None:
        self._thread.start()
        try:
            self._join()
        except KeyboardInterrupt:
            self._started.wait()
            if self._task is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._task.cancel)
            self._join()
            raise
        if self._error is not None:
            raise self._error

    def _join(self) -> None:
        # Not `Thread.join`: KeyboardInterrupt in it makes Python 3.11 take the thread for ended.
        while not self._ended.wait(POLL):
            pass
