"""The matrix of games and players, in the same settings, with baselines beside every score.

Names, settings and keys are checked before anything is played. Each cell is an ordinary run folder,
so a bench that was killed continues where it stopped, and any cell can be opened in the replay
page. `playing.py` plays the cells, with more than one process in parallel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

from atari_vlm.advice.estimate import total_line
from atari_vlm.atari.games import get_game
from atari_vlm.bench.cells import Cell
from atari_vlm.bench.jobs import best_constant, check_jobs
from atari_vlm.bench.playing import Played, Report, play_jobs
from atari_vlm.bench.results import Unwritten, read_results, write_results
from atari_vlm.bench.settings import BASELINES, BenchSettings, Player, name_of, without_lessons
from atari_vlm.costs.bill import unanswered_note
from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.files.writing import lock
from atari_vlm.models.hosted.budget import SharedBudget
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import part
from atari_vlm.runs.run import Run
from atari_vlm.types import Charge, Usage

__all__ = ["BASELINES", "BenchSettings", "Cell", "Player", "bench", "best_constant", "name_of"]


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
        AtariVLMError: before anything is played: a name, a setting or a key is wrong.
        Exception: afterwards: the first error that stopped a cell, e.g. a budget, or one of a
            player's own code; the others were played, and the files are written.
    """
    cells, error = play_bench(settings, lambda line: report(str(AtariVLMError(line))))
    if error is not None:
        raise error
    return cells


def play_bench(settings: BenchSettings, report: Report) -> tuple[list[Cell], Exception | None]:
    """Like `bench`, but an error that stopped a cell is returned beside the cells.

    Lines that are reported have settings marked (see `errors.setting`).

    Raises:
        AtariVLMError: before anything is played: a name, a setting or a key is wrong.
    """
    jobs, empty = check_jobs(settings)
    caps = part(settings, SpendOptions).caps
    # Two benches at once would each spend the whole budget.
    busy = f"Another bench with a budget is playing in {settings.out}. Wait, or use another folder."
    _make(settings.out)
    with closing(lock(settings.out / "lock", busy)) if caps else nullcontext():
        processes = min(settings.processes, len(jobs))
        shared = SharedBudget(caps, "bench", processes if processes > 1 else 0)
        for spent in _spent_earlier(settings.out, capped=bool(caps)):
            shared.add(spent)
        for cell in empty:
            report(f"{cell.game}, {cell.player}: cannot play. {cell.marked}")
        for line in without_lessons(settings):
            report(line)
        if estimates := [job.estimate for job in jobs if job.estimate]:
            report(f"Estimate: {total_line(estimates)}")
        played: list[Played] = []
        try:
            with closing(play_jobs(settings, jobs, shared, report, processes)) as playing:
                for each in playing:
                    played.append(each)
        except BaseException:
            with suppress(StoreError):  # what stopped the bench is raised instead
                _write(settings, _in_order(settings, played, empty), shared)
            if note := unanswered_note(_usage(settings.out)):
                report(f"In {settings.out}, {note}.")
            raise
        cells = _in_order(settings, played, empty)
        errors = [error for _, error in played if error is not None]
        try:
            _write(settings, cells, shared)
        except Unwritten as error:
            errors.insert(0, error)  # it holds for every cell
    return cells, errors[0] if errors else None


def _in_order(
    settings: BenchSettings, played: Sequence[Played], empty: Sequence[Cell]
) -> list[Cell]:
    """Cells by game and player, as they were asked for."""
    cells = [*(cell for cell, _ in played), *empty]
    games = [get_game(name).name for name in settings.games]
    names = [name_of(player) for player in settings.players]
    return sorted(cells, key=lambda cell: (games.index(cell.game), names.index(cell.player)))


def _write(settings: BenchSettings, cells: Sequence[Cell], shared: SharedBudget) -> None:
    caps = shared.caps
    budget: dict[str, Any] | None = None
    every = read_results(settings.out, cells)
    if caps:
        priced = all(cell.usage.dollars is not None for cell in every)
        budget = {
            "dollars": caps.dollars,
            "dollars_of_an_episode": caps.episode_dollars,
            "tokens": caps.tokens,
            "spent_dollars": shared.dollars.spent if priced else None,
            "spent_tokens": int(shared.tokens.spent),
        }
    if every:
        write_results(settings.out, every, budget)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise StoreError(f"Cannot write a bench to {folder}: {reason}.") from None


def _usage(out: Path) -> Usage:
    """What all runs in the folder of a bench used, but for those that cannot be read."""
    usage = Usage()
    for path in out.glob("*/*/run.sqlite"):
        with suppress(StoreError), closing(Run.read(path.parent)) as run:
            usage += run.usage()
    return usage


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
