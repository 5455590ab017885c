"""Folders of embedded checkpoints: the shipped ones, and those that `atari-vlm distill` writes."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from atari_vlm.errors import ModelUnusable

VISION_ENCODER = "vision_encoder.onnx"
DECODER = "decoder.onnx"
FORMER_NAMES = {VISION_ENCODER: "eyes.onnx", DECODER: "words.onnx"}
"""What older versions called the graphs; a folder with these names still loads."""

FILES = (VISION_ENCODER, DECODER, "model.safetensors", "tokenizer.json", "answers.json")
"""The files that decide a checkpoint's answers, in the order in which its digest reads them."""


def weights() -> Path:
    """Folder of the shipped checkpoints and their model card."""
    return Path(str(files("atari_vlm"))) / "weights" / "embedded"


def checkpoints(folder: Path) -> list[Path]:
    """The folders of the checkpoints in a folder: the folder itself, or its subfolders."""
    if (folder / "config.json").exists():
        return [folder]
    inside = sorted(path.parent for path in folder.glob("*/config.json"))
    # While it trains, `distill --out` keeps its student in a folder beside the finished weights.
    return [path for path in inside if path.name == "weights"] or inside or [folder]


def checkpoint(game: str, folder: Path | None = None) -> Path:
    """The folder of the checkpoint that plays a game.

    Args:
        game: catalogue name of the game.
        folder: where to search; None for the shipped checkpoints.

    Raises:
        ModelUnusable: no checkpoint plays the game.
    """
    for path in checkpoints(folder or weights()):
        if game in json.loads((path / "answers.json").read_text())["games"]:
            return path
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
