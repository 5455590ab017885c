"""`atari-vlm games`."""

from __future__ import annotations

from typing import Annotated

import typer

from atari_vlm.cli.console import console


def games(
    every: Annotated[bool, typer.Option("--all", help="All games, not only the 12.")] = False,
) -> None:
    """List the games, with random and human scores."""
    from atari_vlm.atari.games import GAMES, SUGGESTED
    from atari_vlm.cli.listings import games_table

    chosen = list(GAMES) if every else list(SUGGESTED)
    console.print(games_table([GAMES[name] for name in chosen]))
    if not every:
        console.print(f"{len(GAMES)} games in all: atari-vlm games --all", highlight=False)
