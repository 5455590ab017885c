"""Registers every game with Gymnasium, so that `gymnasium.make("AtariVLM/Pong-v5")` works."""

from __future__ import annotations

import gymnasium as gym

from atari_vlm.atari.games import GAMES


def register() -> None:
    """Register every game. The environment's module is imported when a game is made."""
    for game in GAMES.values():
        gym.register(
            f"AtariVLM/{game.title}-v5",
            entry_point="atari_vlm.env:AtariVLMEnvironment",
            kwargs={"game_name": game.name},
        )
