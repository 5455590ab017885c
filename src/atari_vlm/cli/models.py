"""`atari-vlm models` and `atari-vlm models check`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atari_vlm.cli.console import console, uninterrupted
from atari_vlm.cli.flags import with_options
from atari_vlm.models.hosted.options import HostedOptions
from atari_vlm.models.local.options import LocalOptions
from atari_vlm.models.options import AnswerOptions
from atari_vlm.players import PlayerOptions

app = typer.Typer(
    help="List the models, or check one of them.", rich_markup_mode=None, add_completion=False
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models: their names, what they need, what they cost."""
    if context.invoked_subcommand is not None:
        return
    from atari_vlm.cli.display import say
    from atari_vlm.cli.listings import print_models, print_recommendations

    print_models(console)
    say(console, "\nBaselines: random, noop, expert (the 12 suggested games), always-ACTION;")
    say(console, "searches, which use the emulator: iw, uct, with a budget of frames iw-12000.")
    say(console, "Also: PROVIDER:ID, local:ORG/NAME, a folder, any name a --base-url server has.")
    say(console, "Does one work? atari-vlm models check NAME\n")
    print_recommendations(console)


@app.command()
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
    name: Annotated[str, typer.Argument(help="A model, as `play --model` takes it.")],
    game: Annotated[
        str | None, typer.Option(help="Answer with this game's actions; default: directions.")
    ] = None,
) -> None:
    """Ask a model one cheap question about a picture, and say what works; exit code 1 if not."""
    from atari_vlm.advice.model_check import check_model
    from atari_vlm.cli.listings import print_check
    from atari_vlm.players import Options

    checked = uninterrupted(lambda: check_model(name, game=game, options=Options(**options)))
    print_check(console, checked)
    if not checked.works:
        raise typer.Exit(1)
