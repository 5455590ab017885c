"""Players that need no model, by name: the baselines and the scripted experts."""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.errors import UnknownName, unknown
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.experts import EXPERTS
from atari_vlm.types import Policy


def _expert(game: str) -> Policy:
    if game not in EXPERTS:
        raise UnknownName(
            f"There is no scripted expert for {game!r}. There is one for: "
            f"{', '.join(sorted(EXPERTS))}."
        )
    return EXPERTS[game]


PLAYERS: dict[str, Callable[[str], Policy]] = {
    "random": lambda game: RandomPolicy(),
    "noop": lambda game: ConstantPolicy(),
    "expert": _expert,
}
"""Name -> the policy for a game."""


def player(name: str, game: str) -> Policy:
    """A player by name, e.g. `player("random", "pong")`."""
    if name not in PLAYERS:
        raise unknown("player", name, PLAYERS)
    return PLAYERS[name](game)
