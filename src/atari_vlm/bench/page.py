"""The page of a bench: every cell of its folder, with a link to the replay of its run."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from atari_vlm.atari.games import GAMES
from atari_vlm.bench.cells import Cell
from atari_vlm.bench.results import RESULTS, TABLE, overall, read_results
from atari_vlm.bench.variants import names_of, settings_line, variants
from atari_vlm.costs.bill import dollars_text
from atari_vlm.errors import AtariVLMError, StoreError
from atari_vlm.files.paths import check_own
from atari_vlm.files.writing import write_whole
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.stats import why_none

PAGE, REPLAY = "index.html", "replay.html"

SHOWN = 3
"""Most episodes in the replay page of a cell: the lowest, the middle and the highest score."""


def write_bench_page(out: Path, report: Callable[[str], None] = lambda line: None) -> Path:
    """Write index.html into the folder of a bench, and the replay page of each cell that lacks one.

    A replay page that is older than its run is written anew. It has at most `SHOWN` episodes:
    `atari-vlm report RUN` writes one with all of them.

    Args:
        out: the folder, of this version or an older one.
        report: called with a line for each replay page.

    Returns:
        The page.

    Raises:
        StoreError: the folder holds no bench, or a file cannot be written.
    """
    cells = read_results(out)
    if not cells:
        raise StoreError(f"{out} holds no run and no bench.")
    for cell in cells:
        try:
            if cell.folder and _is_old(out / cell.folder):
                check_own(out, out / cell.folder)
                report(f"{cell.game}, {cell.player}: {_write_replay(out / cell.folder)}")
        except AtariVLMError as error:
            report(f"{cell.game}, {cell.player}: no replay. {error}")
    path = out / PAGE
    try:
        write_whole(path, render(out, cells))
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def is_bench(folder: Path) -> bool:
    """Whether a folder holds the runs of a bench rather than one run."""
    if Run.exists(folder):
        return False
    cells = (path.parent for path in folder.glob("*/*/run.sqlite"))
    return any(not Run.exists(cell.parent) for cell in cells)  # a training holds its evaluations


def runs_in(folder: Path) -> list[Path]:
    """The runs in a folder that is no run itself, the newest last."""
    if Run.exists(folder):
        return []
    files = sorted(folder.glob("*/run.sqlite"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in files]


def _is_old(folder: Path) -> bool:
    """Whether the replay page of a run is missing, or older than what was played."""
    page = folder / REPLAY
    record = [path for path in folder.glob("run.sqlite*") if not path.name.endswith("-shm")]
    played = max((path.stat().st_mtime for path in record), default=0.0)
    return not page.is_file() or page.stat().st_mtime < played


def _write_replay(folder: Path) -> Path:
    with closing(Run.read(folder)) as run:
        rows = run.episodes()
    scored = sorted((row for row in rows if row.score is not None), key=lambda row: row.score or 0)
    chosen = [row.episode for row in rows if row.status != "finished"][:1]
    if scored:
        places = (0, len(scored) // 2, len(scored) - 1)
        chosen += [scored[place].episode for place in places]
    return write_replay(folder, episodes=sorted({*chosen})[:SHOWN] or None)


def render(out: Path, cells: Sequence[Cell]) -> str:
    """The page as text.

    Args:
        out: the folder of the bench, in which links to replay pages are looked for.
        cells: by game.
    """
    told_apart = variants(cells)
    style = (files("atari_vlm.bench") / "page.css").read_text("utf-8")
    title = html.escape(out.resolve().name)
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{style}</style><h1>{title}</h1><p>{html.escape(settings_line(cells))}</p>",
        *(f"<p>{html.escape(line)}</p>" for line in _figures(cells)),
        f'<p><a href="{TABLE}">{TABLE}</a>, <a href="{RESULTS}">{RESULTS}</a></p>',
    ]
    every = [_numbers(cell) for cell in cells]
    numbers = [name for name in every[0] if any(row[name] for row in every)]
    for name in dict.fromkeys(cell.game for cell in cells):
        title = GAMES[name].title if name in GAMES else name  # of a folder that is damaged
        rows = [
            _row(out, cell, chosen, cells, numbers)
            for cell, chosen in zip(cells, told_apart, strict=True)
            if cell.game == name
        ]
        labels = "".join(f"<th>{html.escape(label)}</th>" for label in told_apart[0])
        heads = "".join(f'<th class="number">{number}</th>' for number in numbers)
        parts += [
            f"<h2>{html.escape(title)}</h2>",
            f'<div class="table"><table><tr><th>player</th>{labels}{heads}<th></th><th>run</th>',
            *rows,
            "</table></div>",
        ]
    return "\n".join(parts) + "</html>\n"


def _figures(cells: Sequence[Cell]) -> Iterator[str]:
    if why := why_none(zip(names_of(cells), (cell.mean for cell in cells), strict=True)):
        yield why
    yield from (each.line(name) for name, each in overall(cells).items())


def _numbers(cell: Cell) -> dict[str, str]:
    """Heading -> what stands below it."""
    mean = cell.mean
    return {
        "mean": f'<span class="bad">{cell.status}</span>' if mean is None else mean.value_text(),
        "95% interval": "" if mean is None else mean.text(),
        "episodes": str(len(cell.scores) or ""),
        "human-normalised": "" if cell.normalised is None else f"{cell.normalised:.2f}",
        "dollars": dollars_text(cell.usage),
    }


def _row(
    out: Path,
    cell: Cell,
    chosen: dict[str, str],
    cells: Sequence[Cell],
    numbers: Sequence[str],
) -> str:
    player = html.escape(cell.player)
    if said := ", ".join(cell.remarks):
        player += f"<small>{html.escape(said)}</small>"
    if cell.problem:
        player += f'<small class="bad">{html.escape(cell.problem)}</small>'
    return "".join(
        (
            f"<tr><td>{player}</td>",
            *(_named(html.escape(label), html.escape(text)) for label, text in chosen.items()),
            *(_named(name, _numbers(cell)[name], "number") for name in numbers),
            f'<td class="bar">{_bar(cell, cells)}</td>{_named("run", _link(out, cell))}</tr>',
        )
    )


def _named(heading: str, markup: str, kind: str = "") -> str:
    """One cell of the table; a narrow screen shows its heading beside it."""
    label = f' data-label="{heading}"' if markup else ""
    class_ = f' class="{kind}"' if kind else ""
    return f"<td{class_}{label}>{markup}</td>"


def _bar(cell: Cell, cells: Sequence[Cell]) -> str:
    """The mean between the lowest and the highest mean of the game, as a bar."""
    means = [other.mean.value for other in cells if other.game == cell.game and other.mean]
    if cell.mean is None or max(means) == min(means):
        return ""
    share = (cell.mean.value - min(means)) / (max(means) - min(means))
    return f'<span><i style="width:{max(1, round(100 * share))}%"></i></span>'


def _link(out: Path, cell: Cell) -> str:
    """The run, with a link to its replay page if there is one."""
    name = html.escape(cell.folder)
    if not cell.folder or not (out / cell.folder / REPLAY).is_file():
        return name
    return f'<a href="{quote(f"{cell.folder}/{REPLAY}")}">{name}</a>'
