"""The folder of a training: whether these settings may continue it, and what a refusal leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from atari_vlm.errors import AtariVLMError, InvalidSetting
from atari_vlm.files.untrusted import json_of, read_regular
from atari_vlm.learning.distill.settings import DistillSettings

_LARGEST = 2**20


def check_folder(settings: DistillSettings) -> None:
    """Refuse a folder that holds a training with other settings, before anything of it is read.

    Args:
        settings: with an architecture.

    Raises:
        InvalidSetting: it does; the message has the games of that training.
    """
    stored = _stored(settings.out)
    asked = json.loads(settings.to_json())
    if stored and stored != asked and (settings.out / "checkpoint.pt").exists():
        raise other_settings(settings.out, stored, asked)
    played = {path.name.partition("-")[0] for path in (settings.out / "data").glob("*.parquet")}
    if not played <= set(settings.games):
        raise other_settings(settings.out, {**asked, "games": sorted(played)}, asked)


def other_settings(folder: Path, stored: dict[str, Any], asked: dict[str, Any]) -> InvalidSetting:
    """The error of a folder that holds a training with other settings.

    Args:
        folder: of the training.
        stored: its settings.
        asked: those that it shall be continued with.
    """
    groups, games = stored.get("groups"), stored.get("games")
    if isinstance(groups, list):
        what = "groups " + ";".join(",".join(map(str, group)) for group in groups)
    else:
        what = "games " + ",".join(map(str, games if isinstance(games, list) else []))
    differ = sorted(
        name for name in {*stored, *asked} if stored.get(name, ()) != asked.get(name, ())
    )
    return InvalidSetting(
        f"{folder} holds a distillation with other settings ({', '.join(differ)}), of the {what}. "
        "Continue it with the settings in its settings.json, or name another folder."
    )


def _stored(folder: Path) -> dict[str, Any]:
    """The settings of the training in a folder; empty if there is none that can be read."""
    try:
        found = json_of(read_regular(folder / "settings.json", most=_LARGEST))
    except (OSError, ValueError):  # the checkpoint has its own copy, which is compared
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder for a training; if it is refused before it wrote anything, no new folder is left."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except AtariVLMError:
        if new and [path.name for path in folder.iterdir()] == ["lock"]:
            (folder / "lock").unlink()
        with suppress(OSError):  # one that is not empty stays
            for each in new:
                each.rmdir()
        raise
