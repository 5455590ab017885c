"""Paths as people type them ("~", names that no file can have), and paths within a folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from atari_vlm.errors import StoreError


def typed_path(text: str) -> Path:
    """The path of a text; "~" is the home folder, if that user has one."""
    return Path(os.path.expanduser(text))


def is_folder(text: str) -> bool:
    """Whether a folder is called that; False too for a text that no folder can be called."""
    return os.path.isdir(typed_path(text))


def is_within(name: str) -> bool:
    """Whether a relative path, as others may have written it, stays in its folder by its words."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and not {"/", ".."} & {*parts} and ":" not in name and "\0" not in name


def check_own(base: Path, path: Path) -> None:
    """Raise unless what is written to `path` stays in `base`, which may itself be a link.

    Raises:
        StoreError: a folder below `base`, or the one at `path`, is a link.
    """
    for folder in (path, *path.parents):
        if folder == base:
            return
        if folder.is_symlink():
            raise StoreError(
                f"{folder} is a link to another place, and nothing is written through it. Replace "
                "it by a folder, or use another one."
            )
