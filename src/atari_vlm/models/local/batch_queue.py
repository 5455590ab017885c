"""Questions that wait for the same model, answered together: one forward pass for many games."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

Job = TypeVar("Job")
Result = TypeVar("Result")

CALM = 6
"""Turns of the event loop without a new question after which the next batch begins: games that were
answered together ask again within a few turns, and nobody waits for time to pass."""


@dataclass(slots=True)
class _Line:
    """Who waits in one event loop."""

    jobs: deque[tuple[Any, asyncio.Future[Any]]] = field(default_factory=deque)
    draining: asyncio.Task[None] | None = None


class BatchQueue(Generic[Job, Result]):
    """A queue in front of a worker thread.

    Args:
        serve: answers jobs, in order; what it returns for a job may be the exception to raise.
            Called in one thread, with at most `most` jobs.
        most: jobs answered together.
    """

    def __init__(
        self, serve: Callable[[Sequence[Job]], Sequence[Result | Exception]], most: int
    ) -> None:
        self._serve, self._most = serve, most
        self._worker: ThreadPoolExecutor | None = None
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()
        self.largest = 0
        """The most jobs that were answered together so far."""

    async def ask(self, job: Job) -> Result:
        """The answer to a job, once it was its turn."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(loop, _Line())
        future: asyncio.Future[Result] = loop.create_future()
        line.jobs.append((job, future))
        if line.draining is None or line.draining.done():
            line.draining = loop.create_task(self._drain(line))
        return await future

    def close(self) -> None:
        """End the thread; a later job starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=False, cancel_futures=True)

    async def _drain(self, line: _Line) -> None:
        """Answer batch after batch until nobody waits."""
        loop = asyncio.get_running_loop()
        while line.jobs:
            await self._calm(line)
            count = min(self._most, len(line.jobs))
            batch = [line.jobs.popleft() for _ in range(count)]
            batch = [(job, future) for job, future in batch if not future.done()]
            if not batch:
                continue
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="local-model")
            self.largest = max(self.largest, len(batch))
            results: Sequence[Any]
            try:
                results = await loop.run_in_executor(
                    self._worker, self._serve, [job for job, _ in batch]
                )
            except Exception as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():  # nobody waits for it any more
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _calm(self, line: _Line) -> None:
        seen, idle = len(line.jobs), 0
        while idle < CALM and len(line.jobs) < self._most:
            await asyncio.sleep(0)
            idle = idle + 1 if len(line.jobs) == seen else 0
            seen = len(line.jobs)
