"""Searches of games that are played at the same time run in processes of their own, one a core.

ALE never releases the GIL, so that threads cannot share the work. A search is a pure function of
its arguments: it decides the same wherever it runs. A game that is played alone searches in its own
process, and so does every game if a worker cannot be started or ends, or if something cannot be
sent to it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np

from atari_vlm.files.processes import end_with, shielded

Result = TypeVar("Result")

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from atari_vlm.policies.search.workers import serve; serve(int(sys.argv[2]))"
)

DEATHS = 3
"""Workers that may end by themselves before no more are started."""


async def searched(call: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function here, or in a worker process if other games search as well.

    Args:
        call: a function of a module, whose result depends on its arguments alone.
        arguments: can be pickled. Those that are random generators go on as if used here.
    """
    if _others_search() and (pool := _pool()) is not None:
        try:
            request = pickle.dumps((call, arguments), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError):
            return call(*arguments)
        answer = await pool.ask(request)
        if answer is not None:
            result: Result
            result, states = answer
            for rng, state in zip(_generators(arguments), states, strict=True):
                rng.bit_generator.state = state
            return result
    return call(*arguments)


def _generators(arguments: tuple[Any, ...]) -> list[np.random.Generator]:
    return [each for each in arguments if isinstance(each, np.random.Generator)]


_lock = Lock()
_searching: WeakSet[asyncio.Task[Any]] = WeakSet()
"""The tasks of this process that have searched, each of which plays a game."""


def _others_search() -> bool:
    """Whether another task that still runs has searched too; notes that this one does."""
    task = asyncio.current_task()
    with _lock:
        if task is not None:
            _searching.add(task)
        return sum(not each.done() for each in _searching) > 1


# --- the parent's side ----------------------------------------------------------------------------


class _Worker:
    """A process that searches."""

    def __init__(self) -> None:
        with shielded():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

    def ask(self, request: bytes) -> Any:
        """The answer to a request.

        Raises:
            OSError, EOFError, pickle.UnpicklingError: the worker has ended.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(len(request).to_bytes(8, "little") + request)
        stdin.flush()
        return pickle.load(stdout)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # it was ended with a request still in its pipe
                continue


class _Asked:
    """A search that was asked for, as the thread that waits for it and its game share it."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self._lock = Lock()
        self._worker: _Worker | None = None
        self._cancelled = False

    def begin(self, worker: _Worker) -> bool:
        """Whether a worker is to do it: it may have been cancelled before there was one."""
        with self._lock:
            self._worker = None if self._cancelled else worker
            return not self._cancelled

    def end(self) -> None:
        """Its worker is free for others."""
        with self._lock:
            self._worker = None

    def cancel(self) -> bool:
        """End the worker that does it; returns whether one did."""
        with self._lock:
            self._cancelled = True
            if self._worker is None:
                return False
            self._worker.process.kill()
            return True


class _Pool:
    """Workers, started when they are needed; a thread waits for each."""

    def __init__(self, size: int) -> None:
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="search")
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()
        for _ in range(size):
            self._idle.put(None)
        self._deaths = 0
        self._workers: set[_Worker] = set()

    @property
    def usable(self) -> bool:
        return self._deaths < DEATHS

    async def ask(self, request: bytes) -> Any:
        """The answer of a worker; None if it has none. A search that is cancelled is ended."""
        asked = _Asked(request)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._ask, asked)
        except asyncio.CancelledError:
            self._deaths -= asked.cancel()
            raise

    def _ask(self, asked: _Asked) -> Any:
        worker = self._idle.get()
        try:
            if worker is None:
                worker = _Worker()
                self._workers.add(worker)
            return worker.ask(asked.request) if asked.begin(worker) else None
        except (OSError, EOFError, pickle.UnpicklingError):
            self._deaths += 1
            if worker is not None:
                self._workers.discard(worker)
                worker.end()
                worker = None
            return None
        finally:
            asked.end()
            self._idle.put(worker)

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        self._threads.shutdown()
        for worker in [*self._workers]:
            worker.end()


_pools: list[_Pool] = []


def _pool() -> _Pool | None:
    """The workers of this process; None where it has no second core for them."""
    if multiprocessing.parent_process() is not None:
        return None  # a worker process itself: its siblings use the other cores
    with _lock:
        if not _pools:
            if (cores := _cores()) < 2 or not sys.executable:
                return None
            _pools.append(_Pool(cores))
            atexit.register(_pools[0].close)
        return _pools[0] if _pools[0].usable else None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- in a worker ----------------------------------------------------------------------------------


def serve(parent: int) -> None:
    """Answer requests until the parent ends or closes the pipe."""
    end_with(parent)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    while head := requests.read(8):
        request = requests.read(int.from_bytes(head, "little"))
        try:
            call, arguments = pickle.loads(request)
            result = call(*arguments)
            states = [rng.bit_generator.state for rng in _generators(arguments)]
            answer = pickle.dumps((result, states), pickle.HIGHEST_PROTOCOL)
        except Exception:  # of the search or of unpickling: the parent meets it again itself
            answer = pickle.dumps(None)
        answers.write(answer)
        answers.flush()
