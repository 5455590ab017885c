"""`atari-vlm bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from atari_vlm.cli.console import comma_separated, console, print_line, uninterrupted
from atari_vlm.cli.flags import with_options


@with_options(without={"api_key", "run_folder", "save_dir"})
def bench(
    options: dict[str, Any],
    games: Annotated[str, typer.Option(help="Games, separated by commas; or all12.")] = "pong",
    models: Annotated[
        str, typer.Option(help="Players, separated by commas, as for `play --model`.")
    ] = "embedded",
    episodes: Annotated[
        int, typer.Option(help="Whole games for each game and player.", min=1)
    ] = 10,
    baselines: Annotated[bool, typer.Option(help="Add random, noop and best-constant.")] = True,
    processes: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the runs and the results.")] = Path("bench"),
) -> None:
    """Play every game with every player in the same settings; the same command continues."""
    from atari_vlm.atari.games import SUGGESTED
    from atari_vlm.bench.matrix import BASELINES, BenchSettings
    from atari_vlm.bench.matrix import bench as run_bench
    from atari_vlm.cli.scores import bench_table

    players = comma_separated(models) + (BASELINES if baselines else ())
    settings = BenchSettings(
        games=SUGGESTED if games == "all12" else comma_separated(games),
        players=tuple(dict.fromkeys(players)),
        episodes=episodes,
        out=out,
        processes=processes,
        **options,
    )
    cells = uninterrupted(lambda: run_bench(settings, lambda line: print_line(console, line)))
    console.print(bench_table(cells))
    print_line(console, f"Results: {out / 'results.csv'}, {out / 'results.json'}")
