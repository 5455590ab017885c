"""Standard streams that are closed, full, or a pipe whose reader has gone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import typer

from atari_vlm.errors import AtariVLMError


class OutputGone(SystemExit):
    """The standard output cannot be written to, which ends the command as Ctrl-C does.

    It is no OSError, so that nobody takes it for a fault of a file.

    Args:
        error: what the system said.
    """

    def __init__(self, error: OSError) -> None:
        piped = error.errno == errno.EPIPE  # the reader, e.g. `head`, has closed it
        self.number = 141 if piped else 1
        super().__init__(self.number)
        self._reason = "" if piped else str(error.strerror or error)

    def explain(self) -> None:
        """Print why on standard error; without a reader there is nothing to say."""
        if self._reason:
            say(f"Error: Cannot write to the standard output: {self._reason}.")


class _Output:
    """A text stream whose faults are `OutputGone`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._gone(error) from None

    def flush(self) -> None:
        """Write what is left."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._gone(error) from None

    def _gone(self, error: OSError) -> OutputGone:
        with suppress(OSError):  # Python would write what is left once more, as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return OutputGone(error)


@contextmanager
def checked_outputs() -> Iterator[None]:
    """Let faults of the standard output end the block with `OutputGone`.

    A standard stream that was closed (`>&-`) gets the null device. Otherwise the next file that is
    opened, e.g. that of a run, has its number, and what a library prints is written into that file.

    Raises:
        AtariVLMError: the standard output is closed, so that nothing can be shown.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            os.set_inheritable(opened, True)
    if sys.stdout is None:
        raise AtariVLMError(
            "The standard output is closed, so nothing can be shown. Send it to a file, or to "
            f"{os.devnull}."
        )
    before = sys.stdout
    sys.stdout = _Output(before)
    try:
        yield
    finally:
        sys.stdout = before


def say(text: str) -> None:
    """Print a line on standard error; if it cannot be written to, nothing changes."""
    with suppress(OSError):
        typer.echo(text, err=True)
