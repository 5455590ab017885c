"""Pretrained vision-language models play Atari games, and get better at it.

Importing the package registers its environments with Gymnasium; the names below load on first use,
so that it stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from atari_vlm.atari.registration import register

if TYPE_CHECKING:
    from atari_vlm.atari.games import get_game as get_game
    from atari_vlm.env import AtariVLMEnvironment as AtariVLMEnvironment
    from atari_vlm.errors import AtariVLMError as AtariVLMError
    from atari_vlm.trainer import VLMTrainer as VLMTrainer

_HOMES = {
    "AtariVLMEnvironment": "atari_vlm.env",
    "AtariVLMError": "atari_vlm.errors",
    "VLMTrainer": "atari_vlm.trainer",
    "get_game": "atari_vlm.atari.games",
}

__all__ = ["AtariVLMEnvironment", "AtariVLMError", "VLMTrainer", "get_game"]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


register()
