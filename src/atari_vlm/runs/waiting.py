"""Waits for a coroutine from synchronous code, in a script or in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


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
    _InThread(work).wait()


class _InThread:
    """An event loop in a thread, with one task."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
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

    def wait(self) -> None:
        self._thread.start()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self._started.wait()
            if self._task is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
            raise
        if self._error is not None:
            raise self._error
