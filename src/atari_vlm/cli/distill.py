"""`atari-vlm collect` and `distill`: the school of the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from atari_vlm.cli.console import console, uninterrupted


def collect(
    games: Annotated[str, typer.Option(help="Games to play, with commas between.")] = "pong",
    decisions: Annotated[int, typer.Option(help="Labelled decisions of each game.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("dataset"),
    student: Annotated[
        Path | None,
        typer.Option(help="Weights that play most decisions, the expert labelling them."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every decision.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes that play.", min=1)] = 1,
    shard_size: Annotated[int, typer.Option(help="Decisions of a file.", min=1)] = 5_000,
) -> None:
    """Play and label what a model can learn from; the same command continues what was stopped."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.cli.display import say
    from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset

    settings = CollectSettings(
        games=tuple(get_game(name).name for name in games.split(",")),
        decisions=decisions,
        out=out,
        student=student,
        seed=seed,
        workers=workers,
        shard_size=shard_size,
    )
    done = uninterrupted(lambda: collect_dataset(settings, lambda line: say(console, line)))
    if done.decisions:
        say(
            console,
            f"{done.decisions:,} decisions in {done.seconds:.0f} s: "
            f"{done.rate:,.0f} a minute for each worker",
        )
    say(console, f"Data set: {done.folder}, described in its README.md")
    say(console, f"Learn from it: atari-vlm distill --games {games} --data {done.folder}")


def distill(
    games: Annotated[str, typer.Option(help="Games to teach, with commas between.")] = "pong",
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder of data, checkpoint and weights.")] = Path(
        "distilled"
    ),
    data: Annotated[
        Path | None, typer.Option(help="Learn from what `collect` put here, then play on.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", help="Begin with these weights; default: with random ones."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the training process.", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="Processes that play beside it.", min=0)] = 1,
    episodes: Annotated[int, typer.Option(help="Full episodes of the evaluation.", min=0)] = 5,
    precision: Annotated[
        str, typer.Option(help="fp32, or bf16: faster where the processor has bf16 units.")
    ] = "fp32",
    round_minutes: Annotated[
        float, typer.Option(help="Minutes between rounds in which the student plays.")
    ] = 3.0,
    round_decisions: Annotated[
        int, typer.Option(help="Decisions of each game in such a round.", min=1)
    ] = 8_000,
    opening: Annotated[
        float, typer.Option(help="Share of the minutes in which only the vision encoder learns.")
    ] = 0.1,
) -> None:
    """Train an embedded model; the same command continues what was stopped."""
    from atari_vlm.atari.games import get_game
    from atari_vlm.cli.display import say
    from atari_vlm.learning.distill.run import distill as run_distillation
    from atari_vlm.learning.distill.settings import DistillSettings, Precision

    settings = DistillSettings(
        games=tuple(get_game(name).name for name in games.split(",")),
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
    uninterrupted(lambda: run_distillation(settings, lambda line: say(console, line)))
