"""Shared by all commands: the console, plain lines, and errors as one line."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

import typer
from rich.console import Console

from atari_vlm.cli.flags import with_flags
from atari_vlm.cli.outputs import OutputGone, checked_outputs, say
from atari_vlm.cli.stopping import leave
from atari_vlm.errors import AtariVLMError, InvalidSetting, RunInvalid, UnknownName, UnsafeGame
from atari_vlm.runs.waiting import exit_code, stoppable

console = Console()

_LIMITS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LIMITS |= {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOENT}
"""Faults of the disk, limits of the system, and folders that are gone."""


@contextmanager
def page_of_an_invalid_run(wanted: bool = True) -> Iterator[None]:
    """Write the replay page of a run that turns out to be invalid, and say where it is."""
    try:
        yield
    except RunInvalid as error:
        if wanted and error.folder is not None:
            from atari_vlm.report.run_page import write_replay

            with suppress(AtariVLMError):  # the run's own error is the one to print
                say(f"Replay: {write_replay(error.folder)}")
        raise


def run_app(command: typer.Typer, flags: Mapping[str, str] | None = None) -> None:
    """Run a command line; an AtariVLMError is printed in one line.

    Exit codes: 2 for names and settings that cannot work, as for unknown flags; 1 for what was
    tried and failed; 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP; 141 for a pipe without a
    reader.

    Args:
        command: the command line.
        flags: its own flags, by setting, if they differ from those of `atari-vlm`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an output that knows only ASCII gets "?"
    warnings.showwarning = _show_warning
    try:
        with checked_outputs(), stoppable():
            command()
    except AtariVLMError as error:
        say(f"Error: {printable(with_flags(error.message, flags))}")
        sys.exit(2 if isinstance(error, InvalidSetting | UnknownName | UnsafeGame) else 1)
    except KeyboardInterrupt as stop:
        leave(exit_code(stop))
    except OutputGone as gone:
        gone.explain()
        leave(gone.number)
    except SystemExit as leaving:
        if isinstance(leaving.code, int) and leaving.code > 128:
            leave(leaving.code)
        raise
    except (OSError, MemoryError) as error:  # a path, a disk or a limit of this machine
        if not (reason := _reason(error)):
            raise
        say(f"Error: {printable(reason)}")
        sys.exit(1)


def _reason(error: OSError | MemoryError) -> str:
    """A sentence about a path, a disk or a limit; empty if a traceback says more."""
    if isinstance(error, MemoryError):
        return f"The system cannot go on: {os.strerror(errno.ENOMEM)}."
    if error.filename is not None:
        return str(AtariVLMError(f"Cannot use {error.filename}: {error.strerror}."))
    if error.errno in _LIMITS:
        return f"The system cannot go on: {error.strerror}."
    return ""


def _show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Print a warning as a line, without the place in the source that it comes from."""
    say(f"Note: {printable(str(message))}")


def comma_separated(text: str) -> tuple[str, ...]:
    """The names in the value of a flag such as `--games pong,breakout`."""
    return tuple(name.strip() for name in text.split(","))


def print_line(console: Console, text: str) -> None:
    """Print a line without wrapping, highlighting or markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """A text on one line, without terminal codes; for text of models and servers."""
    line = " ".join(text.split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line
    )


def write_replay_page(
    folder: Path, out: Path | None, *, evaluations: Sequence[Path] | None = None
) -> None:
    """Write the replay page of a run, and of its evaluations, and print its path."""
    from atari_vlm.report.run_page import write_replay

    print_line(console, f"Replay: {write_replay(folder, out, evaluations=evaluations)}")
