"""Waits for a coroutine from synchronous code, in a script or in a notebook."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
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
    in_thread = _InThread(work)
    with _on_ctrl_c(in_thread.cancel):
        in_thread.wait()


@contextmanager
def _on_ctrl_c(call: Callable[[], None]) -> Iterator[None]:
    """Call a function at Ctrl-C, instead of raising KeyboardInterrupt wherever the program is.

    That would leave `Thread.start` and, in Python 3.11, `Thread.join` with a wrong idea of whether
    the thread runs.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: call())
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
        self._cancelled = False
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def main() -> None:
            self._task = asyncio.current_task()
            if self._cancelled:  # before there was a task
                self.cancel()
            await self._work

        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(main())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def cancel(self) -> None:
        """Cancel the work; `wait` raises KeyboardInterrupt once it has ended."""
        self._cancelled = True
        if self._task is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    def wait(self) -> None:
        self._thread.start()
        while not self._ended.wait(POLL):
            pass
        if self._cancelled:
            raise KeyboardInterrupt
        if self._error is not None:
            raise self._error
