"""The results of a bench in the terminal: a table if there is room, and lines if there is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from atari_vlm.bench.cells import Cell
from atari_vlm.bench.results import RESULTS, TABLE, overall
from atari_vlm.bench.variants import names_of, settings_line, variants
from atari_vlm.cli.console import print_line, printable
from atari_vlm.cli.flags import with_flags
from atari_vlm.cli.tables import LEAST_FOLDED, Listing
from atari_vlm.costs.bill import dollars_text, unanswered_note
from atari_vlm.stats import why_none
from atari_vlm.types import Usage

Columns = dict[str, list[str]]
"""Heading -> the text of each cell."""


def print_bench(
    console: Console, cells: Sequence[Cell], out: Path, *, written: bool = True
) -> None:
    """Print the scores, why cells are empty, the common settings, and where everything is.

    Args:
        console: where to print.
        cells: every cell in the folder of the bench, by game.
        out: the folder.
        written: whether the files of results were written.
    """
    console.print(bench_table(console, cells))
    for name, cell in zip(names_of(cells), cells, strict=True):
        if problem := with_flags(cell.marked or cell.problem):
            console.print(Text(printable(f"{name}: {cell.status}. {problem}")))
    for line in (settings_line(cells), *_summary(cells)):
        console.print(Text(printable(line)))
    if written:
        print_line(console, f"Results: {out / TABLE}, {out / RESULTS}")
    print_line(console, f"Runs: in {out}; pages: atari-vlm report {out}")


def bench_table(console: Console, cells: Sequence[Cell]) -> Listing:
    """A row for each cell, with a column for each setting that differs and for the runs.

    On a narrower screen the settings stand beside the player and the run below.
    """
    told_apart = variants(cells)
    figures = _figures(cells)
    headings = list(told_apart[0]) if told_apart else []
    settings = {name: [chosen[name] for chosen in told_apart] for name in headings}
    runs = [Path(cell.folder).name for cell in cells]
    labels = [_label(cell, {}) for cell in cells]
    columns = {**settings, **figures, "run": runs}
    whole = _table(cells, labels, columns)
    if _width(labels, columns) <= console.width:
        return whole
    labels = [_label(cell, chosen) for cell, chosen in zip(cells, told_apart, strict=True)]
    narrow = [f"{label}\n{run}" for label, run in zip(labels, runs, strict=True)]
    return _table(cells, narrow, figures) if _width(labels, figures) <= console.width else whole


def _figures(cells: Sequence[Cell]) -> Columns:
    """The columns of numbers; one without any is left out."""
    every = {
        "mean": [c.status if c.mean is None else c.mean.value_text() for c in cells],
        "95% interval": [cell.mean.text() if cell.mean else "" for cell in cells],
        "episodes": [str(len(cell.scores) or "") for cell in cells],
        "human-norm.": ["" if c.normalised is None else f"{c.normalised:.2f}" for c in cells],
        "dollars": [dollars_text(cell.usage) for cell in cells],
    }
    return {heading: texts for heading, texts in every.items() if any(texts)}


def _label(cell: Cell, chosen: dict[str, str]) -> str:
    player, *rest = _named(cell, chosen)
    rest += cell.remarks
    return printable(f"{player} ({', '.join(rest)})" if rest else player)


def _named(cell: Cell, chosen: dict[str, str]) -> list[str]:
    """The player, and the settings that tell its cell apart."""
    return [cell.player, *(f"{label} {text}" for label, text in chosen.items() if text)]


def _width(labels: Sequence[str], columns: Columns) -> int:
    """Least width of a table: the labels may be folded, nothing else."""
    first = max(len("game and player"), min(LEAST_FOLDED, 2 + max(map(len, labels), default=0)))
    others = [max(map(len, (heading, *texts))) for heading, texts in columns.items()]
    return first + sum(others) + 2 * len(others) + 2


def _table(cells: Sequence[Cell], labels: Sequence[str], columns: Columns) -> Listing:
    first = "game and player"
    table = Listing(first, *columns, right=list(_figures(cells)), fold=first)
    game = ""
    for index, (cell, label) in enumerate(zip(cells, labels, strict=True)):
        if cell.game != game:
            table.add_row(cell.game, style="bold")
        name, newline, run = label.partition("\n")
        shown = Text.assemble(name, (newline + run, "dim")) if run else Text(name)
        texts = (Text(printable(texts[index])) for texts in columns.values())
        table.add_row(Padding(shown, (0, 0, 0, 2)), *texts)
        game = cell.game
    return table


def _summary(cells: Sequence[Cell]) -> Iterator[str]:
    if why := why_none(zip(names_of(cells), (cell.mean for cell in cells), strict=True)):
        yield why
    yield from (each.line(name) for name, each in overall(cells).items() if each.games > 1)
    spent = sum((cell.usage for cell in cells), Usage())
    known = [cell.usage for cell in cells if dollars_text(cell.usage) != "unknown"]
    unknown = len(cells) - len(known)
    dollars = dollars_text(sum(known, Usage()))
    if dollars or unknown:
        parts = [
            f"{spent.calls:,} call{'s' * (spent.calls != 1)}",
            f"{spent.input_tokens:,} tokens in",
            f"{spent.output_tokens:,} tokens out",
        ]
        if dollars:
            parts.append(f"{'dollars ' * dollars.startswith('unknown')}{dollars}")
        if unknown:
            what = "beside that, what those" if dollars else "what the calls"
            parts.append(f"{what} of {unknown} cell{'s' * (unknown > 1)} cost is not known")
        yield f"Spent on all cells: {', '.join(parts)}."
    if note := unanswered_note(spent):
        yield f"Of all cells, {note}."
