"""`atari-vlm report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atari_vlm.cli.console import console, write_replay_page


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="Default: replay.html in the run.")] = None,
    gif: Annotated[Path | None, typer.Option(help="A moving picture instead of the page.")] = None,
    episode: Annotated[int, typer.Option(help="Episode of the moving picture.", min=0)] = 0,
    start: Annotated[int, typer.Option(help="Its first decision.", min=0)] = 0,
    decisions: Annotated[int, typer.Option(help="How many decisions it shows.", min=1)] = 240,
) -> None:
    """Write the replay page of a run, one HTML file; or a moving picture of a stretch of it."""
    if gif is None:
        write_replay_page(run, out)
        return
    from atari_vlm.cli.display import say
    from atari_vlm.report.film import write_film

    film = write_film(run, gif, episode=episode, start=start, decisions=decisions)
    say(console, f"Film: {film}")
