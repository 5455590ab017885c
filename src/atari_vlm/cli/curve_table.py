"""A learning curve in the terminal: a table of its evaluations, and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from atari_vlm.cli.console import print_line, printable
from atari_vlm.cli.tables import Listing
from atari_vlm.runs.curve import MEANINGS, Arm, Curve, difference_text
from atari_vlm.runs.run import Run
from atari_vlm.stats import format_score


def print_curve(console: Console, curve: Curve, files: Sequence[Path], *, told: bool) -> None:
    """Print the table, the scores of the training episodes, the differences and the files.

    Args:
        console: where to.
        curve: with its runs.
        files: that were written.
        told: whether the summary of the training has been printed.
    """
    console.print(_table(curve))
    for arm in curve.arms:
        if arm.training:
            print_line(console, _training_line(arm))
    for name, difference, pairs in curve.differences():
        print_line(console, f"Paired, {name}: {difference_text(difference, pairs)}")
    if not told and curve.learning.folder is not None:
        with closing(Run.read(curve.learning.folder)) as run:
            if run.unused_reviews:
                print_line(console, printable(run.unused_reviews))
    for path in files:
        print_line(console, f"{_WHAT[path.suffix]}: {path}")


_WHAT = {".csv": "Table", ".svg": "Figure", ".html": "What was learned"}


def _training_line(arm: Arm) -> str:
    scores = ", ".join(format_score(score) for score in arm.training)
    return f"Training scores, {arm.name}: {scores}"


def _table(curve: Curve) -> Listing:
    shown = ["examples"] * curve.shows_examples + ["lessons"] * curve.shows_lessons
    numbers = ("episodes", "mean", "95% interval", "seeds", *shown)
    title = f"{curve.game}: {curve.model}, held-out seeds"
    table = Listing("player", *numbers, title=title, right=numbers, fold="player")
    table.caption, table.caption_justify = escape(curve.settings), "left"
    for arm in curve.arms:
        for point in arm.points:
            mean, seeds = point.mean, len(point.scores)
            counts = (str(getattr(point, name)) for name in shown)
            figures = (f"{point.after}", mean.value_text(), mean.text(), f"{seeds}", *counts)
            style = "bold" if point is curve.learning.points[-1] else ""
            table.add_row(MEANINGS[arm.name], *figures, style=style)
    return table
