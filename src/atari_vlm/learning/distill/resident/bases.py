"""The weights that a training begins with, where there may be a checkpoint for each group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from atari_vlm.errors import InvalidSetting, ModelUnusable, setting
from atari_vlm.learning.distill.architecture import Architecture, architecture_of
from atari_vlm.models.embedded.checkpoints import checkpoints, read_json


def common_architecture(folder: Path, groups: Iterable[tuple[str, ...]]) -> Architecture:
    """The architecture of the checkpoints that these groups begin with.

    Raises:
        ModelUnusable: one has no known architecture, or none knows any of the games.
        InvalidSetting: they have different ones, and students that learn together share one.
    """
    bases = [base for group in groups if (base := base_of(folder, group)) is not None]
    if not bases:
        raise ModelUnusable(f"No checkpoint in {folder} knows a game that is to be taught.")
    found = {architecture_of(path): path for path in bases}
    if len(found) > 1:
        names = " and ".join(path.name for path in found.values())
        raise InvalidSetting(
            f"The checkpoints in {folder} have different architectures ({names}), and students "
            "that learn together share one. Name a folder of one of them, or train their games "
            f"apart ({setting('groups')})."
        )
    return next(iter(found))


def base_of(folder: Path, group: tuple[str, ...]) -> Path | None:
    """The checkpoint that knows most games of a group; None if none knows any, and several exist.

    Of several that know as many, the one that knows the fewest others. A folder of one checkpoint
    serves every group.

    Raises:
        ModelUnusable: a checkpoint cannot be read.
    """
    paths = checkpoints(folder)
    if len(paths) == 1:
        return paths[0]
    games = {path: _games(path) for path in paths}
    best = max(paths, key=lambda path: (len(games[path] & set(group)), -len(games[path])))
    return best if games[best] & set(group) else None


def _games(path: Path) -> set[str]:
    rules = read_json(path / "answers.json")
    games = rules.get("games") if isinstance(rules, dict) else None
    if not isinstance(games, dict):
        raise ModelUnusable(f"{path / 'answers.json'} names no games. Name another folder.")
    return set(games)
