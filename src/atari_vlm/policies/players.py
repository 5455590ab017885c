"""Players that need no model, by name: the baselines and the scripted experts."""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.emulator import Emulator
from atari_vlm.errors import UnknownName, unknown
from atari_vlm.games import get_game
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.experts import EXPERTS
from atari_vlm.types import Policy

ALWAYS = "always-"
"""`always-LEFT` holds LEFT for ever."""


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


def is_player(name: str) -> bool:
    """Whether `player` answers to the name, for some game."""
    return name in PLAYERS or name.startswith(ALWAYS)


def player(name: str, game: str) -> Policy:
    """A player by name, e.g. `player("random", "pong")` or `player("always-LEFT", "pong")`."""
    if name.startswith(ALWAYS):
        if name not in constants(game):
            raise unknown("constant player", name, constants(game))
        return ConstantPolicy(name.removeprefix(ALWAYS))
    if name not in PLAYERS:
        raise unknown("player", name, PLAYERS)
    return PLAYERS[name](game)


def constants(game: str) -> tuple[str, ...]:
    """The constant players of a game, in the order of its actions."""
    return tuple(ALWAYS + action for action in Emulator(get_game(game)).legal)
