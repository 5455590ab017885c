"""Worker processes that do not outlive whoever started them."""

from __future__ import annotations

import os
import time
from threading import Thread


def end_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed and then can end nothing.

    Args:
        parent: process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
