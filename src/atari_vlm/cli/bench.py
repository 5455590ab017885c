"""`atari-vlm bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from atari_vlm.cli.console import comma_separated, console, print_line
from atari_vlm.cli.flags import with_flags, with_options
from atari_vlm.cli.places import check_places
from atari_vlm.errors import RunInvalid, setting


def named_games(text: str) -> tuple[str, ...]:
    """The games in the value of a flag: names separated by commas, or all12."""
    from atari_vlm.atari.games import SUGGESTED

    return tuple(SUGGESTED) if text == "all12" else comma_separated(text)


GamesOption = Annotated[
    str, typer.Option("--games", "--game", help="Games, separated by commas; or all12.")
]
ModelsOption = Annotated[
    str,
    typer.Option(
        "--models", "--model", help="Players, separated by commas, as for `play --model`."
    ),
]


@with_options(without={"api_key", "run_folder", "save_dir"})
def bench(
    options: dict[str, Any],
    games: GamesOption = "pong",
    models: ModelsOption = "embedded",
    episodes: Annotated[
        int, typer.Option(help="Whole games for each game and player.", min=1)
    ] = 10,
    baselines: Annotated[bool, typer.Option(help="Add random, noop and best-constant.")] = True,
    processes: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 1,
    out: Annotated[
        Path, typer.Option(help="Folder for the runs and the results; it may hold other benches.")
    ] = Path("bench"),
    api_key: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Play every game with every player in the same settings; the same command continues.

    Other games, players, prompts and settings may be added to the same folder: its results have
    every cell.
    """
    from atari_vlm.bench.matrix import BASELINES, BenchSettings, play_bench
    from atari_vlm.bench.results import Unwritten, read_results
    from atari_vlm.cli.bench_table import print_bench

    players = comma_separated(models) + (BASELINES if baselines else ())
    check_places({**options, "out": out})
    settings = BenchSettings(
        games=named_games(games),
        players=tuple(dict.fromkeys(players)),
        episodes=episodes,
        out=out,
        processes=processes,
        api_key=api_key,  # refused, with what to do instead
        **options,
    )
    cells, error = play_bench(settings, lambda line: print_line(console, with_flags(line)))
    print_bench(console, read_results(out, cells), out, written=not isinstance(error, Unwritten))
    if error is not None:
        raise error
    if invalid := [f"{cell.game}, {cell.player}" for cell in cells if cell.status == "invalid"]:
        one = len(invalid) == 1
        raise RunInvalid(
            f"{len(invalid)} of {len(cells)} cell{'s' * (len(cells) > 1)} {'is' if one else 'are'} "
            f"invalid: {'; '.join(invalid)}. {'It is' if one else 'They are'} played again with "
            f"another {setting('seed')} or in another folder ({setting('out')})."
        )
