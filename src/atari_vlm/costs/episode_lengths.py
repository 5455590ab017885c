"""How long an episode lasts, measured: episodes.toml, by benchmarks/episode_lengths.py."""

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

    Longer where a better player survives longer; shorter where it wins sooner.
    """

    mean: int
    least: int
    most: int
    episodes: int
    """How many were played."""
    frame_skip: int
    """Emulator frames a decision, when it was measured."""
    measured: date

    def at_frame_skip(self, frame_skip: int) -> EpisodeLength:
        """The same episodes, cut into decisions of another length."""
        scaled = {
            name: max(1, round(getattr(self, name) * self.frame_skip / frame_skip))
            for name in ("mean", "least", "most")
        }
        return EpisodeLength(
            **scaled, episodes=self.episodes, frame_skip=frame_skip, measured=self.measured
        )


def episode_length(game: str) -> EpisodeLength | None:
    """The length of random play in a game, by any spelling of its name; None if not measured."""
    table = _read()
    known = table["games"].get(get_game(game).name)
    if known is None:
        return None
    return EpisodeLength(**known, frame_skip=table["frame_skip"], measured=table["measured"])


@cache
def _read() -> dict[str, Any]:
    with (Path(__file__).parent / "episodes.toml").open("rb") as file:
        return tomllib.load(file)
