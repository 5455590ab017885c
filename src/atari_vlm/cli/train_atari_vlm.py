"""`python train_atari_vlm.py`: the command line of the seed document."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.cli.console import console, run_app
from atari_vlm.cli.flags import with_options
from atari_vlm.cli.help import Command
from atari_vlm.cli.train import (
    ControlOption,
    EveryOption,
    ShuffledOption,
    evaluate_only,
    train_and_evaluate,
)
from atari_vlm.runs.options import EVALUATION_EPISODES, TRAINING_EPISODES

FLAGS = {"use_in_context_learning": "--use-icl", "prompt_type": "--prompt-type"}
"""Flags that differ from those of `atari-vlm`, by setting."""

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)


@app.command(cls=Command)
@with_options(flags=FLAGS)
def train_atari_vlm(
    options: dict[str, Any],
    game: Annotated[str, typer.Option(help="e.g. Pong-v5")] = "Pong-v5",
    vlm: Annotated[str, typer.Option(help="e.g. embedded, gpt-4o, claude, qwen-vl")] = "embedded",
    num_episodes: Annotated[
        int, typer.Option(help="Episodes of training.", min=1)
    ] = TRAINING_EPISODES,
    eval_only: Annotated[
        bool, typer.Option("--eval-only", help="Evaluate without training.")
    ] = False,
    num_eval_episodes: Annotated[
        int, typer.Option(help="Episodes of evaluation.", min=1)
    ] = EVALUATION_EPISODES,
    evaluate_every: EveryOption = None,
    control: ControlOption = False,
    shuffled: ShuffledOption = False,
    show_recommendations: Annotated[
        bool, typer.Option("--show-recommendations", help="Print a comparison of models and exit.")
    ] = False,
) -> None:
    """Train a vision-language model on an Atari game, then evaluate it on other seeds."""
    if show_recommendations:
        from atari_vlm.cli.listings import print_recommendations

        print_recommendations(console)
        return
    if eval_only:
        evaluate_only(game, vlm, num_eval_episodes, options)
        return
    from atari_vlm.trainer.curve_plan import CurvePlan

    plan = CurvePlan(
        episodes=num_episodes,
        evaluations=num_eval_episodes,
        every=evaluate_every,
        before=evaluate_every is not None or control or shuffled,
        control=control,
        shuffled=shuffled,
    )
    train_and_evaluate(game, vlm, plan, options)


def main() -> None:
    """Entry point of `python train_atari_vlm.py`."""
    run_app(app, FLAGS)
