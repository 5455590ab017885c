"""A copy of an SQLite file and its write-ahead log as they are at one moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from atari_vlm.files.untrusted import open_regular

MOST_BYTES = 4 * 2**30
"""The longest file that is opened, in bytes."""

COPY = "copy.sqlite"
"""Name of the copy in its folder."""

_LOG_HEADER = 32
"""Bytes of a write-ahead log before its first frame. They change when the log starts anew."""


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def has_log(path: Path) -> bool:
    """Whether there is a write-ahead log with content that may not be in the file yet."""
    try:
        about = _log_of(path).stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(about.st_mode):
        raise ValueError(f"{path.name}-wal is no regular file")
    return about.st_size > _LOG_HEADER


def copied(path: Path, folder: Path) -> bool:
    """Copy a file, then its log; False if the log was started anew meanwhile.

    What is written back from the log to the file during the copy is in the log still, and the log
    is copied after it, so the copies fit together.
    """
    log = _log_of(path)
    try:
        before = _head(log)
        _copy(path, folder / COPY)
        _copy(log, _log_of(folder / COPY))
        return _head(log) == before == _head(_log_of(folder / COPY))
    except FileNotFoundError:
        return False


def _head(log: Path) -> bytes:
    with log.open("rb") as file:
        return file.read(_LOG_HEADER)


def _copy(source: Path, target: Path) -> None:
    block, copied = 2**20, 0
    with os.fdopen(open_regular(source), "rb") as file, target.open("xb") as copy:
        while content := file.read(block):
            copied += len(content)
            if copied > MOST_BYTES:
                raise ValueError(f"{source.name} has more than {MOST_BYTES:,} bytes")
            if content.count(0) == len(content):  # a file may be mostly holes
                copy.seek(len(content), os.SEEK_CUR)
            else:
                copy.write(content)
        copy.truncate(copied)
