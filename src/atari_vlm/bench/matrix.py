"""The matrix of games and players, in the same settings, with baselines beside every score.

Each cell is an ordinary run folder, so a bench that was killed continues where it stopped, and any
cell can be opened in the replay page. With more than one process, cells are played in parallel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeAlias

from atari_vlm.atari.games import get_game
from atari_vlm.atari.options import GameOptions
from atari_vlm.bench.results import Cell, write_results
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions, refuse_hosted
from atari_vlm.options import part, values
from atari_vlm.players import Options
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.registry import (
    WRAPPERS,
    Wrap,
    added_wrappers,
    constants,
    is_policy,
    parse_name,
)
from atari_vlm.protocols import Learner, Model, Policy
from atari_vlm.runs.options import RunOptions
from atari_vlm.runs.runner import Watcher
from atari_vlm.runs.worker_processes import end_with
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Step, Strategy

BASELINES = ("random", "noop", "best-constant")
"""Played beside every model; `best-constant` always plays the one action that scores best."""

POLL_EVERY = 0.25
"""Seconds between looks at the queue of the workers' lines, which holds thousands."""

SELECTION, TRIALS = 900, 3
"""Seed and most episodes with which the best constant action is chosen. The seed is not that of the
bench, or the score would be a maximum over noise."""

Player: TypeAlias = str | Policy | Model
"""The name of a player as for `atari-vlm play --model`, "best-constant", a policy, or a model."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings(Options):
    """Settings of a bench, and the keywords of `VLMTrainer`, except for keys.

    Each player follows the options that apply to it; caps on spending hold for each cell. Episode
    k of every cell plays emulator seed 1,000,000 x `seed` + k, so scores are paired over players.
    Keys come from the environment.
    """

    games: tuple[str, ...]
    players: tuple[Player, ...]
    """With `processes` above 1, policies, models and other values must be picklable."""
    episodes: int = 10
    """Episodes of each cell."""
    out: Path = Path("bench")
    processes: int = 1
    strategy: Strategy | None = None
    """A prompt of your own for every model, but not for the embedded one."""
    learner: Learner | None = None
    """A learner of your own for the same players."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.games or not self.players:
            raise InvalidSetting("A bench needs at least one game and one player.")
        if self.episodes < 1 or self.processes < 1:
            names = f"{setting('episodes')} and {setting('processes')}"
            raise InvalidSetting(f"{names} must be at least 1.")
        if self.api_key is not None:
            raise InvalidSetting(
                f"A bench takes no {setting('api_key')}, which would reach every vendor in it: set "
                "each vendor's environment variable."
            )
        if all(_kind(player) in ("policy", "embedded") for player in self.players):
            hosted, spend = part(self, HostedOptions), part(self, SpendOptions)
            refuse_hosted("These players", hosted, spend)
        columns = [name_of(player) for player in self.players]
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise InvalidSetting(f"Two players are called {twice[0]!r}; every column needs a name.")


def name_of(player: Player) -> str:
    """The name of a player in tables and folders."""
    return player if isinstance(player, str) else player.name


def bench(settings: BenchSettings, report: Callable[[str], None]) -> list[Cell]:
    """Play every cell that is not finished, and write results.csv and results.json.

    Args:
        settings: of the bench.
        report: called with a line at the start and end of each cell and after each episode.

    Raises:
        AtariVLMError: the first error of a cell; what was played is kept.
    """
    games = [get_game(name).name for name in settings.games]
    jobs = [
        (game, player)
        for game in games
        for player in settings.players
        if player != "expert" or game in EXPERTS
    ]
    for game in games:
        if "expert" in settings.players and game not in EXPERTS:
            report(f"{game} has no scripted expert; it is left out")
    if settings.processes == 1:
        cells = [play_cell(settings, *job, report) for job in jobs]
    else:
        cells = _in_processes(settings, jobs, report)
    write_results(settings.out, settings.episodes, settings, cells)
    return cells


def _in_processes(
    settings: BenchSettings,
    jobs: Sequence[tuple[str, Player]],
    report: Callable[[str], None],
) -> list[Cell]:
    context = get_context("spawn")
    lines: SimpleQueue[str] = context.SimpleQueue()
    futures: list[Future[Cell]] = []
    pool = ProcessPoolExecutor(
        settings.processes,
        mp_context=context,
        initializer=_init_worker,
        initargs=(os.getpid(), lines, added_wrappers()),
    )
    try:
        futures = [pool.submit(_play_in_worker, settings, *job) for job in jobs]
        for future in _as_completed(futures, lines, report):
            future.result()  # the first error ends the bench
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
    return [future.result() for future in futures]


def _as_completed(
    futures: Sequence[Future[Cell]], lines: SimpleQueue[str], report: Callable[[str], None]
) -> Iterator[Future[Cell]]:
    """The futures as they end; lines of the workers are reported meanwhile."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=POLL_EVERY, return_when=FIRST_COMPLETED)
        while not lines.empty():
            report(lines.get())
        yield from done


_LINES: list[SimpleQueue[str]] = []
"""The queue for the lines of this worker process."""


def _init_worker(parent: int, lines: SimpleQueue[str], wrappers: dict[str, Wrap]) -> None:
    """Prepare a worker process."""
    end_with(parent)
    _LINES.append(lines)
    WRAPPERS.update(wrappers)


def _play_in_worker(settings: BenchSettings, game: str, player: Player) -> Cell:
    """Play a cell in a worker process."""
    return play_cell(settings, game, player, _LINES[0].put)


def play_cell(
    settings: BenchSettings,
    game: str,
    player: Player,
    report: Callable[[str], None] = lambda line: None,
) -> Cell:
    """Play one cell in this process; finished episodes are read from its run folder.

    Args:
        settings: of the bench.
        game: the cell's game.
        player: the cell's player.
        report: called with a line at the start, after each episode, and at the end.
    """
    cell = f"{game}, {name_of(player)}"
    report(f"{cell}: begins, {settings.episodes} episodes")
    note = ""
    played = player
    if player == "best-constant":
        report(f"{cell}: trying each action")
        played = note = best_constant(settings, game)
    watch = _report_episodes(cell, settings.episodes, report)
    trainer = _trainer(settings, game, played, settings.seed, watch)
    summary = trainer.train(settings.episodes)
    if summary.cut:
        note = f"{summary.cut} cut short by the budget"
    report(f"{cell}: {summary.mean} over {len(summary.scores)} episodes")
    return Cell(
        game=game,
        player=name_of(player),
        scores=summary.scores,
        mean=summary.mean,
        normalised=summary.human_normalised,
        privileges=summary.privileges,
        fallbacks=summary.sources.get("fallback", 0),
        decisions=sum(row.decisions or 0 for row in summary.episodes),
        note=note,
    )


def _report_episodes(cell: str, episodes: int, report: Callable[[str], None]) -> Watcher:
    def watch(episode: int, step: Step) -> None:
        if step.terminated or step.truncated:
            score = step.observation.score + step.reward
            report(
                f"{cell}: episode {episode + 1} of {episodes} scored {score:g} in "
                f"{step.observation.step + 1} decisions"
            )

    return watch


def best_constant(settings: BenchSettings, game: str) -> str:
    """Name of the constant player with the best mean on the selection seed; ties: the first."""
    means = {
        name: _trainer(settings, game, name, SELECTION)
        .train(min(TRIALS, settings.episodes))
        .mean.value
        for name in constants(game)
    }
    return max(means, key=lambda name: means[name])


def _trainer(
    settings: BenchSettings, game: str, player: Player, seed: int, watch: Watcher | None = None
) -> VLMTrainer:
    name = name_of(player)
    folder = "".join(c if c.isalnum() or c in "-._" else "-" for c in name)
    options = replace(
        _applicable(player, part(settings, Options)),
        seed=seed,
        run_folder=settings.out / game / f"{folder}-s{seed}",
    )
    own: dict[str, Any] = {}
    if not isinstance(player, str):
        own = {"policy" if isinstance(player, Policy) else "model": player}
    if _kind(player) == "model":
        own |= {"strategy": settings.strategy, "learner": settings.learner}
    return VLMTrainer(game, name, **values(options), **own, watch=watch)


def _applicable(player: Player, options: Options) -> Options:
    """The options that a player can follow."""
    kind = _kind(player)
    if kind == "model":
        return options
    kept = {**values(options, GameOptions), **values(options, RunOptions)}
    if kind == "embedded":
        kept["decide"] = options.decide
    return Options(**kept)


def _kind(player: Player) -> str:
    """Whose options apply: "policy", "embedded", or "model" for any other model."""
    if not isinstance(player, str):
        return "policy" if isinstance(player, Policy) else "model"
    base = parse_name(player, known=lambda name: name.lower() in MODELS).base
    if player == "best-constant" or is_policy(base):
        return "policy"
    return "embedded" if base == "embedded" else "model"
