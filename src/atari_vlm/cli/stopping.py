"""What the command line does when it is stopped by Ctrl-C, SIGTERM or SIGHUP."""

from __future__ import annotations

import atexit
import os
import signal
import sys
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
    """End a process that was stopped, at once: further signals change nothing.

    No thread is waited for, e.g. a local model's call, and nothing is taken apart: that takes a
    second where torch is loaded.
    """
    for name in SIGNALS:
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code)
