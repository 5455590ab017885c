"""Files that are written whole or not at all, and locks that end with their process."""

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
    """Write a file so that it is there whole or, after a failure, as it was before.

    The content goes into a new file with a random name beside `path`, which then takes its place. A
    symbolic link at `path` is replaced, not followed.

    Args:
        path: its folder is created where it is missing.
        content: text is written as UTF-8.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as draft:
            draft.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp lets only the owner read
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def lock(path: Path, busy: str) -> IO[str]:
    """Lock a file until it is closed or this process ends, however it ends.

    Args:
        path: created where it is missing.
        busy: the message where another process holds the lock.

    Raises:
        StoreError: another process holds it.
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
    except PermissionError:  # what msvcrt raises for a lock that is taken
        file.close()
        raise StoreError(busy) from None
    return file
