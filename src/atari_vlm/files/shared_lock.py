"""A lock of several processes that is free again when its holder is killed."""

from __future__ import annotations

import os
import tempfile
from multiprocessing import get_context, reduction
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class SharedLock:
    """A lock to be held for a moment; the processes that share it get it as they are started.

    `multiprocessing.Lock` stays locked for ever when its holder is killed. The system releases the
    lock of a file with the process. It does not exclude threads of one process.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._lock: Any = None
        if fcntl is None:
            self._lock = get_context("spawn").RLock()
        else:
            with tempfile.TemporaryFile() as file:  # it has no name, so nothing is left behind
                self._file = os.dup(file.fileno())

    def __enter__(self) -> None:
        if self._file is None:
            self._lock.acquire()
        else:
            fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            self._lock.release()
        else:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def __getstate__(self) -> dict[str, Any]:
        """The open file, handed over to a process that is being started."""
        if self._file is None:
            return {"lock": self._lock}
        return {"file": reduction.DupFd(self._file)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = state.get("lock")
        self._file = state["file"].detach() if "file" in state else None
