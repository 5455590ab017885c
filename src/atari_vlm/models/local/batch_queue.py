"""Collects prompts that wait for the same model and processes them in batches on one thread.

Whoever waits gets a result or an error, whatever happens to the batch, the thread or the queue.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from atari_vlm.errors import ModelUnusable

Item = TypeVar("Item")
Result = TypeVar("Result")

IDLE_TURNS = 6
"""Turns of the event loop without a new item after which the next batch starts. Games that were
answered together ask again within a few turns, so no timer is needed."""

EXIT_SECONDS = 10.0
"""How long the end of the program waits for a batch, so that torch is not cut off in a kernel."""

_Waiting: TypeAlias = "tuple[Any, asyncio.Future[Any]]"


@dataclass(slots=True)
class _Pending:
    """Items submitted from one event loop."""

    items: deque[_Waiting] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    """Processes the items."""


class BatchQueue(Generic[Item, Result]):
    """An asynchronous queue in front of a worker thread.

    Args:
        process: returns one result per item, in order; a result that is an exception is raised to
            the submitter. Called on the worker thread.
        batch_size: most items in one call of `process`.
    """

    def __init__(
        self, process: Callable[[Sequence[Item]], Sequence[Result | Exception]], batch_size: int
    ) -> None:
        self._process, self._batch_size = process, batch_size
        self._worker: _Worker | None = None
        self._pending: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pending] = WeakKeyDictionary()
        self.largest_batch = 0
        """Size of the largest batch so far."""

    async def submit(self, item: Item) -> Result:
        """Queue an item and wait for its result.

        Raises:
            Exception: the one that `process` returned or raised for this item.
            ModelUnusable: the queue was closed first.
        """
        loop = asyncio.get_running_loop()
        pending = self._pending.setdefault(loop, _Pending())
        future: asyncio.Future[Result] = loop.create_future()
        pending.items.append((item, future))
        if pending.task is None or pending.task.done():
            pending.task = loop.create_task(self._run(pending))
        return await future

    def close(self) -> None:
        """Stop the worker thread; items that wait for it fail, and a later item starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    async def _run(self, pending: _Pending) -> None:
        """Process batches until no item is left."""
        batch: list[_Waiting] = []
        try:
            while pending.items:
                await self._wait_for_more(pending)
                batch = self._next_batch(pending)
                if batch:
                    _settle(batch, await self._results([item for item, _ in batch]))
        except asyncio.CancelledError:  # the event loop ends: so do those that wait
            for _, future in (*batch, *pending.items):
                future.cancel()
            pending.items.clear()
            raise

    def _next_batch(self, pending: _Pending) -> list[_Waiting]:
        """The next items, without those whose submitter has been cancelled."""
        count = min(self._batch_size, len(pending.items))
        batch = [pending.items.popleft() for _ in range(count)]
        return [(item, future) for item, future in batch if not future.done()]

    async def _results(self, items: Sequence[Item]) -> Sequence[Any]:
        """One result or exception per item."""
        if self._worker is None:
            self._worker = _Worker()
        self.largest_batch = max(self.largest_batch, len(items))
        call = self._worker.call(self._process, items)
        error: Exception
        try:
            results: Sequence[Any] = await asyncio.wrap_future(call)
            if len(results) == len(items):
                return results
            error = RuntimeError(f"{len(results)} results for {len(items)} items")
        except Exception as raised:
            error = raised
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error = ModelUnusable("The model was closed while it was asked.")
        except BaseException as raised:  # a panic of a library in Rust, or sys.exit in a model
            error = ModelUnusable(f"The model failed ({type(raised).__name__}: {raised}).")
        return [error] * len(items)

    async def _wait_for_more(self, pending: _Pending) -> None:
        """Return when the batch is full, or after `IDLE_TURNS` turns without a new item."""
        count, idle = len(pending.items), 0
        while idle < IDLE_TURNS and len(pending.items) < self._batch_size:
            await asyncio.sleep(0)
            idle = idle + 1 if len(pending.items) == count else 0
            count = len(pending.items)


def _settle(batch: Sequence[_Waiting], results: Iterable[Any]) -> None:
    for (_, future), result in zip(batch, results, strict=True):
        if future.done():  # cancelled in the meantime
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


class _Worker:
    """A thread that makes one call at a time, and does not keep the program from ending."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="local-model", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def call(self, function: Callable[[Any], Any], argument: Any) -> Future[Any]:
        """Queue a call; the future has its result or whatever it raises."""
        future: Future[Any] = Future()
        self._calls.put((future, lambda: function(argument)))
        return future

    def close(self) -> None:
        """Cancel the calls that have not begun, and end the thread after the one that has."""
        with suppress(queue.Empty):
            while (waiting := self._calls.get_nowait()) is not None:
                waiting[0].cancel()
        self._calls.put(None)
        atexit.unregister(self._end)

    def _end(self) -> None:
        self._calls.put(None)
        self._thread.join(EXIT_SECONDS)

    def _work(self) -> None:
        while (waiting := self._calls.get()) is not None:
            future, call = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # whoever waits decides what it means
                future.set_exception(error)
            else:
                future.set_result(result)
            del waiting, future, call  # an idle thread keeps no prompt
