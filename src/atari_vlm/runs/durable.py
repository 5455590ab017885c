"""What of a run is on the disk: synced files and folders, and a file that is no longer there.

SQLite appends each commit to a log beside its file. The system writes the log to the disk when it
likes, so a process that is killed loses nothing, but a power cut may lose the last seconds unless
the log is synced. A new file needs its folder synced too, or its name may be lost.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from atari_vlm.errors import StoreError
from atari_vlm.files.writing import write_whole

ABOVE = 3
"""Folders above that of a run that may be new: those of a game and of a bench, and theirs."""


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk fails.
    """
    if os.name == "nt" and path.is_dir():  # Windows keeps names without being asked to
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_name(folder: Path) -> None:
    """Sync the name of a folder, and of those above it, which may have been made with it."""
    for parent in folder.resolve().parents[:ABOVE]:
        with suppress(PermissionError):  # a folder of someone else is not new
            sync(parent)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def rescued(path: Path, content: bytes) -> StoreError:
    """Write the content of a run's file that was deleted or replaced while it was played.

    Args:
        path: of the file. If there is another one, it is kept.
        content: of the whole file.

    Returns:
        The error that says so.
    """
    deleted = identity(path) is None
    saved = path if deleted else path.with_name(f"rescued-{os.getpid()}.sqlite")
    what = f"{path} was {'deleted' if deleted else 'replaced by another file'} while it was played."
    try:
        write_whole(saved, content)
    except OSError as error:
        return StoreError(f"{what} It could not be written again: {error.strerror or error}.")
    if deleted:
        return StoreError(f"{what} It was written again; the same command continues.")
    return StoreError(
        f"{what} What was played is in {saved}; move it to {path.name}, and the same command "
        "continues."
    )
