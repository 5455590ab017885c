"""`gymnasium.make("AtariVLM/Pong-v5")` for every game, once `atari_vlm` is imported."""

from __future__ import annotations

import gymnasium as gym

from atari_vlm.atari.games import GAMES


def register() -> None:
    """Tell Gymnasium of every game; nothing is loaded before one is made."""
    for game in GAMES.values():
        gym.register(
            f"AtariVLM/{game.title}-v5",
            entry_point="atari_vlm.env:AtariVLMEnvironment",
            kwargs={"game_name": game.name},
        )
