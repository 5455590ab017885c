"""Worker processes: any of them may be killed, and all end with the process that started them.

Each worker has a pipe of its own, so none can take a lock or half a message of another with it when
it is killed. A task whose worker ended is done again by a new one. Ctrl-C reaches only the process
that started the workers, which then stops them.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from atari_vlm.errors import AtariVLMError, InvalidSetting, setting
from atari_vlm.files.processes import end_with, shielded
from atari_vlm.runs.waiting import exit_code, stoppable

Task = TypeVar("Task")
Result = TypeVar("Result")

Tell = Callable[[Any], None]
"""Sends something from a worker to the process that started it."""

TRIES = 2
"""How often a task is begun if its worker ends meanwhile."""

LOOK_EVERY = 1.0
"""Seconds between looks for silent workers."""

STOPPING = 3.0
"""Seconds that workers have to stop before they are killed, which loses no more than a call."""

_READY, _TOLD, _DONE, _RAISED, _UNUSABLE = range(5)
"""Kinds of messages from a worker."""


def start_shielded(process: BaseProcess) -> None:
    """Start a process that Ctrl-C and a closed terminal do not reach; its parent stops it."""
    if hasattr(signal, "pthread_sigmask"):
        # Started by the first process otherwise, and it would unblock Ctrl-C.
        resource_tracker.ensure_running()
    with shielded():
        process.start()


@dataclass(frozen=True)
class Ended:
    """What became of a task whose worker ended without a result."""

    reason: str
    """Such as "was killed by signal 9"."""
    tries: int
    """How often the task was begun."""


@dataclass(eq=False)
class _Worker(Generic[Task]):
    """One worker process, as its parent sees it."""

    number: int
    process: BaseProcess
    pipe: Any
    ready: bool = False
    task: Task | None = None
    quiet: float = 0.0
    """Seconds since it last told something, those left out in which all processes were stopped."""
    silent: bool = False
    """It was killed because it said nothing for too long."""

    def ended(self, silence: float) -> str:
        """How it ended, for a sentence that begins with "its worker process"."""
        self.process.join(STOPPING)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        if self.silent:
            return f"said nothing for {silence / 60:.3g} minutes and was killed"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


class Workers(Generic[Task, Result]):
    """Has tasks done by worker processes.

    Args:
        work: does a task; called in a worker with a function that tells the parent something.
        tasks: begun in this order.
        processes: most workers at a time.
        prepare: called in each new worker with its number, which is below `processes`.
        told: called with a task and what its worker told.
        lost: called with the number of a worker that ended during a task, the task and how it
            ended, before the task is begun again or given up.
        instead: called before a task is begun; a result that is not None is taken for its own.
        may_begin: whether a task may be begun now; asked again when another has told something or
            ended, and not asked while nothing is being done.
        begins: called when a task is begun.
        silence: seconds after which a worker that told nothing is killed.
        clock: tells the seconds that pass.
    """

    def __init__(
        self,
        work: Callable[[Task, Tell], Result],
        tasks: Sequence[Task],
        *,
        processes: int,
        prepare: Callable[[int], None],
        told: Callable[[Task, Any], None],
        lost: Callable[[int, Task, Ended], None],
        instead: Callable[[Task], Result | None] = lambda task: None,
        may_begin: Callable[[Task], bool] = lambda task: True,
        begins: Callable[[Task], None] = lambda task: None,
        silence: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._processes, self._prepare = work, processes, prepare
        self._told, self._lost, self._instead, self._may_begin = told, lost, instead, may_begin
        self._begins, self._silence, self._clock = begins, silence, clock
        self._tasks = list(tasks)
        self._left = deque(self._tasks)
        self._looked = clock()
        self._tries: Counter[int] = Counter()
        self._workers: list[_Worker[Task]] = []
        self._results: deque[tuple[Task, Result | Ended]] = deque()

    def results(self) -> Generator[tuple[Task, Result | Ended], None, None]:
        """Each task with its result, or with how its last worker ended, as they come.

        Closing the iterator, or an error, stops all workers.

        Raises:
            InvalidSetting: a worker cannot be started, or cannot be sent a task.
            Exception: what `work` raised.
        """
        try:
            while True:
                while self._results:  # before the next is begun: a result may make it needless
                    yield self._results.popleft()
                self._begin_tasks()
                if self._results:
                    continue
                if not any(worker.task is not None for worker in self._workers):
                    return
                self._hear()
        finally:
            self._stop()

    # -- beginning ------------------------------------------------------------------------------

    def _begin_tasks(self) -> None:
        """Give a task to every worker that has none, and start workers for more."""
        while (place := self._next()) is not None:
            try:
                worker = self._idle() or self._start()
            except OSError as error:
                self._go_on_with_fewer(error)
                return
            task = self._left[place]
            del self._left[place]
            self._begins(task)
            try:
                worker.task, worker.quiet = task, 0.0
                with suppress(OSError):  # it has just ended; the next look notices
                    worker.pipe.send(task)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise _not_sent(error) from error
            self._tries[id(task)] += 1

    def _go_on_with_fewer(self, error: OSError) -> None:
        """Start no more workers, since the system refused one, e.g. for lack of memory.

        Raises:
            InvalidSetting: there is none yet.
        """
        self._processes = sum(worker.task is not None for worker in self._workers)
        if not self._processes:
            raise InvalidSetting(
                f"A worker process could not be started ({error.strerror or error}). "
                f"{setting('processes', 1)} needs none. The same call continues."
            ) from error

    def _next(self) -> int | None:
        """Place of the next task that may be begun now; None if there is none, or no room."""
        left = [(task, self._instead(task)) for task in self._left]
        self._left = deque(task for task, result in left if result is None)
        self._results += [(task, result) for task, result in left if result is not None]
        busy = sum(worker.task is not None for worker in self._workers)
        if busy >= self._processes:
            return None
        may = (k for k, task in enumerate(self._left) if not busy or self._may_begin(task))
        return next(may, None)

    def _idle(self) -> _Worker[Task] | None:
        return next((w for w in self._workers if w.task is None and w.process.is_alive()), None)

    def _start(self) -> _Worker[Task]:
        for worker in self._workers:
            if worker.task is None:  # it ended while it had nothing to do
                self._remove(worker)
        context = get_context("spawn")
        number = min({*range(self._processes)} - {worker.number for worker in self._workers})
        here, there = context.Pipe()
        try:
            args = (os.getpid(), there, self._prepare, number, self._work)
            process = context.Process(target=_serve, args=args)
            start_shielded(process)
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        self._workers.append(_Worker(number, process, here))
        return self._workers[-1]

    # -- hearing --------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Take what workers say; return after a while, or when one has ended or is free."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(by_pipe), timeout=LOOK_EVERY):
            worker = by_pipe[pipe]
            try:
                kind, content = pipe.recv()  # type: ignore[union-attr, call-arg]
            except (EOFError, OSError, pickle.UnpicklingError):
                self._take_end(worker)
                continue
            worker.quiet = 0.0
            self._take(worker, kind, content)
        now = self._clock()
        passed, self._looked = min(now - self._looked, 2 * LOOK_EVERY), now
        for worker in self._workers:
            worker.quiet += passed
            if worker.task is not None and worker.quiet > self._silence:
                worker.silent = True
                worker.process.kill()

    def _take(self, worker: _Worker[Task], kind: int, content: Any) -> None:
        task = worker.task
        if kind == _READY:
            worker.ready = True
        elif kind == _UNUSABLE:
            raise _not_sent(content)
        elif kind == _RAISED:
            raise content
        elif kind == _TOLD and task is not None:
            self._told(task, content)
        elif task is not None:
            worker.task = None
            self._results.append((task, content))

    def _take_end(self, worker: _Worker[Task]) -> None:
        """A worker has ended; its task is begun again."""
        task, worker.task = worker.task, None
        self._remove(worker)
        reason = worker.ended(self._silence)
        if not worker.ready and (worker.process.exitcode or 0) > 0:
            raise InvalidSetting(
                f"A worker process could not be started: it {reason}. A script that starts one "
                'needs `if __name__ == "__main__":`, and players in a module that can be imported; '
                f"{setting('processes', 1)} needs neither. The same call continues."
            )
        if task is None:
            return
        ended = Ended(reason, self._tries[id(task)])
        self._lost(worker.number, task, ended)
        if ended.tries < TRIES:
            self._left.appendleft(task)
        else:
            self._results.append((task, ended))

    # -- ending ---------------------------------------------------------------------------------

    def _remove(self, worker: _Worker[Task]) -> None:
        self._workers.remove(worker)
        worker.pipe.close()

    def _stop(self) -> None:
        """Stop every worker: those at work get the time to write down what they have done."""
        for worker in self._workers:
            if worker.ready and worker.task is not None:
                worker.process.terminate()
            else:
                worker.process.kill()
        until = time.monotonic() + STOPPING
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()


def _not_sent(error: object) -> InvalidSetting:
    return InvalidSetting(
        f"A worker process cannot be given its task ({error}): policies, models and wrappers must "
        f"be picklable, in a module that can be imported; {setting('processes', 1)} needs neither."
    )


# --- in a worker ---------------------------------------------------------------------------------


def _serve(
    parent: int,
    pipe: Connection,
    prepare: Callable[[int], None],
    number: int,
    work: Callable[[Any, Tell], Any],
) -> None:
    """Do tasks until the pipe is closed or a signal stops this process."""
    end_with(parent)

    def tell(what: Any) -> None:
        pipe.send((_TOLD, what))

    try:
        with stoppable():
            try:
                prepare(number)
            except Exception as error:
                pipe.send((_UNUSABLE, f"{type(error).__name__}: {error}"))
                return
            pipe.send((_READY, None))
            while True:
                pipe.send(_answer(pipe, work, tell))
    except KeyboardInterrupt as stop:
        os._exit(exit_code(stop))
    except (EOFError, ConnectionError):  # there is nothing more to do, or the parent has ended
        os._exit(0)


def _answer(pipe: Connection, work: Callable[[Any, Tell], Any], tell: Tell) -> tuple[int, Any]:
    """Receive a task and do it."""
    try:
        task = pipe.recv()
    except (EOFError, OSError):
        raise
    except Exception as error:  # of unpickling, which may be anything
        return _UNUSABLE, f"{type(error).__name__}: {error}"
    try:
        return _DONE, work(task, tell)
    except Exception as error:
        return _RAISED, picklable(error)


def picklable(error: Exception) -> Exception:
    """An error that can be sent to another process: itself, or its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return AtariVLMError(f"{type(error).__name__}: {error}")
    return error
