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
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from atari_vlm import stats
from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.games import get_game
from atari_vlm.models.hosting import Hosting
from atari_vlm.policies.ablations import split
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.players import constants, is_player
from atari_vlm.trainer import VLMTrainer
from atari_vlm.workers import end_with

BASELINES = ("random", "noop", "best-constant")
"""Played beside every model; `best-constant` holds the action that scores best for ever."""

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
    cells: dict[tuple[str, str], Cell] = {}
    pool = ProcessPoolExecutor(
        settings.processes,
        mp_context=get_context("spawn"),
        initializer=end_with,
        initargs=(os.getpid(),),
    )
    try:
        futures = {pool.submit(play_cell, settings, *job): job for job in jobs}
        for future in as_completed(futures):
            cell = cells[futures[future]] = future.result()
            report(f"{cell.game}, {cell.player}: {cell.mean} over {len(cell.scores)} episodes")
    finally:
        pool.shutdown(cancel_futures=True)
    ordered = [cells[job] for job in jobs]
    write_results(settings, ordered)
    return ordered


def play_cell(settings: BenchSettings, game: str, player: str) -> Cell:
    """Play one cell in this process, or read what is finished of it."""
    note = ""
    name = player
    if player == "best-constant":
        name = best_constant(settings, game)
        note = name
    summary = _trainer(settings, game, name, settings.seed).train(settings.episodes)
    if summary.cut:
        note = f"{summary.cut} cut short by the budget"
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


def best_constant(settings: BenchSettings, game: str) -> str:
    """The constant player with the best mean on the selection seed (ties: the first action)."""
    means = {
        name: _trainer(settings, game, name, SELECTION)
        .train(min(TRIALS, settings.episodes))
        .mean.value
        for name in constants(game)
    }
    return max(means, key=lambda name: means[name])


def _trainer(settings: BenchSettings, game: str, player: str, seed: int) -> VLMTrainer:
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
    )


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
