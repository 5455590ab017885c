"""The estimate in the record of a run, with which its bill is compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date
from typing import Any

from atari_vlm.advice.estimate import estimate_of
from atari_vlm.costs.episode_lengths import episode_length
from atari_vlm.learning.choice import learning_record
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.players import Player
from atari_vlm.runs.settings import SOURCES


def billed(player: Player) -> bool:
    """Whether a vendor or a server counts the player's tokens and an estimate is possible."""
    measured = episode_length(player.game.name) or player.settings["max_decisions"]
    return player.counted and isinstance(player.model, HostedModel) and bool(measured)


def record_of(player: Player, episodes: int, *, learning: bool = True) -> dict[str, Any] | None:
    """The estimate for the record of a run, to be compared with its bill; None if not billed.

    Args:
        player: with its learner, if it has one.
        episodes: that the run is to have. The first of them show less than the later ones.
        learning: False for an evaluation; see `estimate_of`.
    """
    if not billed(player):
        return None
    made = estimate_of(player, episodes, learning=learning)
    expected = made.expected
    shares = {
        name: value / expected.decisions
        for name, value in asdict(expected).items()
        if name != "decisions" and value is not None
    }
    return {
        "made": date.today().isoformat(),
        "images": made.video_rule or made.rule,
        "price": made.price_source,
        "per_decision": {"dollars": None, **shares},
    }


def taught_nothing(player: Player) -> Player:
    """The player before it learned anything, which shows nothing of other runs either."""
    nothing = {**learning_record(None), **dict.fromkeys(SOURCES)}
    return replace(player, learner=None, settings={**player.settings, **nothing})
