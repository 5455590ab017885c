"""`atari-vlm collect` and `distill`: data and training of the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from atari_vlm.cli.console import comma_separated, console, print_line
from atari_vlm.cli.places import check_places


def collect(
    games: Annotated[str, typer.Option(help="Games to play, separated by commas.")] = "pong",
    decisions: Annotated[int, typer.Option(help="Labelled decisions for each game.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Folder for the dataset.")] = Path("dataset"),
    student: Annotated[
        Path | None,
        typer.Option(help="Weights that play most decisions; the expert labels them."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the dataset.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Worker processes that play.", min=1)] = 1,
    shard_size: Annotated[int, typer.Option(help="Decisions in a file.", min=1)] = 5_000,
) -> None:
    """Collect a labelled dataset by playing; the same command continues an interrupted one."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset

    check_places({"out": out})
    settings = CollectSettings(
        games=tuple(get_game(name).name for name in comma_separated(games)),
        decisions=decisions,
        out=out,
        student=student,
        seed=seed,
        workers=workers,
        shard_size=shard_size,
    )
    done = collect_dataset(settings, lambda line: print_line(console, line))
    if done.decisions:
        print_line(
            console,
            f"{done.decisions:,} decisions in {done.seconds:.0f} s: "
            f"{done.rate:,.0f} a minute for each worker",
        )
    print_line(console, f"Dataset: {done.folder}, described in its README.md")
    print_line(console, f"Train on it: atari-vlm distill --games {games} --data {done.folder}")


def distill(
    games: Annotated[str, typer.Option(help="Games to train on, separated by commas.")] = "pong",
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for data, checkpoint and weights.")] = Path(
        "distilled"
    ),
    data: Annotated[
        Path | None, typer.Option(help="Dataset made by `collect` to train on first.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", help="Start from these weights; default: random ones."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the training process.", min=1)] = 1,
    workers: Annotated[
        int, typer.Option(help="Worker processes that play during training.", min=0)
    ] = 1,
    episodes: Annotated[int, typer.Option(help="Whole episodes of the evaluation.", min=0)] = 5,
    precision: Annotated[
        str, typer.Option(help="fp32, or bf16, which is faster on processors with bf16 units.")
    ] = "fp32",
    round_minutes: Annotated[
        float, typer.Option(help="Minutes between the rounds in which the student plays.")
    ] = 3.0,
    round_decisions: Annotated[
        int, typer.Option(help="Decisions for each game in such a round.", min=1)
    ] = 8_000,
    opening: Annotated[
        float, typer.Option(help="Share of the minutes in which only the vision encoder learns.")
    ] = 0.1,
) -> None:
    """Train an embedded model; the same command continues an interrupted training."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.learning.distill.run import distill as run_distillation
    from atari_vlm.learning.distill.settings import DistillSettings, Precision

    check_places({"out": out})
    settings = DistillSettings(
        games=tuple(get_game(name).name for name in comma_separated(games)),
        minutes=minutes,
        out=out,
        data=data,
        base=base,
        seed=seed,
        threads=threads,
        workers=workers,
        episodes=episodes,
        precision=cast(Precision, precision),
        round_minutes=round_minutes,
        round_decisions=round_decisions,
        opening=opening,
    )
    run_distillation(settings, lambda line: print_line(console, line))
