"""`atari-vlm estimate`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from atari_vlm.cli.console import comma_separated, console, print_line
from atari_vlm.cli.flags import with_flags, with_options
from atari_vlm.cli.train import BeforeOption, ControlOption, EveryOption, IclOption, ShuffledOption
from atari_vlm.players import Options
from atari_vlm.runs.options import EVALUATION_EPISODES, TRAINING_EPISODES


@with_options(without={"api_key", "use_in_context_learning"})
def estimate(
    options: dict[str, Any],
    game: Annotated[
        str, typer.Option("--game", "--games", help="Games, separated by commas; or all12.")
    ] = "pong",
    model: Annotated[
        str, typer.Option("--model", "--models", help="Models, separated by commas.")
    ] = "gpt-6-luna",
    episodes: Annotated[
        int | None,
        typer.Option(
            help="Episodes of each run, or of each training; default: 1, or as `train` "
            f"{TRAINING_EPISODES} of a training.",
            min=1,
        ),
    ] = None,
    icl: IclOption = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            help="Episodes of evaluation of a training, which is then estimated; default: as "
            f"`train` {EVALUATION_EPISODES}.",
            min=1,
        ),
    ] = None,
    before: BeforeOption = True,
    evaluate_every: EveryOption = None,
    control: ControlOption = False,
    shuffled: ShuffledOption = False,
) -> None:
    """Estimate the cost of `play`, of a bench or of `train`, in tokens and dollars. Needs no key.

    A training is estimated with --evaluations, --evaluate-every, --control, --shuffled or
    --no-before, by the defaults of `train`. Of a search, and of a player that looks ahead, it
    says what is simulated and how long that takes. It takes the options of `play`; those that
    change no cost are ignored. No model is called.
    """
    from atari_vlm.advice.estimates import estimate_each, estimate_runs
    from atari_vlm.cli.bench import named_games
    from atari_vlm.cli.listings import (
        budget_line,
        print_estimate,
        print_estimates,
        print_training,
    )
    from atari_vlm.trainer.curve_costs import estimate_training
    from atari_vlm.trainer.curve_plan import CurvePlan

    compared = control or shuffled or not before
    trains = evaluations is not None or evaluate_every is not None or compared
    chosen = Options(**options, use_in_context_learning=icl if trains else bool(icl))
    games, models = named_games(game), comma_separated(model)
    if trains:
        plan = CurvePlan(
            episodes=episodes or TRAINING_EPISODES,
            evaluations=evaluations or EVALUATION_EPISODES,
            every=evaluate_every,
            before=before,
            control=control,
            shuffled=shuffled,
        )
        price = partial(estimate_training, plan=plan, options=chosen)
        trainings, left_out = estimate_each(games, models, chosen, price)
        for training in trainings:
            print_training(console, training)
        made = [each for training in trainings for each in training.parts.values()]
    else:
        made, left_out = estimate_runs(games, models, episodes=episodes or 1, options=chosen)
        if len(made) == 1:
            print_estimate(console, made[0])
        elif made:
            print_estimates(console, made)
    for reason in left_out:
        print_line(console, with_flags(reason))
    if chosen.budget is not None:
        print_line(console, budget_line(made, chosen.budget))
