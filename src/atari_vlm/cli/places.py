"""The files and folders that a command line names, looked at before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atari_vlm.cli.outputs import say
from atari_vlm.errors import InvalidSetting, setting

_FILES, _FOLDERS = ("cache", "gif"), ("run_folder", "save_dir")


def check_places(places: Mapping[str, Any], *, files: tuple[str, ...] = _FILES) -> None:
    """Refuse a folder where a file belongs, and the other way round; say which folders are new.

    A folder that the named one lies in is made if it is missing, so that a slip in its name would
    go unnoticed.

    Args:
        places: paths by setting; others, and those not given, are ignored.
        files: the settings that name files.
    """
    for name, value in places.items():
        if not value or name not in (*files, *_FOLDERS, "out"):
            continue
        path = Path(value)
        if name in files and path.is_dir():
            raise InvalidSetting(f"{setting(name)} names a file, and {path} is a folder.")
        if name not in files and path.is_file():
            raise InvalidSetting(f"{setting(name)} names a folder, and {path} is a file.")
        if not path.absolute().parent.exists():
            say(f"Note: the folder {path.parent} is new.")
