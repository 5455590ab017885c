"""Waits for a coroutine from synchronous code, and stops it when the process is asked to end.

Ctrl-C stops once, at once and cleanly: what is in flight is cancelled and written off, the run is
paused and closed. Within `stoppable` the signals SIGTERM and SIGHUP do the same.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

POLL = 0.25
"""Seconds between two looks for Ctrl-C: it does not interrupt a wait on Windows, nor anywhere one
that just begins, and Python runs its handler only when the main thread is awake."""

AGAIN = 2.0
"""Seconds after a signal in which others are ignored: two presses, or the same Ctrl-C twice."""

DEAF = 0.7
"""Seconds after which a coroutine that has not heard of a stop is taken to compute without waiting;
it is then interrupted where it is."""


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""The signals that ask a process to end. Windows has no SIGHUP."""


class Stopped(KeyboardInterrupt):
    """Another signal than Ctrl-C asked the process to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def stop_of(number: int) -> KeyboardInterrupt:
    """What a signal raises: for Ctrl-C what Python raises."""
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code that shells expect: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


# --- signals -------------------------------------------------------------------------------------


class _Stops:
    """What the signals of this process do."""

    def __init__(self) -> None:
        self.cancels: list[Callable[[int], None]] = []
        """The coroutines that are waited for, innermost last."""
        self.last = float("-inf")
        self.deaf = False
        """The next signal comes from this process, whose coroutine did not hear of the first."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Cancel what is waited for, or raise `KeyboardInterrupt` where the program is."""
        now = time.monotonic()
        if self.deaf:
            self.deaf = False
            raise stop_of(number)
        if now - self.last < AGAIN:
            return
        again, self.last = self.last > float("-inf"), now
        if self.cancels and not again:
            self.cancels[-1](number)
        else:
            raise stop_of(number)


_STOPS = _Stops()


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the block as Ctrl-C does, with `Stopped`; only the first counts.

    Signals that are ignored (`nohup`) or handled by someone else are left alone, and so is a thread
    other than the main one.
    """
    with _handling({name: signal.SIG_DFL for name in SIGNALS}):
        yield


@contextmanager
def _handling(names: dict[str, object]) -> Iterator[None]:
    """Handle signals for the block.

    Args:
        names: each with the handler that is replaced; SIG_DFL also for Python's own of Ctrl-C.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name, replaced in names.items():
            if (number := getattr(signal, name, None)) is None:
                continue
            found = signal.getsignal(number)
            default = replaced is signal.SIG_DFL and found is signal.default_int_handler
            if found is replaced or default:
                before[number] = signal.signal(number, _STOPS.handle)
    if before:
        _STOPS.last, _STOPS.deaf = float("-inf"), False
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _cancelling(cancel: Callable[[int], None], *, in_thread: bool) -> Iterator[None]:
    """Let signals call `cancel` for the block, instead of raising wherever the program is.

    That would leave `Thread.start` and, in Python 3.11, `Thread.join` with a wrong idea of whether
    the thread runs.
    """
    found = signal.getsignal(signal.SIGINT)
    with _handling({"SIGINT": found if in_thread and callable(found) else signal.SIG_DFL}):
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        _STOPS.cancels.append(cancel)
        try:
            yield
        finally:
            _STOPS.cancels.remove(cancel)


# --- waiting -------------------------------------------------------------------------------------


def wait_for(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end.

    If an event loop is running already, as in a notebook, it runs in a thread of its own. Ctrl-C
    cancels it there as it does elsewhere.

    Raises:
        KeyboardInterrupt: after the work was cancelled and has ended.
        OSError: this process may open no more files.
    """
    try:
        asyncio.get_running_loop()
        in_thread = True
    except RuntimeError:
        in_thread = False
    try:
        _check_room()
        waited = _Work(work, in_thread)
    except OSError:
        work.close()
        raise
    with _cancelling(waited.cancel, in_thread=in_thread):
        if in_thread:
            waited.run_in_thread()
        else:
            waited.run()
    waited.raise_error()


def _check_room() -> None:
    """Raise OSError if an event loop could not open its files; one that fails prints a report."""
    opened: list[int] = []
    try:
        for _ in range(3):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise OSError(error.errno, error.strerror) from None
    finally:
        for number in opened:
            os.close(number)


def _without_stops(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what no task waited for, but not what ends the program: `wait_for` raises that."""
    if not isinstance(context.get("exception"), KeyboardInterrupt | SystemExit):
        loop.default_exception_handler(context)


class _Work:
    """A coroutine with an event loop of its own, in this thread or in another."""

    def __init__(self, work: Coroutine[Any, Any, None], in_thread: bool) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_without_stops)
        self._task: asyncio.Task[None] | None = None
        self._stopped: KeyboardInterrupt | None = None
        self._heard, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._in_thread = in_thread
        self._thread = threading.main_thread()

    def run(self) -> None:
        """Run it here; an error is kept for `raise_error`."""

        async def main() -> None:
            self._task = asyncio.current_task()
            if self._stopped:  # before there was a task
                self._cancel()
            self._look_for_signals()
            await self._work

        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(main())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def _look_for_signals(self) -> None:
        """Wake the event loop every while, which is all that it takes."""
        self._loop.call_later(POLL, self._look_for_signals)

    def run_in_thread(self) -> None:
        """Run it in a thread, and wait for its end."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        while not self._ended.wait(POLL):
            pass

    def cancel(self, number: int) -> None:
        """Cancel it; called by the handler of a signal."""
        self._stopped = stop_of(number)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._cancel)
        threading.Thread(target=self._interrupt_if_deaf, args=(number,), daemon=True).start()

    def _cancel(self) -> None:
        self._heard.set()
        if self._task is not None:
            self._task.cancel()

    def _interrupt_if_deaf(self, number: int) -> None:
        """Interrupt a coroutine that has not come back to its event loop."""
        if self._heard.wait(DEAF) or self._ended.is_set():
            return
        ident = self._thread.ident
        assert ident is not None
        if self._in_thread:
            error = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), error)
        elif hasattr(signal, "pthread_kill"):
            _STOPS.deaf = True
            signal.pthread_kill(ident, number)

    def raise_error(self) -> None:
        """Raise what stopped it, or its error.

        Raises:
            KeyboardInterrupt: it was cancelled.
        """
        if self._stopped:
            raise self._stopped
        if self._error is not None:
            raise self._error
