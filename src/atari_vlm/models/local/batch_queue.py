"""Collects prompts that wait for the same model and processes them in batches on one thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

Item = TypeVar("Item")
Result = TypeVar("Result")

IDLE_TURNS = 6
"""Turns of the event loop without a new item after which the next batch starts. Games that were
answered together ask again within a few turns, so no timer is needed."""


@dataclass(slots=True)
class _Pending:
    """Items submitted from one event loop."""

    items: deque[tuple[Any, asyncio.Future[Any]]] = field(default_factory=deque)
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
        self._worker: ThreadPoolExecutor | None = None
        self._pending: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pending] = WeakKeyDictionary()
        self.largest_batch = 0
        """Size of the largest batch so far."""

    async def submit(self, item: Item) -> Result:
        """Queue an item and wait for its result.

        Raises:
            Exception: the one that `process` returned or raised for this item.
        """
        loop = asyncio.get_running_loop()
        pending = self._pending.setdefault(loop, _Pending())
        future: asyncio.Future[Result] = loop.create_future()
        pending.items.append((item, future))
        if pending.task is None or pending.task.done():
            pending.task = loop.create_task(self._run(pending))
        return await future

    def close(self) -> None:
        """Stop the worker thread; a later item starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=False, cancel_futures=True)

    async def _run(self, pending: _Pending) -> None:
        """Process batches until no item is left."""
        loop = asyncio.get_running_loop()
        while pending.items:
            await self._wait_for_more(pending)
            count = min(self._batch_size, len(pending.items))
            batch = [pending.items.popleft() for _ in range(count)]
            batch = [(item, future) for item, future in batch if not future.done()]
            if not batch:
                continue
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="local-model")
            self.largest_batch = max(self.largest_batch, len(batch))
            results: Sequence[Any]
            try:
                results = await loop.run_in_executor(
                    self._worker, self._process, [item for item, _ in batch]
                )
            except Exception as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():  # cancelled in the meantime
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _wait_for_more(self, pending: _Pending) -> None:
        """Return when the batch is full, or after `IDLE_TURNS` turns without a new item."""
        count, idle = len(pending.items), 0
        while idle < IDLE_TURNS and len(pending.items) < self._batch_size:
            await asyncio.sleep(0)
            idle = idle + 1 if len(pending.items) == count else 0
            count = len(pending.items)
