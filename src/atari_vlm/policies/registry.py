"""Players that need no model, by name: baselines, scripted experts, searches."""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import UnknownName, unknown
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.search.methods import UCT, RolloutIW, Search
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.search.tree import SearchSettings
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


SEARCHES: dict[str, Search] = {"iw": RolloutIW(), "uct": UCT()}
"""Name -> the search; `iw-12000` is the same with a budget of 12,000 frames a decision."""

PLAYERS: dict[str, Callable[[str], Policy]] = {
    "random": lambda game: RandomPolicy(),
    "noop": lambda game: ConstantPolicy(),
    "expert": _expert,
    "iw": lambda game: SearchPolicy(SEARCHES["iw"]),
    "uct": lambda game: SearchPolicy(SEARCHES["uct"]),
}
"""Name -> the policy for a game."""


def is_player(name: str) -> bool:
    """Whether `player` answers to the name, for some game."""
    return name in PLAYERS or name.startswith(ALWAYS) or _search(name) is not None


def player(name: str, game: str) -> Policy:
    """A player by name, e.g. `player("random", "pong")` or `player("always-LEFT", "pong")`."""
    if name.startswith(ALWAYS):
        if name not in constants(game):
            raise unknown("constant player", name, constants(game))
        return ConstantPolicy(name.removeprefix(ALWAYS))
    if search := _search(name):
        return search
    if name not in PLAYERS:
        raise unknown("player", name, PLAYERS)
    return PLAYERS[name](game)


def _search(name: str) -> Policy | None:
    """The search of a name like `iw-12000`, with its budget."""
    kind, _, budget = name.partition("-")
    if kind not in SEARCHES or not budget.isdecimal():
        return None
    return SearchPolicy(SEARCHES[kind], SearchSettings(budget=int(budget)))


def constants(game: str) -> tuple[str, ...]:
    """The constant players of a game, in the order of its actions."""
    return tuple(ALWAYS + action for action in Emulator(get_game(game)).legal)
