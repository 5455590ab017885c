"""Measured lengths of episodes, from episodes.toml (see benchmarks/episode_lengths.py)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from atari_vlm.atari.games import get_game


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLength:
    """Decisions in an episode of uniformly random play.

    The episodes of a better player can be longer, because it survives, or shorter, because it wins.
    """

    mean: int
    least: int
    most: int
    episodes: int
    """Number of episodes measured."""
    frame_skip: int
    """Emulator frames per decision in the measurement."""
    measured: date

    def at_frame_skip(self, frame_skip: int) -> EpisodeLength:
        """The same lengths in decisions of another number of emulator frames."""
        scaled = {
            name: max(1, round(getattr(self, name) * self.frame_skip / frame_skip))
            for name in ("mean", "least", "most")
        }
        return EpisodeLength(
            **scaled, episodes=self.episodes, frame_skip=frame_skip, measured=self.measured
        )


def episode_length(game: str) -> EpisodeLength | None:
    """The length of random play in a game.

    Args:
        game: any spelling of the game's name.

    Returns:
        None if the game was not measured.
    """
    table = _read()
    lengths = table["games"].get(get_game(game).name)
    if lengths is None:
        return None
    return EpisodeLength(**lengths, frame_skip=table["frame_skip"], measured=table["measured"])


@cache
def _read() -> dict[str, Any]:
    with (Path(__file__).parent / "episodes.toml").open("rb") as file:
        return tomllib.load(file)
