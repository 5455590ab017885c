"""Folders of embedded checkpoints: the shipped ones, and those that `atari-vlm distill` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.placeholders import placeholder
from atari_vlm.files.untrusted import json_of, read_regular

VISION_ENCODER = "vision_encoder.onnx"
DECODER = "decoder.onnx"
FORMER_NAMES = {VISION_ENCODER: "eyes.onnx", DECODER: "words.onnx"}
"""What older versions called the graphs; a folder with these names still loads."""

FILES = (VISION_ENCODER, DECODER, "model.safetensors", "tokenizer.json", "answers.json")
"""The files that decide a checkpoint's answers, in the order in which its digest reads them."""

MOST = 200
"""Checkpoints of a folder that are looked at."""

_MB = 2**20
LIMITS = {VISION_ENCODER: 8 * _MB, DECODER: 8 * _MB, "model.safetensors": 256 * _MB}
"""Longest files of a checkpoint, in bytes; 8 MB for every other."""


def read(path: Path) -> bytes:
    """Read a file of a checkpoint.

    Raises:
        ModelUnusable: it is longer than its limit, no regular file, cannot be read, or not the real
            one; the message says which file, and why.
    """
    try:
        content = read_regular(path, most=LIMITS.get(path.name, 8 * _MB))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelUnusable(f"{path} cannot be read: {reason or error}.") from error
    if other := placeholder(content):
        raise ModelUnusable(f"{path} {other}.")
    return content


def read_json(path: Path) -> Any:
    """The value in a JSON file of a checkpoint.

    Raises:
        ModelUnusable: as for `read`, or it is no JSON.
    """
    try:
        return json_of(read(path), most=8 * _MB)
    except ValueError as error:
        raise ModelUnusable(f"{path} is damaged: {error}.") from error


def weights() -> Path:
    """Folder of the shipped checkpoints and their model card."""
    return Path(str(files("atari_vlm"))) / "weights" / "embedded"


def is_shipped(folder: Path) -> bool:
    """Whether a checkpoint belongs to this package, whose files are as trusted as its code."""
    return folder.resolve().parent == weights().resolve()


def checkpoints(folder: Path) -> list[Path]:
    """The folders of the checkpoints in a folder: the folder itself, or its subfolders."""
    if (folder / "config.json").exists():
        return [folder]
    inside = sorted(path.parent for path in folder.glob("*/config.json"))[:MOST]
    if not inside and (folder / "weights").is_dir():  # a training of several
        return checkpoints(folder / "weights")
    # While it trains, `distill --out` keeps its student in a folder beside the finished weights.
    return [path for path in inside if path.name == "weights"] or inside or [folder]


def players(known: Mapping[Path, Sequence[str]]) -> dict[str, Path]:
    """Game -> the checkpoint that plays it.

    A game that several checkpoints know is played by the one whose folder is named after it
    ("pong", "asteroids-seaquest"), otherwise by the first.

    Args:
        known: checkpoint -> the games that it was trained on.
    """
    chosen: dict[str, Path] = {}
    for path, games in known.items():
        for game in games:
            if game not in chosen or _named_after(game, path) > _named_after(game, chosen[game]):
                chosen[game] = path
    return chosen


def _named_after(game: str, folder: Path) -> bool:
    return game in folder.name.split("-")


def checkpoint(game: str, folder: Path | None = None) -> Path:
    """The folder of the checkpoint that plays a game; see `players`.

    Args:
        game: catalogue name of the game.
        folder: where to search; None for the shipped checkpoints.

    Raises:
        ModelUnusable: no checkpoint plays the game.
    """
    known: dict[Path, Sequence[str]] = {}
    for path in checkpoints(folder or weights()):
        rules = read_json(path / "answers.json")
        games = rules.get("games") if isinstance(rules, dict) else None
        known[path] = [game] if isinstance(games, dict) and game in games else []
    if chosen := players(known).get(game):
        return chosen
    raise ModelUnusable(f"No checkpoint in {folder or weights()} plays {game}.")


def find_file(folder: Path, name: str) -> Path:
    """The path of one of a checkpoint's `FILES`, under its former name if only that exists."""
    path = folder / name
    if name in FORMER_NAMES and not path.is_file() and (folder / FORMER_NAMES[name]).is_file():
        return folder / FORMER_NAMES[name]
    return path


def has_onnx(folder: Path) -> bool:
    """Whether a checkpoint has a vision encoder for onnxruntime."""
    return find_file(folder, VISION_ENCODER).is_file()
