"""The results of a bench: a cell for each game and player, and the two files with all cells."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from atari_vlm import stats
from atari_vlm.atari.games import get_game
from atari_vlm.errors import StoreError
from atari_vlm.players import Options
from atari_vlm.runs.files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The result of one player in one game."""

    game: str
    player: str
    scores: tuple[float, ...]
    mean: stats.Interval
    """Mean score with its bootstrap 95% interval."""
    normalised: float | None
    """Human-normalised mean; None if there is no human score or episodes were cut short."""
    privileges: tuple[str, ...]
    """What the player read beyond the screen."""
    fallbacks: int
    decisions: int
    note: str = ""
    """The action of the best constant player, or the number of episodes cut short by a budget."""


def write_results(out: Path, episodes: int, options: Options, cells: Sequence[Cell]) -> None:
    """Write results.csv and results.json into a folder; each file is whole or absent.

    Raises:
        StoreError: a file cannot be written.
    """
    rows = [_row(cell) for cell in cells]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    document = {
        "settings": {
            "episodes": episodes,
            "seed": options.seed,
            "max_decisions": options.max_decisions,
            "sticky": options.repeat_action_probability,
            "frame_skip": options.frame_skip,
            "interval": "percentile bootstrap of the mean, 95%, 10,000 resamples",
        },
        "overall": overall(cells),
        "cells": [{**row, "scores": cell.scores} for row, cell in zip(rows, cells, strict=True)],
    }
    for name, text in (
        ("results.csv", table.getvalue()),
        ("results.json", json.dumps(document, indent=1) + "\n"),
    ):
        try:
            write_whole(out / name, text)
        except OSError as error:
            raise StoreError(f"Cannot write {out / name}: {error.strerror or error}.") from error


def overall(cells: Sequence[Cell]) -> dict[str, dict[str, float | int]]:
    """For each player: median human-normalised mean of its games, and the IQM of all scores."""
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
