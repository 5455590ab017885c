"""`atari-vlm play`, and what it shares with the other commands that play."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from atari_vlm.cli.console import (
    console,
    page_of_an_invalid_run,
    print_line,
    write_replay_page,
)
from atari_vlm.cli.flags import with_flags, with_options
from atari_vlm.cli.places import check_places
from atari_vlm.players import Player

if TYPE_CHECKING:
    from pathlib import Path

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
            help="Seed of the run: another seed plays other games; default: the first not played."
        ),
    ] = None,
    screen: Annotated[bool, typer.Option(help="Draw the game in the terminal.")] = True,
    replay: Annotated[bool, typer.Option(help="Write the replay page.")] = True,
) -> None:
    """Play, show it live and write the replay page. The same command continues a stopped run."""
    from atari_vlm.cli.live_view import LiveView
    from atari_vlm.cli.scores import print_summary
    from atari_vlm.players import Options
    from atari_vlm.protocols import labelled
    from atari_vlm.runs.results import Summary
    from atari_vlm.trainer import VLMTrainer
    from atari_vlm.trainer.continued import continued

    check_places(options)

    def work() -> Summary:
        name = f"{model}+{options['think']}" if options["think"] else model
        with LiveView(console, f"{game}, {name}", screen=screen) as view:

            def make(folder: str | Path | None, seed: int) -> VLMTrainer:
                chosen = {**options, "run_folder": folder, "seed": seed}
                return VLMTrainer(game, model, **chosen, watch=view)

            trainer = continued(make, Options(**options), seed, lambda begun: begun.ended(episodes))
            if seed is None and options["run_folder"] is None:
                trainer = trainer.with_seed(trainer.unplayed_seed(episodes))
            view.title = f"{game}, {labelled(trainer.player.name, trainer.player.privileges)}"
            print_estimate_line(trainer.player, episodes)
            return trainer.train(episodes)

    with page_of_an_invalid_run(replay):
        summary = work()
    print_summary(console, summary)
    if replay:
        write_replay_page(summary.folder, None)


def print_estimate_line(player: Player, episodes: int, *, learning: bool = True) -> None:
    """Print what is foreseen: the cost of players that are billed, and what others simulate."""
    from atari_vlm.advice.estimate import estimate_of
    from atari_vlm.advice.records import billed
    from atari_vlm.advice.simulation import simulation_of

    if billed(player):
        print_line(console, f"Estimate: {estimate_of(player, episodes, learning=learning).line}")
    if (simulated := simulation_of(player)) is not None:
        print_line(console, with_flags(simulated.marked))
