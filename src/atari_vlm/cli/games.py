"""`atari-vlm games`."""

from __future__ import annotations

from typing import Annotated

import typer

from atari_vlm.cli.console import console


def games(
    all_games: Annotated[
        bool, typer.Option("--all", help="All games, not only the 12 suggested ones.")
    ] = False,
) -> None:
    """List the games with their random and human scores."""
    from atari_vlm.atari.games import GAMES, SUGGESTED
    from atari_vlm.cli.listings import games_table

    chosen = list(GAMES) if all_games else list(SUGGESTED)
    console.print(games_table([GAMES[name] for name in chosen]))
    if not all_games:
        console.print(f"{len(GAMES)} games in all: atari-vlm games --all", highlight=False)
