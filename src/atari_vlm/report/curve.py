"""The files of a learning curve: a table, a figure and a page, in the training run's folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atari_vlm.errors import StoreError
from atari_vlm.files.writing import write_whole
from atari_vlm.report.curve_figure import figure
from atari_vlm.report.curve_page import page
from atari_vlm.runs.curve import Curve
from atari_vlm.stats import Interval

TABLE, FIGURE, PAGE = "curve.csv", "curve.svg", "learning.html"

COLUMNS = (
    *("kind", "arm", "episodes", "score", "low", "high", "no_interval", "scores_counted"),
    *("examples", "lessons", "scores", "run"),
)
"""Of the table. kind: "training" (the score of one episode), "evaluation" (the mean of the held-out
seeds after so many episodes) or "difference" (a paired one, named in the column arm). examples and
lessons: how many an evaluation showed."""


def write_curve(curve: Curve) -> tuple[Path, Path, Path]:
    """Write the table, the figure and the page of a curve; each file is whole or absent.

    Returns:
        The three files: curve.csv, curve.svg and learning.html.

    Raises:
        StoreError: a file cannot be written.
    """
    texts = {TABLE: table(curve), FIGURE: figure(curve), PAGE: page(curve)}
    for name, text in texts.items():
        try:
            write_whole(curve.folder / name, text)
        except OSError as error:
            path = curve.folder / name
            raise StoreError(f"Cannot write {path}: {error.strerror or error}.") from error
    return curve.folder / TABLE, curve.folder / FIGURE, curve.folder / PAGE


def table(curve: Curve) -> str:
    """Every figure of a curve as comma-separated values, with a heading."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_rows(curve))
    return out.getvalue()


def _rows(curve: Curve) -> Iterator[dict[str, Any]]:
    for arm in curve.arms:
        for number, score in enumerate(arm.training):
            yield {
                "kind": "training",
                "arm": arm.name,
                "episodes": number,
                "score": score,
                "scores_counted": 1,
                "run": _place(arm.folder, curve),
            }
    for arm in curve.arms:
        for point in arm.points:
            yield {
                "kind": "evaluation",
                "arm": arm.name,
                "episodes": point.after,
                **_statistic(point.mean, len(point.scores)),
                "examples": point.examples,
                "lessons": point.lessons,
                "scores": json.dumps(point.scores),
                "run": _place(point.folder, curve),
            }
    for name, difference, pairs in curve.differences():
        yield {"kind": "difference", "arm": name, **_statistic(difference, pairs)}


def _statistic(mean: Interval, count: int) -> dict[str, Any]:
    return {
        "score": mean.value,
        "low": mean.low,
        "high": mean.high,
        "no_interval": mean.missing,
        "scores_counted": count,
    }


def _place(folder: Path | None, curve: Curve) -> str:
    """A run as it is found from the folder of the curve, or by its name beside it."""
    if folder is None:
        return ""
    if folder.is_relative_to(curve.folder):
        return folder.relative_to(curve.folder).as_posix()
    return f"../{folder.name}" if folder.parent == curve.folder.parent else str(folder)
