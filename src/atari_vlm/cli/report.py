"""`atari-vlm report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atari_vlm.cli.console import console, print_line, write_replay_page
from atari_vlm.cli.places import check_places
from atari_vlm.errors import InvalidSetting, setting


def report(
    run: Annotated[Path, typer.Argument(help="A run folder, or the folder of a bench.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; default: replay.html in the run folder.")
    ] = None,
    gif: Annotated[
        Path | None, typer.Option(help="Write this animated GIF instead of the page.")
    ] = None,
    episode: Annotated[int, typer.Option(help="Episode of the GIF.", min=0)] = 0,
    start: Annotated[int, typer.Option(help="Its first decision.", min=0)] = 0,
    decisions: Annotated[int, typer.Option(help="Most decisions in it.", min=1)] = 240,
) -> None:
    """Write the replay page of a run, one HTML file, or part of an episode as an animated GIF.

    For the folder of a bench: a page with every cell, and the replay pages that it links to.
    """
    from atari_vlm.bench.page import is_bench, runs_in, write_bench_page
    from atari_vlm.bench.results import RESULTS

    check_places({"out": out, "gif": gif}, files=("out", "gif"))
    if run.is_file():
        raise InvalidSetting(f"{run} is a file; name the folder of a run, such as {run.parent}.")
    if gif is not None and gif.suffix.lower() not in ("", ".gif"):
        raise InvalidSetting(f"{setting('gif')} writes an animated GIF: call it {gif.stem}.gif.")
    if is_bench(run):
        if gif is not None or out is not None:
            raise InvalidSetting(f"{run} holds a bench; name the run of one of its cells.")
        page = write_bench_page(run, lambda line: print_line(console, line))
        print_line(console, f"Page: {page}")
        return
    if runs := runs_in(run):
        several = f"{len(runs)} runs" if len(runs) > 1 else "a run"
        bench = f", or the bench, {run.parent}" if (run.parent / RESULTS).is_file() else ""
        raise InvalidSetting(f"{run} holds {several}: name one, such as {runs[-1]}{bench}.")
    if gif is None:
        write_replay_page(run, out)
        return
    from atari_vlm.report.film import write_film

    path = write_film(run, gif, episode=episode, start=start, decisions=decisions)
    print_line(console, f"Film: {path}")
