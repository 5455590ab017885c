"""The matrix of games and players, in the same settings, with baselines beside every score.

Names, settings and keys are checked before anything is played. Each cell is an ordinary run folder,
so a bench that was killed continues where it stopped, and any cell can be opened in the replay
page. With more than one process, cells are played in parallel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.context import SpawnContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from atari_vlm.advice.estimate import total_line
from atari_vlm.bench.cells import Cell, read_cell
from atari_vlm.bench.jobs import Job, best_constant, check_jobs, trainer_of
from atari_vlm.bench.results import read_results, write_results
from atari_vlm.bench.settings import BASELINES, BEST_CONSTANT, BenchSettings, Player, name_of
from atari_vlm.errors import (
    AtariVLMError,
    InvalidSetting,
    ModelUnusable,
    RunInvalid,
    StoreError,
    setting,
)
from atari_vlm.files.writing import lock
from atari_vlm.models.hosted.budget import SharedBudget, format_dollars
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import part
from atari_vlm.policies.registry import WRAPPERS, Wrap, added_wrappers
from atari_vlm.runs.run import Run
from atari_vlm.runs.worker_processes import end_with
from atari_vlm.types import Charge, Step

__all__ = ["BASELINES", "BenchSettings", "Cell", "Player", "bench", "best_constant", "name_of"]

POLL_EVERY = 0.25
"""Seconds between looks at the queue of the workers' lines, which holds thousands."""

LINE_EVERY = 30.0
"""Seconds between lines of progress within an episode."""

Report = Callable[[str], None]
"""Called with each line of progress."""

Played = tuple[Cell, AtariVLMError | None]
"""A cell, and the error that stopped it."""


def bench(settings: BenchSettings, report: Report = print) -> list[Cell]:
    """Play every cell that is not finished, and write results.csv and results.json.

    The files have every cell of the folder, those of other benches included; `read_results` returns
    the same. A player that cannot play one of the games, and a model that names no legal action,
    have a cell that says so.

    Args:
        settings: of the bench.
        report: called with a line at the start and end of each cell, after each episode and from
            time to time, and with an estimate first if a model is billed.

    Returns:
        The cells that were asked for, by game.

    Raises:
        AtariVLMError: before anything is played: a name, a setting or a key is wrong. Afterwards:
            the first error that stopped a cell, e.g. a budget; the others were played, and the
            files are written.
    """
    cells, error = play_bench(settings, report)
    if error is not None:
        raise error
    return cells


def play_bench(settings: BenchSettings, report: Report) -> tuple[list[Cell], AtariVLMError | None]:
    """Like `bench`, but an error that stopped a cell is returned beside the cells.

    Raises:
        AtariVLMError: before anything is played: a name, a setting or a key is wrong.
    """
    jobs, empty = check_jobs(settings)
    caps = part(settings, SpendOptions).caps
    # Two benches at once would each spend the whole budget.
    busy = f"Another bench with a budget is playing in {settings.out}. Wait, or use another folder."
    _make(settings.out)
    with closing(lock(settings.out / "lock", busy)) if caps else nullcontext():
        context = get_context("spawn") if settings.processes > 1 else None
        shared = SharedBudget(caps, "bench", context)
        for spent in _spent_earlier(settings.out, capped=bool(caps)):
            shared.add(spent)
        for cell in empty:
            report(f"{cell.game}, {cell.player}: cannot play. {cell.problem}")
        if estimates := [job.estimate for job in jobs if job.estimate]:
            report(f"Estimate: {total_line(estimates)}")
        played: list[Played] = []
        try:
            playing = (
                _in_turn(settings, jobs, shared, report)
                if context is None
                else _in_processes(settings, jobs, shared, context, report)
            )
            for each in playing:
                played.append(each)
        finally:
            cells = _in_order(settings, [cell for cell, _ in played] + empty)
            _write(settings, cells, shared)
    errors = [error for _, error in played if error is not None]
    return cells, errors[0] if errors else None


def _in_order(settings: BenchSettings, cells: Sequence[Cell]) -> list[Cell]:
    """Cells by game and player, as they were asked for."""
    games = list(dict.fromkeys(cell.game for cell in cells))
    names = [name_of(player) for player in settings.players]
    return sorted(cells, key=lambda cell: (games.index(cell.game), names.index(cell.player)))


def _write(settings: BenchSettings, cells: Sequence[Cell], shared: SharedBudget) -> None:
    caps = shared.caps
    budget: dict[str, Any] | None = None
    if caps:
        budget = {
            "dollars": caps.dollars,
            "dollars_of_an_episode": caps.episode_dollars,
            "tokens": caps.tokens,
            "spent_dollars": shared.dollars.spent,
            "spent_tokens": int(shared.tokens.spent),
        }
    if every := read_results(settings.out, cells):
        write_results(settings.out, every, budget)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise StoreError(f"Cannot write a bench to {folder}: {reason}.") from None


def _spent_earlier(out: Path, *, capped: bool) -> Iterator[Charge]:
    """What every run in the folder of a bench has spent.

    Raises:
        StoreError: a run cannot be read, and there is a cap that its spending counts toward.
    """
    for path in out.glob("*/*/run.sqlite"):
        try:
            with closing(Run.read(path.parent)) as run:
                spent = Charge(*run.spent())
        except StoreError:
            if capped:
                raise
            continue
        yield spent


# --- in this process -----------------------------------------------------------------------------


def _in_turn(
    settings: BenchSettings, jobs: Sequence[Job], shared: SharedBudget, report: Report
) -> Iterator[Played]:
    unusable: dict[str, ModelUnusable] = {}
    for job in jobs:
        name = name_of(job.player)
        if error := unusable.get(name):  # a key, a server: the next game would find the same
            report(f"{job.name}: not played. {error}")
            yield _stopped(settings, job, error), error
            continue
        cell, stop = play_job(settings, job, shared, report)
        if isinstance(stop, ModelUnusable):
            unusable[name] = stop
        yield cell, stop


def play_job(settings: BenchSettings, job: Job, shared: SharedBudget, report: Report) -> Played:
    """Play one cell in this process; finished episodes are read from its run folder.

    Args:
        settings: of the bench.
        job: the cell.
        shared: what the bench may spend.
        report: called with a line at the start, after each episode, and at the end.
    """
    report(f"{job.name}: begins, {settings.episodes} episode{'s' * (settings.episodes > 1)}")
    player = job.player
    watch = _Progress(job, settings.episodes, shared, report).watch
    try:
        if player == BEST_CONSTANT and not job.constant:
            report(f"{job.name}: trying each action")
        if player == BEST_CONSTANT:
            player = job.constant or best_constant(settings, job.game)
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
    except AtariVLMError as error:
        report(f"{job.name}: stopped. {error}")
        return _stopped(settings, job, error), error
    cell = replace(read_cell(settings.out, job.folder), player=name_of(job.player))
    if cell.mean is None:
        report(f"{job.name}: {cell.status}. {cell.problem}")
    else:
        report(f"{job.name}: {cell.result}{_cost(cell)}")
    return cell, None


def _stopped(settings: BenchSettings, job: Job, error: AtariVLMError) -> Cell:
    """The cell of a job that an error stopped, with the episodes that were finished."""
    if not Run.exists(settings.out / job.folder):
        name = name_of(job.player)
        return Cell(game=job.game, player=name, status="stopped", problem=str(error))
    cell = read_cell(settings.out, job.folder)
    return replace(cell, player=name_of(job.player), status="stopped", problem=str(error))


def _cost(cell: Cell) -> str:
    dollars = cell.usage.dollars
    return f", {format_dollars(dollars)}" if dollars else ""


class _Progress:
    """Lines of progress of one cell."""

    def __init__(self, job: Job, episodes: int, shared: SharedBudget, report: Report) -> None:
        self._job, self._episodes = job, episodes
        self._shared, self._report = shared, report
        self._printed = time.monotonic()

    def watch(self, episode: int, step: Step) -> None:
        """Report the end of an episode, or that it is being played."""
        score = step.observation.score + step.reward
        number = f"{self._job.name}: episode {episode + 1} of {self._episodes}"
        count = step.observation.step + 1
        if step.terminated or step.truncated:
            self._report(f"{number} scored {score:g} in {count} decisions{self._spent()}")
        elif time.monotonic() - self._printed > LINE_EVERY:
            self._report(f"{number}, {count} decisions, score {score:g}{self._spent()}")
        else:
            return
        self._printed = time.monotonic()

    def _spent(self) -> str:
        """What the bench has spent so far, if this cell is billed."""
        if not self._job.billed:
            return ""
        spent, cap = self._shared.dollars.spent, self._shared.caps.dollars
        limit = "" if cap is None else f" of {format_dollars(cap)}"
        return f"; {format_dollars(spent)}{limit} spent" if spent or cap is not None else ""


# --- in other processes --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worker:
    """What a worker process is given when it starts."""

    lines: SimpleQueue[str]
    shared: SharedBudget


_WORKER: list[_Worker] = []
"""That of this worker process."""


def _in_processes(
    settings: BenchSettings,
    jobs: Sequence[Job],
    shared: SharedBudget,
    context: SpawnContext,
    report: Report,
) -> Iterator[Played]:
    lines: SimpleQueue[str] = context.SimpleQueue()
    futures: list[Future[Played]] = []
    pool = ProcessPoolExecutor(
        settings.processes,
        mp_context=context,
        initializer=_init_worker,
        initargs=(os.getpid(), _Worker(lines, shared), added_wrappers()),
    )
    try:
        futures = [pool.submit(_play_in_worker, settings, job) for job in jobs]
        for future in _as_completed(futures, lines, report):
            yield future.result()
    except BrokenProcessPool as error:
        raise InvalidSetting(
            f"A worker process of the bench ended ({error}). A script that starts one needs "
            '`if __name__ == "__main__":`, and players in a module that can be imported; '
            f"{setting('processes', 1)} needs neither. The same call continues."
        ) from error
    finally:
        # shutdown(cancel_futures=True) cancels later, and `wait` never returns such futures.
        running = [future for future in futures if not future.cancel()]
        for _ in _as_completed(running, lines, report):  # wait for the cells that are running
            pass
        pool.shutdown()


def _as_completed(
    futures: Sequence[Future[Played]], lines: SimpleQueue[str], report: Report
) -> Iterator[Future[Played]]:
    """The futures as they end; lines of the workers are reported meanwhile."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=POLL_EVERY, return_when=FIRST_COMPLETED)
        while not lines.empty():
            report(lines.get())
        yield from done


def _init_worker(parent: int, worker: _Worker, wrappers: dict[str, Wrap]) -> None:
    """Prepare a worker process."""
    end_with(parent)
    _WORKER.append(worker)
    WRAPPERS.update(wrappers)


def _play_in_worker(settings: BenchSettings, job: Job) -> Played:
    """Play a cell in a worker process."""
    (worker,) = _WORKER
    return play_job(settings, job, worker.shared, worker.lines.put)
