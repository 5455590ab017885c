"""Where the runs lie whose examples or lessons a run shows: in its record, relative to its folder.

What it was shown of them is recorded too, so a run does not need them. Their places only tell a
source that changed from another source.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def source_runs_record(folder: Path, **asked: str | Path | None) -> dict[str, Any]:
    """What the settings of a run say of its sources; empty without any.

    Args:
        folder: of the run.
        asked: the folder of each source, by the name of its setting; None for none.
    """
    places = {name: _place(folder, Path(path)) for name, path in asked.items() if path is not None}
    return {"source_runs": places} if places else {}


def is_source(
    folder: Path, settings: Mapping[str, Any], name: str, asked: str | Path
) -> bool | None:
    """Whether a source of a run lies in a folder; None if the run does not say.

    Args:
        folder: of the run.
        settings: of the run.
        name: of the setting that names the source.
        asked: the folder.
    """
    place = (settings.get("source_runs") or {}).get(name)
    if place is None:
        return None
    return bool(os.path.realpath(folder / place) == os.path.realpath(asked))


def _place(folder: Path, path: Path) -> str:
    """A path relative to a folder, or absolute where it cannot be."""
    real = os.path.realpath(path)
    try:
        return Path(os.path.relpath(real, os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive of Windows
        return real
