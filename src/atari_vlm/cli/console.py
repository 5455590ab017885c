"""What every command shares: the console, Ctrl-C, and errors as one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from atari_vlm.cli.flags import flag_of
from atari_vlm.errors import AtariVLMError

console = Console()

Result = TypeVar("Result")


def uninterrupted(work: Callable[[], Result]) -> Result:
    """Do the work; Ctrl-C ends in a sentence and exit code 130."""
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("Stopped. What was done is kept; the same command continues.", err=True)
        raise typer.Exit(130) from None


def run_app(command: typer.Typer, flags: Mapping[str, str] | None = None) -> None:
    """Run a command line; an error of ours ends in one sentence and exit code 1.

    Args:
        command: the command line.
        flags: settings that it calls otherwise than the other commands.
    """
    try:
        command()
    except AtariVLMError as error:
        words = " ".join(error.worded(partial(flag_of, own=flags)).split())
        # They may quote a model: no terminal codes.
        words = "".join(letter if letter.isprintable() else "?" for letter in words)
        typer.echo(f"Error: {words}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, e.g. `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def write_replay_page(folder: Path, out: Path | None) -> None:
    """Write the replay page of a run and print where it is."""
    from atari_vlm.cli.display import say
    from atari_vlm.report.run_page import write_replay

    say(console, f"Replay: {write_replay(folder, out)}")
