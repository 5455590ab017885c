"""`atari-vlm models` and `atari-vlm models check`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.cli.console import console, print_line, uninterrupted
from atari_vlm.cli.flags import with_options
from atari_vlm.cli.help import Command, Group
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.players import PlayerOptions

app = typer.Typer(
    cls=Group,
    help="List the models, or check one of them.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models with their requirements and prices."""
    if context.invoked_subcommand is not None:
        return
    from atari_vlm.cli.listings import print_models, print_recommendations

    print_models(console)
    print_line(
        console, "\nBaselines: random, noop, expert (the 12 suggested games), always-ACTION;"
    )
    print_line(
        console, "searches, which use the emulator: iw, uct; iw-12000 simulates 12,000 frames."
    )
    print_line(
        console, "Also PROVIDER:ID, local:ORG/NAME, a folder, and any name on a --base-url server."
    )
    print_line(console, "Check a model: atari-vlm models check NAME\n")
    print_recommendations(console)


@app.command(cls=Command)
@with_options(
    PlayerOptions,
    HostedOptions,
    LocalOptions,
    AnswerOptions,
    without={
        "prompt_type",
        "use_in_context_learning",
        "cache",
        "cache_mode",
        "cache_share",
        "decide",
        "rpm",
        "concurrency",
    },
)
def check(
    options: dict[str, Any],
    name: Annotated[str, typer.Argument(help="A model, as for `play --model`.")],
    game: Annotated[
        str | None,
        typer.Option(help="The answer uses the actions of this game; default: directions."),
    ] = None,
) -> None:
    """Check a model with one cheap call about a picture; exit code 1 if it cannot play."""
    from atari_vlm.advice.model_check import check_model
    from atari_vlm.cli.listings import print_check
    from atari_vlm.players import Options

    checked = uninterrupted(lambda: check_model(name, game=game, options=Options(**options)))
    print_check(console, checked)
    if not checked.works:
        raise typer.Exit(1)
