"""The weights that a training begins with, where there may be a checkpoint for each group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.learning.distill.architecture import Architecture, architecture_of
from atari_vlm.models.embedded.checkpoints import checkpoints, read_json


def common_architecture(folder: Path) -> Architecture:
    """The architecture of the checkpoint in a folder, or of all the checkpoints in it.

    Raises:
        ModelUnusable: one has no known architecture.
        InvalidSetting: they have different ones, and students that learn together share one.
    """
    found = {architecture_of(path): path for path in checkpoints(folder)}
    if len(found) > 1:
        names = " and ".join(path.name for path in found.values())
        raise InvalidSetting(
            f"The checkpoints in {folder} have different architectures ({names}), and students "
            "that learn together share one. Name a folder of one of them."
        )
    return next(iter(found))


def base_of(folder: Path, group: Iterable[str]) -> Path | None:
    """The checkpoint that knows most games of a group; None if none knows any, and several exist.

    A folder of one checkpoint serves every group.

    Raises:
        ModelUnusable: a checkpoint cannot be read.
    """
    paths = checkpoints(folder)
    if len(paths) == 1:
        return paths[0]
    known = {path: len(_games(path) & set(group)) for path in paths}
    best = max(paths, key=lambda path: known[path])
    return best if known[best] else None


def _games(path: Path) -> set[str]:
    rules = read_json(path / "answers.json")
    games = rules.get("games") if isinstance(rules, dict) else None
    if not isinstance(games, dict):
        raise ModelUnusable(f"{path / 'answers.json'} names no games. Name another folder.")
    return set(games)
