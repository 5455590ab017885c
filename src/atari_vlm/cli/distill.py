"""`atari-vlm collect` and `distill`: data and training of the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from atari_vlm.cli.bench import named_games
from atari_vlm.cli.console import comma_separated, console, print_line
from atari_vlm.cli.places import check_places
from atari_vlm.errors import InvalidSetting, setting


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
    games: Annotated[
        str, typer.Option(help="Games to train on, separated by commas, or all12; default: pong.")
    ] = "",
    minutes: Annotated[
        float,
        typer.Option(
            help="Minutes of training; collecting before and whole games after come on top."
        ),
    ] = 60.0,
    out: Annotated[Path, typer.Option(help="Folder for data, checkpoint and weights.")] = Path(
        "distilled"
    ),
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda; on a GPU, several students learn at once.")
    ] = "auto",
    groups: Annotated[
        str,
        typer.Option(
            help="Games of each checkpoint, such as 'pong,breakout;qbert', or all for a single "
            "one; trains as on a GPU, also without one. Default on a GPU: five for all twelve."
        ),
    ] = "",
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
        int | None,
        typer.Option(
            help="Worker processes that play during training; default: 1, and with a GPU or groups "
            "all cores less two.",
            min=0,
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(help="Whole episodes of the evaluation.", min=0)] = 5,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32, or bf16, which is faster on processors with bf16 units."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Decisions of a step; on a GPU of each checkpoint.", min=1),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Patches of the vision encoder: coarse, or fine, which see more and take longer; "
            "default: coarse, on a GPU fine."
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(help="GB for rows on a GPU or with groups; default: what is free."),
    ] = None,
    round_minutes: Annotated[
        float | None,
        typer.Option(help="Minutes between new students that play; default: 3, on a GPU 0.5."),
    ] = None,
    round_decisions: Annotated[
        int, typer.Option(help="Decisions for each game in such a round, without a GPU.", min=1)
    ] = 8_000,
    opening: Annotated[
        float | None,
        typer.Option(
            help="Share of the minutes in which only the vision encoder learns; default: 0.1, on a "
            "GPU 0.05."
        ),
    ] = None,
) -> None:
    """Train an embedded model; the same command continues an interrupted training."""
    check_places({"out": out})
    asked: dict[str, Any] = {
        "minutes": minutes,
        "out": out,
        "device": device,
        "data": data,
        "base": base,
        "seed": seed,
        "threads": threads,
        "episodes": episodes,
        "round_decisions": round_decisions,
    }
    optional = {
        "workers": workers,
        "architecture": architecture,
        "precision": precision,
        "batch": batch,
        "round_minutes": round_minutes,
        "opening": opening,
    }
    asked |= {name: value for name, value in optional.items() if value is not None}
    if groups or device == "cuda" or (device == "auto" and _has_cuda()):
        _train_resident(games, groups, asked, memory)
    else:
        _train_in_rounds(games, asked, memory)


def _train_in_rounds(games: str, asked: dict[str, Any], memory: float | None) -> None:
    """One student, and rounds in which it plays."""
    from atari_vlm.learning.distill.run import distill as run_distillation
    from atari_vlm.learning.distill.settings import DistillSettings

    if memory is not None:
        raise InvalidSetting(
            f"{setting('memory')} is for a training on a GPU or with {setting('groups')}."
        )
    settings = DistillSettings(games=_known_games(games or "pong"), **asked)
    run_distillation(settings, lambda line: print_line(console, line))


def _train_resident(games: str, groups: str, asked: dict[str, Any], memory: float | None) -> None:
    """Several students at once, whose rows stay in the memory of the device."""
    from atari_vlm.learning.distill.resident.groups import LEAST_OF_GAME, parse_groups
    from atari_vlm.learning.distill.resident.school import train_resident
    from atari_vlm.learning.distill.resident.settings import ResidentSettings

    if not games and (not groups or groups == "all"):
        games = "pong" if not groups else "all12"
    named = _known_games(games) if games else ()
    parsed = parse_groups(groups, named)
    if asked["device"] == "cpu" or not _has_cuda():  # where large batches take too long
        batch = max(64, *(LEAST_OF_GAME * len(group) for group in parsed or (named,)))
        asked = {"precision": "fp32", "batch": batch, **asked}
    settings = ResidentSettings(games=named, groups=parsed, memory=memory, **asked)
    train_resident(settings, lambda line: print_line(console, line))


def _known_games(text: str) -> tuple[str, ...]:
    from atari_vlm.atari.games import get_game

    return tuple(get_game(name).name for name in named_games(text))


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:  # whoever trains says how to install it
        return False
    return bool(torch.cuda.is_available())
