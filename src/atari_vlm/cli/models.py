"""`atari-vlm models`: the names, the prices, one model, and `check`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.cli.console import console
from atari_vlm.cli.flags import with_options
from atari_vlm.cli.help import Command, Group
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.players import PlayerOptions


class _Names(Group):
    """`atari-vlm models NAME` is `atari-vlm models show NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command; a word that names none is the name of a model."""
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["show", *args])


app = typer.Typer(
    cls=_Names,
    help="List the models, show one of them, or check one.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the names of the models and of the other players."""
    if context.invoked_subcommand is None:
        from atari_vlm.cli.model_listings import print_models

        print_models(console)


@app.command(cls=Command)
def show(
    names: Annotated[list[str], typer.Argument(help="Models of the list.", metavar="NAME...")],
) -> None:
    """Show what is known of a model: its state, price, pictures, hardware."""
    from atari_vlm.cli.model_listings import named_model, print_model

    for spec in [named_model(name) for name in names]:
        print_model(console, spec)


@app.command(cls=Command)
def prices() -> None:
    """List the prices of all models, with context and picture tokens."""
    from atari_vlm.cli.model_listings import print_prices

    print_prices(console)


@app.command(cls=Command)
@with_options(
    PlayerOptions,
    HostedOptions,
    LocalOptions,
    AnswerOptions,
    without={
        "prompt_type",
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

    checked = check_model(name, game=game, options=Options(**options))
    print_check(console, checked)
    if not checked.works:
        raise typer.Exit(1)
