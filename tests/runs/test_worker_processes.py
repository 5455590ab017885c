"""Worker processes that are killed, crash, hang or cannot be given their tasks."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from atari_vlm.errors import AtariVLMError, InvalidSetting
from atari_vlm.files.shared_lock import SharedLock
from atari_vlm.models.hosted.budget import Caps, SharedBudget
from atari_vlm.runs import worker_processes
from atari_vlm.runs.worker_processes import Ended, Workers
from atari_vlm.types import Charge


@dataclass(frozen=True)
class Place:
    """Where tasks leave traces, and what the processes share."""

    folder: Path
    lock: SharedLock
    budget: SharedBudget


HERE: list[Place] = []


def prepare(place, number):
    place.budget.count_as(number)
    HERE.append(place)


class Odd(Exception):
    """It can be sent, but not received."""

    def __init__(self, one, two):
        super().__init__(one)


def work(task, tell):
    """Do what the task is called, at the first try only."""
    place = HERE[0]
    tell(os.getpid())
    done = place.folder / task.partition(" ")[0]
    first = not done.exists()
    done.touch()
    if task == "odd":
        raise Odd(1, 2)
    if first or task == "killed always":
        disturb(task, place)
    with place.lock:
        return f"{task} done"


def disturb(task, place):
    if task.startswith("killed"):
        place.lock.__enter__()
        place.budget.dollars.reserve(0.25)
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if task == "leaves":
        os._exit(7)


def run(folder, tasks, processes=2, **more):
    """The result of each task, what was lost, and what the budget counts as spent."""
    shared = SharedBudget(Caps(dollars=1.0), "bench", processes)
    shared.add(Charge(0, 0.5))
    lost = []

    def note(number, task, ended):
        shared.write_off(number)
        lost.append((task, ended.reason))

    workers = Workers(
        work,
        tasks,
        processes=processes,
        prepare=partial(prepare, Place(folder, SharedLock(), shared)),
        lost=note,
        **{"told": _nothing, **more},
    )
    with closing(workers.results()) as results:
        return dict(results), lost, shared.dollars


def test_a_task_whose_worker_ends_is_done_by_another_and_nobody_waits_for_what_it_held(tmp_path):
    tasks = ["killed", "plain", "crashes", "leaves"]
    results, lost, dollars = run(tmp_path, tasks)
    assert results == {name: f"{name} done" for name in tasks}
    assert dict(lost) == {
        "killed": "was killed by signal 9",
        "crashes": "was killed by signal 11",
        "leaves": "ended with exit code 7",
    }
    assert (dollars.spent, dollars.reserved, dollars.in_flight) == (0.75, 0.0, 0)


def test_a_worker_that_says_nothing_for_too_long_is_killed_and_its_task_done_by_another(
    tmp_path, monkeypatch
):
    """By a clock that runs only while a worker is stopped: how busy the machine is is no matter."""
    monkeypatch.setattr(worker_processes, "LOOK_EVERY", 0.02)
    begun, seconds = [], itertools.count(step=0.02)
    now = [next(seconds)]

    def clock():
        if begun and state_of(begun[-1]) == "T":
            now[0] = next(seconds)
        return now[0]

    results, lost, _ = run(
        tmp_path,
        ["stopped"],
        processes=1,
        told=lambda task, pid: begun.append(pid),
        silence=0.06,
        clock=clock,
    )
    assert results == {"stopped": "stopped done"}
    assert lost == [("stopped", "said nothing for 0.001 minutes and was killed")]
    assert len(begun) == 2


def state_of(pid):
    """The letter of the state of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_task_that_ends_every_worker_is_given_up_and_the_others_are_done(tmp_path):
    results, _, _ = run(tmp_path, ["killed always", "plain"])
    assert results == {
        "killed always": Ended("was killed by signal 9", 2),
        "plain": "plain done",
    }


def test_an_error_of_any_kind_comes_back_and_no_worker_stays(tmp_path):
    workers = []
    with pytest.raises(AtariVLMError, match="Odd: 1"):
        run(tmp_path, ["odd"], processes=1, begins=workers.append)
    assert workers == ["odd"]
    with pytest.raises(InvalidSetting, match="must be picklable"):
        run(tmp_path, [lambda: None], processes=1)


def test_what_cannot_be_begun_yet_waits_and_what_needs_no_work_is_not_begun(tmp_path):
    begun, done = [], []

    def may_begin(task):
        return task == "first" or bool(done)

    def instead(task):
        if task == "known":
            done.append(task)
            return "known before"
        return None

    results, _, _ = run(
        tmp_path,
        ["first", "known", "later"],
        begins=begun.append,
        may_begin=may_begin,
        instead=instead,
    )
    assert begun == ["first", "later"]
    assert results["known"] == "known before"


def test_what_the_system_refuses_to_start_is_done_by_fewer_workers(tmp_path):
    with few_open_files(7), pytest.raises(InvalidSetting, match="could not be started"):
        run(tmp_path, ["plain"])
    tasks = ["plain", "plain 2", "plain 3"]
    with few_open_files(13):
        results, _, _ = run(tmp_path, tasks, processes=3)
    assert results == {task: f"{task} done" for task in tasks}


@contextmanager
def few_open_files(left):
    """Let this process open only so many files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd"))) + left + 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    opened = []
    with suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(left):
        os.close(opened.pop())
    try:
        yield
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_workers_stop_at_once_when_their_results_are_no_longer_wanted(tmp_path):
    told = []
    workers = Workers(
        _sleep,
        ["a", "b"],
        processes=2,
        prepare=_nothing,
        told=lambda task, what: told.append(what) or 1 / 0,
        lost=_nothing,
    )
    with pytest.raises(ZeroDivisionError):
        list(workers.results())
    for process in told:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def _sleep(task, tell):
    tell(os.getpid())
    time.sleep(60)


def _nothing(*_):
    pass
