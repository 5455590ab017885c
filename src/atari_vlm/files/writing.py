"""Atomic writes, and locks that end with their process."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from atari_vlm.errors import StoreError
from atari_vlm.files.untrusted import open_regular

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

    Args:
        path: its folder is created if it is missing; a symbolic link to a file is replaced, not
            followed.
        content: text is written as UTF-8.

    Raises:
        OSError: the file cannot be written, or a pipe or a device has its name; nothing is left
            behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafted(path) as draft:
        draft.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A new file with a random name beside `path`, which takes its place if the block succeeds.

    Raises:
        OSError: no file can be made there, or something else than a file has its name.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "It is a pipe or a device, and no file", str(path))
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(number)
    draft = Path(name)
    try:
        yield draft
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)  # mkstemp lets only the owner read
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def lock(path: Path, busy: str) -> IO[str]:
    """Lock a file until it is closed or this process ends, even if it is killed.

    Args:
        path: created if it does not exist.
        busy: message of the error if another process holds the lock.

    Raises:
        StoreError: another process holds the lock, or it is a link, a pipe or no file at all.
        OSError: the file cannot be opened.
    """
    file = _open_lock(path)
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


def _open_lock(path: Path) -> IO[str]:
    """Open a lock file, itself and not what it may be a link to; a pipe is not waited for."""
    other = f"{path} is a link or no regular file, so it cannot be a lock. Delete it."
    if path.is_symlink():
        raise StoreError(other)
    try:
        number = open_regular(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))
    except ValueError:
        raise StoreError(other) from None
    return os.fdopen(number, "r+")
