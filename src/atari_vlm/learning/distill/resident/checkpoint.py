"""The checkpoint of the resident school: everything but the rows, in one file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.distill.train import read_checkpoint, write_state

NAMES = frozenset(("settings", "stepper", "seconds", "version", "starts", "selection", "rows"))


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write the checkpoint, whole or not at all.

    Args:
        path: of the file.
        state: a value for each of NAMES; its tensors are on the CPU and nobody changes them.

    Raises:
        OSError: the disk is full.
    """
    assert set(state) == NAMES
    write_state(path, state)


def load_checkpoint(path: Path, settings: str) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: of the file.
        settings: those of this training, as JSON.

    Raises:
        InvalidSetting: it has other settings.
        StoreError: it is damaged.
    """
    try:
        state = read_checkpoint(path)
        if state["settings"] != settings:
            raise InvalidSetting(
                f"{path.parent} holds a distillation with other settings. Continue it with the "
                "settings in its settings.json, or name another folder."
            )
        if set(state) != NAMES:
            raise ValueError("it lacks a part of the state")
        for name in ("version", "starts"):
            if type(state[name]) is not int or state[name] < 0:
                raise ValueError(f"it says {state[name]!r} as its {name}")
        seconds = state["seconds"]
        if not isinstance(seconds, float | int) or not 0 <= seconds < math.inf:
            raise ValueError(f"it says {seconds!r} seconds of training")
    except (InvalidSetting, FileNotFoundError):
        raise
    except Exception as error:  # torch raises many kinds
        raise damaged(path, error) from error
    return state


def damaged(path: Path, error: Exception) -> StoreError:
    """The error of a checkpoint that cannot be used."""
    text = " ".join(str(error).split())[:200]
    return StoreError(
        f"{path} is damaged ({type(error).__name__}: {text}), so the training cannot continue from "
        "it. Put a copy back, or delete it to train from the beginning."
    )
