"""The matrix of games and players, in the very same settings, with baselines beside every score.

Each cell is an ordinary run folder, so a bench that was killed continues where it stopped, and any
cell can be opened in the replay page. Cells are played in parallel processes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from atari_vlm import stats
from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.models.hosted.options import Hosting
from atari_vlm.policies.ablations import split
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.registry import constants, is_player
from atari_vlm.runs.runner import Watcher
from atari_vlm.runs.worker_processes import end_with
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Step

BASELINES = ("random", "noop", "best-constant")
"""Played beside every model; `best-constant` holds the action that scores best for ever."""

NEWS_EVERY = 0.25
"""Most seconds before a line of a worker is reported; its queue holds thousands."""

SELECTION, TRIALS = 900, 3
"""Seed on which the best constant action is chosen, so that its score is not a maximum of noise,
and the most episodes of each that are played for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What is played."""

    games: tuple[str, ...]
    players: tuple[str, ...]
    """Models and baselines, by the names `atari-vlm play --model` takes, and "best-constant"."""
    episodes: int = 10
    """Whole episodes of each cell."""
    seed: int = 0
    """Episode k of every cell plays emulator seed 1,000,000 x this + k: paired over players."""
    out: Path = Path("bench")
    processes: int = 1
    max_decisions: int | None = None
    prompt: str | None = None
    """For the models; None for each model's own. Keys come from the environment."""
    base_url: str | None = None
    """An OpenAI-compatible server that has the models."""
    hosting: dict[str, Any] = field(default_factory=dict)
    """How hosted models are asked, as arguments of VLMTrainer; caps hold for each cell."""
    local: Mapping[str, Any] = field(default_factory=dict)
    """How the models are held and asked: `decide`, `quantize`, ... of `VLMTrainer`."""

    def __post_init__(self) -> None:
        if not self.games or not self.players:
            raise InvalidSetting("A bench needs at least one game and one player.")
        if self.episodes < 1 or self.processes < 1:
            raise InvalidSetting("episodes and processes must be at least 1.")
        if all(_ours(player) for player in self.players):
            Hosting(**self.hosting).refuse("None of these players")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one player scored in one game."""

    game: str
    player: str
    scores: tuple[float, ...]
    mean: stats.Interval
    """Mean score with its bootstrap 95% interval."""
    normalised: float | None
    """Human-normalised mean; None where the table lacks the game or games were cut short."""
    privileges: tuple[str, ...]
    """What the player read beyond the screen."""
    fallbacks: int
    decisions: int
    note: str = ""
    """Which action the best constant player holds, or what the budget cut short."""


def bench(settings: BenchSettings, report: Callable[[str], None]) -> list[Cell]:
    """Play every cell that is not finished, and write results.csv and results.json.

    Args:
        settings: what is played.
        report: told in a line when a cell begins, when an episode of it ends, and what it came to.

    Raises:
        AtariVLMError: the first that any cell met; what was played is kept.
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
            report(f"{game} has no scripted expert; its row is left out")
    context = get_context("spawn")
    news: SimpleQueue[str] = context.SimpleQueue()
    futures: list[Future[Cell]] = []
    pool = ProcessPoolExecutor(
        settings.processes, mp_context=context, initializer=_begin, initargs=(os.getpid(), news)
    )
    try:
        futures = [pool.submit(_play_and_tell, settings, *job) for job in jobs]
        for future in _done(futures, news, report):
            future.result()  # the first error ends the bench
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for _ in _done(futures, news, report):  # what was begun ends, and is heard
            pass
        pool.shutdown()
    cells = [future.result() for future in futures]
    write_results(settings, cells)
    return cells


def _done(
    futures: Sequence[Future[Cell]], news: SimpleQueue[str], report: Callable[[str], None]
) -> Iterator[Future[Cell]]:
    """The futures as they end, the news of their workers reported before."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=NEWS_EVERY, return_when=FIRST_COMPLETED)
        while not news.empty():
            report(news.get())
        yield from done


_NEWS: list[SimpleQueue[str]] = []
"""Where a worker process tells what it does."""


def _begin(parent: int, news: SimpleQueue[str]) -> None:
    """Prepare a worker process."""
    end_with(parent)
    _NEWS.append(news)


def _play_and_tell(settings: BenchSettings, game: str, player: str) -> Cell:
    """Play a cell in a worker process."""
    return play_cell(settings, game, player, _NEWS[0].put)


def play_cell(
    settings: BenchSettings, game: str, player: str, tell: Callable[[str], None] = lambda line: None
) -> Cell:
    """Play one cell in this process, or read what is finished of it.

    Args:
        settings: of the bench.
        game: the cell's game.
        player: the cell's player.
        tell: told in a line when it begins, when an episode ends, and what it came to.
    """
    cell = f"{game}, {player}"
    tell(f"{cell}: begins, {settings.episodes} episodes")
    note = ""
    name = player
    if player == "best-constant":
        tell(f"{cell}: trying each action")
        name = best_constant(settings, game)
        note = name
    watch = _ends(cell, settings.episodes, tell)
    summary = _trainer(settings, game, name, settings.seed, watch).train(settings.episodes)
    if summary.cut:
        note = f"{summary.cut} cut short by the budget"
    tell(f"{cell}: {summary.mean} over {len(summary.scores)} episodes")
    return Cell(
        game=game,
        player=player,
        scores=summary.scores,
        mean=summary.mean,
        normalised=summary.human_normalised,
        privileges=summary.privileges,
        fallbacks=summary.sources.get("fallback", 0),
        decisions=sum(row.decisions or 0 for row in summary.episodes),
        note=note,
    )


def _ends(cell: str, episodes: int, tell: Callable[[str], None]) -> Watcher:
    def watch(episode: int, step: Step) -> None:
        if step.terminated or step.truncated:
            score = step.observation.score + step.reward
            tell(
                f"{cell}: episode {episode + 1} of {episodes} scored {score:g} in "
                f"{step.observation.step + 1} decisions"
            )

    return watch


def best_constant(settings: BenchSettings, game: str) -> str:
    """The constant player with the best mean on the selection seed (ties: the first action)."""
    means = {
        name: _trainer(settings, game, name, SELECTION)
        .train(min(TRIALS, settings.episodes))
        .mean.value
        for name in constants(game)
    }
    return max(means, key=lambda name: means[name])


def _trainer(
    settings: BenchSettings, game: str, player: str, seed: int, watch: Watcher | None = None
) -> VLMTrainer:
    place = "".join(c if c.isalnum() or c in "-._" else "-" for c in player)
    ours = _ours(player)
    return VLMTrainer(
        game,
        player,
        prompt_type=None if ours else settings.prompt,
        base_url=None if ours else settings.base_url,
        seed=seed,
        max_decisions=settings.max_decisions,
        **({} if ours else settings.hosting),
        run_folder=settings.out / game / f"{place}-s{seed}",
        watch=watch,
        **_asked(settings, player),
    )


def _asked(settings: BenchSettings, player: str) -> dict[str, Any]:
    """How a player is held and asked: the embedded model has only the way it is asked."""
    if is_player(player):
        return {}
    if split(player)[0] == "embedded":
        return {name: value for name, value in settings.local.items() if name == "decide"}
    return dict(settings.local)


def _ours(player: str) -> bool:
    """Whether a player runs in this process whatever the settings say."""
    return player == "best-constant" or is_player(player) or split(player)[0] == "embedded"


def write_results(settings: BenchSettings, cells: Sequence[Cell]) -> None:
    """Write results.csv and results.json into the bench's folder, each whole or not at all."""
    rows = [_row(cell) for cell in cells]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    document = {
        "settings": {
            "episodes": settings.episodes,
            "seed": settings.seed,
            "max_decisions": settings.max_decisions,
            "sticky": 0.25,
            "frame_skip": 4,
            "interval": "percentile bootstrap of the mean, 95%, 10,000 resamples",
        },
        "overall": overall(cells),
        "cells": [{**row, "scores": cell.scores} for row, cell in zip(rows, cells, strict=True)],
    }
    for name, text in (
        ("results.csv", table.getvalue()),
        ("results.json", json.dumps(document, indent=1) + "\n"),
    ):
        draft = settings.out / f"{name}.new"
        try:
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, settings.out / name)
        except OSError as error:
            raise StoreError(f"Cannot write {draft}: {error.strerror or error}.") from error


def overall(cells: Sequence[Cell]) -> dict[str, dict[str, float | int]]:
    """For each player: median human-normalised mean and interquartile mean over its games."""
    summary: dict[str, dict[str, float | int]] = {}
    for player in dict.fromkeys(cell.player for cell in cells):
        own = [cell for cell in cells if cell.player == player and cell.normalised is not None]
        if own:
            values = [cell.normalised for cell in own if cell.normalised is not None]
            scores = [
                value
                for cell in own
                for score in cell.scores
                if (value := get_game(cell.game).normalise(score)) is not None
            ]
            summary[player] = {
                "games": len(own),
                "median": statistics.median(values),
                "iqm": stats.bootstrap(scores, stats.iqm, rng=default_rng(0)).value,
            }
    return summary


def _row(cell: Cell) -> dict[str, Any]:
    return {
        "game": cell.game,
        "player": cell.player,
        "episodes": len(cell.scores),
        "mean": cell.mean.value,
        "low": cell.mean.low,
        "high": cell.mean.high,
        "human_normalised": cell.normalised,
        "privileges": " ".join(cell.privileges),
        "decisions": cell.decisions,
        "fallbacks": cell.fallbacks,
        "note": cell.note,
    }
