"""Paths as people type them: "~", names that no file can have."""

from __future__ import annotations

import os
from pathlib import Path


def typed_path(text: str) -> Path:
    """The path of a text; "~" is the home folder, if that user has one."""
    return Path(os.path.expanduser(text))


def is_folder(text: str) -> bool:
    """Whether a folder is called that; False too for a text that no folder can be called."""
    return os.path.isdir(typed_path(text))
