"""Plays the cells of a bench, one after the other or in worker processes.

Whatever stops a cell, an error in a player's own code included, is kept with it: the others are
played. A worker that is killed, crashes or hangs is replaced, and its cell goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from atari_vlm.bench.cells import Cell, read_cell
from atari_vlm.bench.jobs import Job, best_constant, trainer_of
from atari_vlm.bench.settings import BEST_CONSTANT, BenchSettings, name_of
from atari_vlm.costs.bill import dollars_text, format_dollars
from atari_vlm.errors import AtariVLMError, ModelUnusable, RunInvalid, StoreError
from atari_vlm.files.paths import check_own
from atari_vlm.models.hosted.budget import SharedBudget
from atari_vlm.policies.registry import WRAPPERS, Wrap, added_wrappers
from atari_vlm.protocols import labelled
from atari_vlm.runs.run import Run
from atari_vlm.runs.worker_processes import TRIES, Ended, Tell, Workers, picklable
from atari_vlm.types import Step

LINE_EVERY = 30.0
"""Seconds between lines of progress within an episode."""

SILENCE = 1800.0
"""Seconds without a decision after which a worker process is taken to hang."""

Report = Callable[[str], None]
"""Called with each line of progress."""

Played = tuple[Cell, Exception | None]
"""A cell, and the error that stopped it."""


def play_jobs(
    settings: BenchSettings,
    jobs: Sequence[Job],
    shared: SharedBudget,
    report: Report,
    processes: int,
) -> Generator[Played, None, None]:
    """Play cells. Closing the generator stops them.

    Args:
        settings: of the bench.
        jobs: the cells.
        shared: what the bench may spend.
        report: called with each line of progress.
        processes: at a time; 1 plays in this process.
    """
    if processes > 1:
        yield from _in_processes(settings, jobs, shared, report, processes)
        return
    accounts = _Accounts()
    for job in jobs:
        if error := accounts.refused(job):
            yield _not_played(settings, job, error, report)
            continue
        played = play_job(settings, job, shared, report)
        accounts.note(job, played[1])
        yield played


@dataclass
class _Accounts:
    """Which keys, servers and players were refused, and which have answered."""

    unusable: dict[str, ModelUnusable] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    trying: dict[str, Job] = field(default_factory=dict)
    """The one cell that tries an account which has not answered yet."""

    def refused(self, job: Job) -> ModelUnusable | None:
        """Why a cell need not be tried: the next game would find the same."""
        return self.unusable.get(job.account) or self.unusable.get(name_of(job.player))

    def may_begin(self, job: Job) -> bool:
        """Whether a cell may begin: not while another tries the same account for the first time."""
        other = self.trying.get(job.account)
        return not job.account or job.account in self.answered or other in (None, job)

    def begin(self, job: Job) -> None:
        """A cell begins."""
        if job.account and job.account not in self.answered:
            self.trying[job.account] = job

    def answers(self, job: Job) -> None:
        """A cell has made a decision."""
        self.answered.add(job.account)
        self.trying.pop(job.account, None)

    def note(self, job: Job, error: Exception | None) -> None:
        """A cell has ended."""
        if self.trying.get(job.account) is job:
            del self.trying[job.account]
        if isinstance(error, ModelUnusable):
            common = job.account and error.what in ("key", "server", "quota")
            self.unusable[job.account if common else name_of(job.player)] = error


def _not_played(settings: BenchSettings, job: Job, error: ModelUnusable, report: Report) -> Played:
    report(f"{job.name}: not played. {error.message}")
    return _stopped(settings, job, error), error


# --- one cell ------------------------------------------------------------------------------------


def play_job(
    settings: BenchSettings,
    job: Job,
    shared: SharedBudget,
    report: Report,
    lives: Callable[[], None] = lambda: None,
) -> Played:
    """Play one cell in this process; finished episodes are read from its run folder.

    Args:
        settings: of the bench.
        job: the cell.
        shared: what the bench may spend.
        report: called with a line at the start, after each episode, and at the end.
        lives: called at the first decision, and from time to time.
    """
    report(f"{job.name}: begins, {settings.episodes} episode{'s' * (settings.episodes > 1)}")
    player = job.player
    watch = _Progress(job, settings.episodes, shared, report, lives).watch
    try:
        check_own(settings.out, settings.out / job.folder)
        if player == BEST_CONSTANT and not job.constant:
            report(f"{job.name}: trying each action")
        if player == BEST_CONSTANT:
            player = job.constant or best_constant(settings, job.game, lives)
        trainer_of(
            settings,
            job.game,
            player,
            settings.seed,
            folder=job.folder,
            watch=watch,
            shared=shared,
        ).train(settings.episodes)
    except RunInvalid:
        pass  # its record says so
    except Exception as error:
        cell = _stopped(settings, job, error)
        report(f"{job.name}: stopped. {cell.marked}")
        return cell, error
    cell = replace(
        read_cell(settings.out, job.folder, settings.episodes), player=name_of(job.player)
    )
    if cell.mean is None:
        report(f"{job.name}: {cell.status}. {cell.problem}")
    else:
        report(f"{labelled(job.name, cell.privileges)}: {cell.result}{_cost(cell)}")
    return cell, None


def _stopped(settings: BenchSettings, job: Job, error: Exception) -> Cell:
    """The cell of a job that an error stopped, with the episodes that were finished."""
    problem = marked = f"{type(error).__name__}: {error}"
    if isinstance(error, AtariVLMError):
        problem, marked = str(error), error.message
    cell = Cell(game=job.game, player=name_of(job.player))
    with suppress(StoreError):  # then there is nothing to read
        if Run.exists(settings.out / job.folder):
            cell = read_cell(settings.out, job.folder, settings.episodes)
    player = name_of(job.player)
    return replace(cell, player=player, status="stopped", problem=problem, marked=marked)


def _cost(cell: Cell) -> str:
    dollars = dollars_text(cell.usage)
    if not dollars or dollars == "unknown":
        return ""
    return f", {'cost ' * dollars.startswith('unknown')}{dollars}"


class _Progress:
    """Lines of progress of one cell."""

    def __init__(
        self,
        job: Job,
        episodes: int,
        shared: SharedBudget,
        report: Report,
        lives: Callable[[], None],
    ) -> None:
        self._job, self._episodes = job, episodes
        self._shared, self._report, self._lives = shared, report, lives
        self._printed, self._said_to_live = time.monotonic(), float("-inf")

    def watch(self, episode: int, step: Step) -> None:
        """Report the end of an episode, or that it is being played."""
        now = time.monotonic()
        if now - self._said_to_live > LINE_EVERY:
            self._said_to_live = now
            self._lives()
        score = step.observation.score + step.reward
        seen = step.observation
        read = {"ram": seen.ram, "emulator": seen.state}
        name = labelled(self._job.name, [key for key, value in read.items() if value is not None])
        number = f"{name}: episode {episode + 1} of {self._episodes}"
        count = step.observation.step + 1
        if step.terminated or step.truncated:
            self._report(f"{number} scored {score:.15g} in {count} decisions{self._spent()}")
        elif now - self._printed > LINE_EVERY:
            self._report(f"{number}, {count} decisions, score {score:.15g}{self._spent()}")
        else:
            return
        self._printed = now

    def _spent(self) -> str:
        """What the bench has spent so far, if this cell is billed."""
        if not self._job.billed:
            return ""
        spent, cap = self._shared.dollars.spent, self._shared.caps.dollars
        limit = "" if cap is None else f" of {format_dollars(cap)}"
        return f"; {format_dollars(spent)}{limit} spent" if spent or cap is not None else ""


# --- in worker processes -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worker:
    """What a worker process is given when it starts."""

    settings: BenchSettings
    shared: SharedBudget
    wrappers: dict[str, Wrap]

    def prepare(self, number: int) -> None:
        """Called in the worker process; `number` is its place in the shared budget."""
        WRAPPERS.update(self.wrappers)
        self.shared.count_as(number)
        _WORKER.append(self)


_WORKER: list[_Worker] = []
"""That of this worker process."""


def _in_processes(
    settings: BenchSettings,
    jobs: Sequence[Job],
    shared: SharedBudget,
    report: Report,
    processes: int,
) -> Iterator[Played]:
    accounts = _Accounts()

    def told(job: Job, what: Any) -> None:
        if isinstance(what, str):
            report(what)
        else:
            accounts.answers(job)

    def lost(number: int, job: Job, ended: Ended) -> None:
        shared.write_off(number)
        accounts.note(job, None)
        report(f"{job.name}: its worker process {ended.reason}; {_goes_on(ended)}")

    def instead(job: Job) -> Played | None:
        error = accounts.refused(job)
        return None if error is None else _not_played(settings, job, error, report)

    workers: Workers[Job, Played] = Workers(
        _play_in_worker,
        jobs,
        processes=processes,
        prepare=_Worker(settings, shared, added_wrappers()).prepare,
        told=told,
        lost=lost,
        instead=instead,
        may_begin=accounts.may_begin,
        begins=accounts.begin,
        silence=SILENCE,
    )
    with closing(workers.results()) as results:
        for job, played in results:
            if isinstance(played, Ended):
                error = ModelUnusable(
                    f"Its worker process {played.reason}, {played.tries} times. What it played is "
                    "kept; the same call tries again."
                )
                yield _stopped(settings, job, error), error
                continue
            accounts.note(job, played[1])
            yield played


def _goes_on(ended: Ended) -> str:
    if ended.tries < TRIES:
        return "another one goes on where it was."
    return f"it is left alone after {ended.tries} tries."


def _play_in_worker(job: Job, tell: Tell) -> Played:
    """Play a cell in a worker process."""
    (worker,) = _WORKER
    cell, error = play_job(worker.settings, job, worker.shared, tell, partial(tell, None))
    return cell, error and picklable(error)
