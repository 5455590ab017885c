"""The command `atari-vlm`. Each command parses its flags, makes one call and prints the result."""

from __future__ import annotations

from typing import Annotated

import typer

from atari_vlm.cli import bench, distill, estimate, games, lessons, models, play, report, train
from atari_vlm.cli.console import run_app
from atari_vlm.cli.help import Command, Group

app = typer.Typer(
    cls=Group,
    help="Pretrained vision-language models play Atari games, and get better at it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"atari-vlm {version('atari-vlm')}")
        raise typer.Exit()


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Pretrained vision-language models play Atari games, and get better at it."""


for command in (
    play.play,
    estimate.estimate,
    train.train,
    bench.bench,
    lessons.lessons,
    games.games,
    report.report,
    distill.collect,
    distill.distill,
):
    app.command(cls=Command)(command)
app.add_typer(models.app, name="models")


def main() -> None:
    """Entry point of `atari-vlm`."""
    run_app(app)


if __name__ == "__main__":
    main()
