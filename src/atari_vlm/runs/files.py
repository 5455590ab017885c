"""Atomic writes, and locks that end with their process."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from atari_vlm.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # POSIX
    msvcrt = None  # type: ignore[assignment]


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically: after a failure it is as it was before.

    The content is written to a new file with a random name in the same folder, which then replaces
    `path`. A symbolic link at `path` is replaced, not followed.

    Args:
        path: its folder is created if it does not exist.
        content: text is written as UTF-8.

    Raises:
        OSError: the file cannot be written. No other file is left behind.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as draft:
            draft.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp makes it readable by the owner only
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def lock(path: Path, busy: str) -> IO[str]:
    """Lock a file until it is closed or this process ends, even if it is killed.

    Args:
        path: created if it does not exist.
        busy: message of the error if another process holds the lock.

    Raises:
        StoreError: another process holds the lock.
        OSError: the file cannot be opened.
    """
    file = path.open("a+")
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except BlockingIOError:
        file.close()
        raise StoreError(busy) from None
    except PermissionError:  # raised by msvcrt if the lock is taken
        file.close()
        raise StoreError(busy) from None
    return file
