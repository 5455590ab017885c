"""`atari-vlm play`, `train` and `estimate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.atari.options import GameOptions
from atari_vlm.cli.console import console, print_line, uninterrupted, write_replay_page
from atari_vlm.cli.flags import with_options
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.players import Options, Player, PlayerOptions
from atari_vlm.prompts.options import PromptOptions

GameOption = Annotated[str, typer.Option(help="A game: pong, Breakout-v5, ...; see `games`.")]
ModelOption = Annotated[
    str,
    typer.Option(
        help="A model (see `models`) or a baseline: random, noop, expert, iw, uct; wrappers follow "
        "it: embedded+blank."
    ),
]


@with_options(without={"seed"})
def play(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Total episodes of the run.", min=1)] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Episode k plays seed 1,000,000 x this + k; default: the first not played."
        ),
    ] = None,
    screen: Annotated[bool, typer.Option(help="Draw the game in the terminal.")] = True,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Play, show it live and write the replay page. The same command continues a stopped run."""
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer

    def work() -> Summary:
        with LiveView(console, f"{game} · {model}", screen=screen) as view:
            trainer = VLMTrainer(game, model, **options, seed=seed or 0, watch=view.watch)
            if seed is None and options["run_folder"] is None:
                trainer = trainer.with_seed(trainer.unplayed_seed(episodes))
            _print_estimate(trainer.player, episodes)
            return trainer.train(episodes)

    summary = uninterrupted(work)
    print_summary(console, summary)
    if replay:
        write_replay_page(summary.folder, None)


def _print_estimate(player: Player, episodes: int) -> None:
    """Print the estimated cost in one line, for players that are billed."""
    from atari_vlm.advice.estimate import billed, estimate_of

    if billed(player):
        print_line(console, f"Estimate: {estimate_of(player, episodes).line}")


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
    """Estimate the cost of a run in tokens and dollars. Calls no model and needs no key."""
    from atari_vlm.advice.estimate import estimate_run
    from atari_vlm.cli.listings import print_estimate

    result = estimate_run(game, model, episodes=episodes, options=Options(**options))
    print_estimate(console, result)


@with_options(without={"use_in_context_learning", "run_folder"})
def train(
    options: dict[str, Any],
    game: GameOption = "pong",
    model: ModelOption = "embedded",
    episodes: Annotated[int, typer.Option(help="Episodes of training.", min=1)] = 10,
    evaluations: Annotated[int, typer.Option(help="Episodes of evaluation.", min=1)] = 5,
    icl: Annotated[
        bool | None,
        typer.Option(
            "--icl/--no-icl",
            help="Show the best moments of earlier episodes; default: if the prompt supports it.",
        ),
    ] = None,
) -> None:
    """Learn in context, then evaluate on seeds that were not trained on."""
    options["use_in_context_learning"] = icl
    train_and_evaluate(game, model, episodes, evaluations, options)


def train_and_evaluate(
    game: str, model: str, episodes: int, evaluations: int, options: dict[str, Any]
) -> None:
    """Train unless `episodes` is 0, evaluate on fresh seeds, print the results, write the page.

    Args:
        game: any spelling of a game.
        model: name of a player.
        episodes: episodes of training.
        evaluations: episodes of evaluation.
        options: keywords of `VLMTrainer`.
    """
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer

    def work() -> tuple[Summary | None, Summary]:
        with LiveView(console, f"{game} · {model}", screen=False) as view:
            trainer = VLMTrainer(game, model, **options, watch=view.watch)
            return trainer.train(episodes) if episodes else None, trainer.evaluate(evaluations)

    trained, evaluated = uninterrupted(work)
    if trained:
        console.print("Training", style="bold")
        print_summary(console, trained)
    console.print("Evaluation, on fresh seeds", style="bold")
    print_summary(console, evaluated)
    if trained:
        write_replay_page(trained.folder, None, evaluations=[evaluated.folder])
    else:
        write_replay_page(evaluated.folder, None)
