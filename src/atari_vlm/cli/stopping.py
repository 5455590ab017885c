"""What the command line does when it is stopped by Ctrl-C, SIGTERM or SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

import typer

from atari_vlm.cli.outputs import say
from atari_vlm.runs.waiting import SIGNALS, exit_code

Result = TypeVar("Result")


def uninterrupted(work: Callable[[], Result]) -> Result:
    """Call `work`; Ctrl-C, SIGTERM and SIGHUP print a line and exit with code 130, 143 and 129."""
    try:
        return work()
    except KeyboardInterrupt as stop:
        # After SIGHUP there may be no terminal.
        say("Stopped. What was done is kept; the same command continues.")
        raise typer.Exit(exit_code(stop)) from None


def leave(code: int) -> NoReturn:
    """End a process that was stopped: further signals change nothing, and no thread is awaited."""
    for name in SIGNALS:
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    if any(not thread.daemon for thread in threading.enumerate()[1:]):  # e.g. a local model's call
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
