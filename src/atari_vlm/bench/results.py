"""The results of a bench: the two files with every cell of its folder, and figures over games."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atari_vlm import stats
from atari_vlm.atari.games import GAMES, get_game
from atari_vlm.bench.cells import Cell, read_cell, read_cells
from atari_vlm.bench.settings import BEST_CONSTANT
from atari_vlm.bench.variants import common, variants
from atari_vlm.errors import StoreError
from atari_vlm.files.paths import is_within
from atari_vlm.files.untrusted import json_of, read_regular
from atari_vlm.files.writing import write_whole
from atari_vlm.protocols import labelled
from atari_vlm.runs.run import Run
from atari_vlm.types import Usage

RESULTS, TABLE = "results.json", "results.csv"

CONFIDENCE = 0.95
"""Of the intervals between `low` and `high`."""

INTERVAL = "95%, of the mean: Hall's transformed t and Student's t together (atari_vlm.stats)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """Human-normalised figures of a player over games."""

    games: int
    median: float
    """Of the games' means."""
    mean: stats.Interval
    """Of the games' means."""
    iqm: stats.Interval
    """Of all scores of all games."""
    equal: tuple[str, ...] = ()
    """Games whose scores were all equal: the intervals take them as certain."""

    def line(self, player: str) -> str:
        """The median and the mean in a sentence."""
        mean, interval = self.mean.value_text(), self.mean.text()
        if not interval:
            mean = f"{self.mean.value:.2f}"
        elif self.equal:
            one = len(self.equal) == 1
            interval += (
                f" if {', '.join(self.equal)}, whose scores were all equal, "
                f"never {'scores' if one else 'score'} otherwise"
            )
        shown = f" ({interval})" if interval else ""
        return (
            f"{player}: median human-normalised score {self.median:.2f}, mean {mean}{shown}, over "
            f"{self.games} game{'s' * (self.games != 1)}."
        )

    def record(self) -> dict[str, Any]:
        """For results.json."""
        record: dict[str, Any] = {"games": self.games, "median": self.median}
        for name, each in (("mean", self.mean), ("iqm", self.iqm)):
            record |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
        return record | {
            "no_interval": self.mean.missing,
            "no_iqm_interval": self.iqm.missing,
            "equal_scores": list(self.equal),
        }


class Unwritten(StoreError):
    """The files of results cannot be written; the runs are kept."""


def read_results(out: Path, now: Sequence[Cell] = ()) -> list[Cell]:
    """Every cell in the folder of a bench.

    Args:
        out: the folder.
        now: cells that were just asked for, which come first, in their order; empty ones among them
            have no run to be read from, and stopped ones may know more than their run does.

    Returns:
        Cells by game, with every episode that their runs hold, asked for or not; those of a game in
        the order of `now`, then of results.json.
    """
    known = {_place(cell): _stored(out, cell) for cell in now}
    found = {_place(cell): cell for cell in _cells_of(out, _rows(out))}
    for cell in read_cells(out):
        found.setdefault(_place(cell), cell)
    games = list(dict.fromkeys(cell.game for cell in (*known.values(), *found.values())))
    cells = [*known.values(), *(cell for place, cell in found.items() if place not in known)]
    return sorted(cells, key=lambda cell: games.index(cell.game))


def _stored(out: Path, cell: Cell) -> Cell:
    """A played cell as its run is stored, which may hold more episodes than were asked for."""
    if cell.status != "played" or not Run.exists(out / cell.folder):
        return cell
    return replace(read_cell(out, cell.folder), player=cell.player)


def _place(cell: Cell) -> tuple[str, str]:
    return (cell.game, cell.folder or f"no run of {cell.player}")


def _rows(out: Path) -> list[dict[str, Any]]:
    """The rows of results.json, each with its run; none if there is no such file of ours."""
    try:
        document = json_of(read_regular(out / RESULTS), finite=False)
        rows = [row for row in document["cells"] if isinstance(row, dict)]
        for row in rows:
            if "run" not in row and row["player"] == BEST_CONSTANT:  # of an earlier version
                row["run"] = f"{row['game']}/{row['note']}-s{document['settings']['seed']}"
        return [row for row in rows if not row.get("run") or is_within(str(row["run"]))]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _cells_of(out: Path, rows: Iterable[Mapping[str, Any]]) -> Iterable[Cell]:
    """The cells of earlier rows: those without a run, and those whose run is still there."""
    for row in rows:
        folder, player = str(row.get("run") or ""), str(row.get("player"))
        if folder and Run.exists(out / folder):
            yield replace(read_cell(out, folder), player=player)
        elif row.get("status") == "cannot play" and row.get("game") in GAMES:
            yield Cell(
                game=str(row["game"]),
                player=player,
                status="cannot play",
                problem=str(row.get("problem")),
            )


def earlier_run(out: Path, game: str, player: str, seed: int) -> str:
    """The run of a player of a game in results.json, relative to `out`; empty if there is none."""
    runs = [
        str(row.get("run"))
        for row in _rows(out)
        if (row.get("game"), row.get("player")) == (game, player)
    ]
    own = (run for run in runs if run.endswith(f"-s{seed}") and Run.exists(out / run))
    return next(own, "")


def write_results(out: Path, cells: Sequence[Cell], budget: Mapping[str, Any] | None) -> None:
    """Write results.csv and results.json into a folder; each file is whole or absent.

    Args:
        out: the folder.
        cells: every cell in it.
        budget: caps on the whole folder, and what was spent of them; None without caps.

    Raises:
        Unwritten: a file cannot be written.
    """
    rows = [_row(cell) for cell in cells]
    document = {
        "settings": {**common(cells), "interval": INTERVAL},
        "budget": budget,
        "spent": _spent(cells),
        "overall": {name: each.record() for name, each in overall(cells).items()},
        "cells": [
            {**row, "scores": cell.scores, "settings": cell.settings}
            for row, cell in zip(rows, cells, strict=True)
        ],
    }
    for name, text in (
        (TABLE, _csv(rows, cells)),
        (RESULTS, json.dumps(document, indent=1) + "\n"),
    ):
        try:
            write_whole(out / name, text)
        except OSError as error:
            raise Unwritten(f"Cannot write {out / name}: {error.strerror or error}.") from error


def overall(cells: Sequence[Cell]) -> dict[str, Overall]:
    """For each player: the human-normalised figures over the games that have them.

    A player with several settings has an entry for each, such as "gpt-4o, prompt cot".
    """
    summary: dict[str, Overall] = {}
    names = [
        ", ".join((cell.player, *(f"{name} {value}" for name, value in chosen.items() if value)))
        for cell, chosen in zip(cells, variants(cells), strict=True)
    ]
    for name in dict.fromkeys(names):
        own = [
            cell
            for cell, its in zip(cells, names, strict=True)
            if its == name and cell.normalised is not None
        ]
        if own:
            values = [cell.normalised for cell in own if cell.normalised is not None]
            scores = [
                [value for score in cell.scores if (value := normalise(score)) is not None]
                for cell in own
                for normalise in [get_game(cell.game).normalise]
            ]
            mean = stats.mean_interval(*scores)
            summary[name] = Overall(
                games=len(own),
                median=statistics.median(values),
                mean=mean,
                iqm=stats.iqm_interval(*scores),
                equal=tuple(own[place].game for place in mean.equal),
            )
    return summary


def _spent(cells: Sequence[Cell]) -> dict[str, Any]:
    """What all cells cost together; dollars are None if the price of a cell is unknown."""
    known = [cell.usage.dollars for cell in cells if cell.usage.dollars is not None]
    unanswered = sum((cell.usage for cell in cells), Usage())
    return {
        "calls": sum(cell.usage.calls for cell in cells),
        "input_tokens": sum(cell.usage.input_tokens for cell in cells),
        "output_tokens": sum(cell.usage.output_tokens for cell in cells),
        "dollars": sum(known) if len(known) == len(cells) else None,
        "dollars_of_known_price": sum(known),
        "uncertain_requests": unanswered.uncertain,
        "uncertain_dollars": unanswered.uncertain_dollars,
        "cells_of_unknown_price": len(cells) - len(known),
    }


def _row(cell: Cell) -> dict[str, Any]:
    usage, mean = cell.usage, cell.mean
    return {
        "game": cell.game,
        "player": cell.player,
        "status": cell.status,
        "episodes": len(cell.scores),
        "mean": mean and mean.value,
        "low": mean and mean.low,
        "high": mean and mean.high,
        "no_interval": mean.missing if mean else "",
        "human_normalised": cell.normalised,
        "privileges": " ".join(cell.privileges),
        "label": labelled(cell.player, cell.privileges),
        "decisions": cell.decisions,
        "fallbacks": cell.fallbacks,
        "refusals": cell.refusals,
        "stuck": cell.stuck,
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "dollars": usage.dollars,
        "uncertain_dollars": usage.uncertain_dollars,
        "note": cell.note,
        "problem": cell.problem,
        "run": cell.folder,
        "confidence": None if mean is None or mean.low is None else CONFIDENCE,
    }


def _csv(rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> str:
    """The rows, with a column for every setting."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.settings))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*rows[0], *names])
    for row, cell in zip(rows, cells, strict=True):
        values = [*row.values(), *(cell.settings.get(name) for name in names)]
        writer.writerow([_csv_value(value) for value in values])
    return table.getvalue()


def _csv_value(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    if isinstance(value, list | dict):
        return json.dumps(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
