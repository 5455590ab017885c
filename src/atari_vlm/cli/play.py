"""`atari-vlm play`, `train` and `estimate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.atari.options import GameOptions
from atari_vlm.cli.console import console, uninterrupted, write_replay_page
from atari_vlm.cli.flags import with_options
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.players import Options, Player, PlayerOptions
from atari_vlm.prompts.options import PromptOptions

GameOption = Annotated[str, typer.Option(help="A game: pong, Breakout-v5, ...; see `games`.")]
ModelOption = Annotated[
    str,
    typer.Option(
        help="A model (see `models`), or a baseline: random, noop, expert, iw, uct; with wrappers "
        "behind it: embedded+blank."
    ),
]


@with_options(without={"seed"})
def play(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Episodes of the run, in all.", min=1)] = 1,
    seed: Annotated[
        int | None,
        typer.Option(help="Episode k plays seed 1,000,000 x this + k; default: first not played."),
    ] = None,
    screen: Annotated[bool, typer.Option(help="Draw the game in the terminal.")] = True,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Play, show it live, and write the replay. The same command continues what was stopped."""
    from atari_vlm.cli.display import Board, print_summary
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer

    def work() -> Summary:
        with Board(console, f"{game} · {model}", screen=screen) as board:
            trainer = VLMTrainer(game, model, **options, seed=seed or 0, watch=board.watch)
            if seed is None and options["run_folder"] is None:
                trainer = trainer.with_seed(trainer.unplayed_seed(episodes))
            _print_estimate(trainer.player, episodes)
            return trainer.train(episodes)

    summary = uninterrupted(work)
    print_summary(console, summary)
    if replay:
        write_replay_page(summary.folder, None)


def _print_estimate(player: Player, episodes: int) -> None:
    """One line before anything is spent, if anything will be."""
    from atari_vlm.advice.estimate import billed, estimate_of
    from atari_vlm.cli.display import say

    if billed(player):
        say(console, f"Estimate: {estimate_of(player, episodes).line}")


@with_options(
    GameOptions,
    PromptOptions,
    AnswerOptions,
    HostedOptions,
    PlayerOptions,
    without={"api_key", "decide", "cache", "cache_mode", "cache_share"},
)
def estimate(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "gpt-6-luna",
    episodes: Annotated[int, typer.Option(help="Episodes of the run.", min=1)] = 1,
) -> None:
    """Say what a run will cost, in tokens and dollars, before anything is asked. Needs no key."""
    from atari_vlm.advice.estimate import estimate_run
    from atari_vlm.cli.listings import print_estimate

    known = estimate_run(game, model, episodes=episodes, options=Options(**options))
    print_estimate(console, known)


@with_options(without={"use_in_context_learning", "run_folder"})
def train(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Episodes to learn from.", min=1)] = 10,
    evaluations: Annotated[int, typer.Option(help="Episodes to evaluate on, after.", min=1)] = 5,
    icl: Annotated[
        bool | None,
        typer.Option(
            "--icl/--no-icl",
            help="Show the best moments of earlier episodes; default: if the prompt can.",
        ),
    ] = None,
) -> None:
    """Learn in context over some episodes, then evaluate on seeds that were never trained on."""
    options["use_in_context_learning"] = icl
    train_and_evaluate(game, model, episodes, evaluations, options)


def train_and_evaluate(
    game: str, model: str, episodes: int, evaluations: int, options: dict[str, Any]
) -> None:
    """Train (unless `episodes` is 0), evaluate on fresh seeds, and print both.

    Args:
        game: any spelling.
        model: by name.
        episodes: of training.
        evaluations: episodes of evaluation.
        options: keywords of VLMTrainer.
    """
    from atari_vlm.cli.display import Board, print_summary
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer

    def work() -> tuple[Summary | None, Summary]:
        with Board(console, f"{game} · {model}", screen=False) as board:
            trainer = VLMTrainer(game, model, **options, watch=board.watch)
            return trainer.train(episodes) if episodes else None, trainer.evaluate(evaluations)

    trained, evaluated = uninterrupted(work)
    if trained:
        console.print("Training", style="bold")
        print_summary(console, trained)
    console.print("Evaluation, on fresh seeds", style="bold")
    print_summary(console, evaluated)
