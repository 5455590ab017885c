"""Worker processes that end with the process that started them."""

from __future__ import annotations

import os
import time
from threading import Thread


def end_with(parent: int) -> None:
    """End this process within a second after its parent ends, also if the parent was killed.

    Args:
        parent: process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
