"""Processes that this one starts: they end when it ends, and only it hears Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


def end_with(parent: int) -> None:
    """End this process within a second after its parent ends, also if the parent was killed.

    Args:
        parent: process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def shielded() -> Iterator[None]:
    """Ctrl-C and a closed terminal do not reach the processes started in the block.

    Their parent stops them. Otherwise each would print a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
