"""The tables of policies and wrappers, and the names by which both are asked for.

    embedded+blank        a model, and what wraps it
    iw-12000              a search with a budget of 12,000 frames a decision
    uct-50ms              a search with a budget of 50 ms of CPU time a decision
    gpt-4o+vote:5         a wrapper with an argument

A new policy is an entry in `POLICIES`, a new wrapper one in `WRAPPERS`; either is then played,
benched, recorded and labelled under its name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import CannotPlay, InvalidSetting, unknown
from atari_vlm.policies.ablations import ABLATIONS, ablate
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.policies.search.methods import UCT, RolloutIW, Search
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.search.tree import SearchSettings
from atari_vlm.policies.think.adaptive import Adaptive
from atari_vlm.policies.think.best_of import best_of
from atari_vlm.policies.think.lookahead import lookahead
from atari_vlm.policies.think.summary import summary
from atari_vlm.policies.think.vote import vote
from atari_vlm.protocols import Policy, Wrapper, chain_of, check_parts, settings_of

ALWAYS = "always-"
"""`always-LEFT` holds LEFT throughout."""


# --- policies without a model ------------------------------------------------------------------


def _expert(game: str) -> Policy:
    if game not in EXPERTS:
        raise CannotPlay(
            f"There is no scripted expert for {game!r}. There is one for: "
            f"{', '.join(sorted(EXPERTS))}."
        )
    return EXPERTS[game]


SEARCHES: dict[str, Search] = {"iw": RolloutIW(), "uct": UCT()}
"""Name -> the search method."""

POLICIES: dict[str, Callable[[str], Policy]] = {
    "random": lambda game: RandomPolicy(),
    "noop": lambda game: ConstantPolicy(),
    "expert": _expert,
    "iw": lambda game: SearchPolicy(SEARCHES["iw"]),
    "uct": lambda game: SearchPolicy(SEARCHES["uct"]),
}
"""Name -> builds the policy for a game."""


def is_policy(name: str) -> bool:
    """Whether a base name is that of a policy without a model, for some game."""
    return name in POLICIES or name.startswith((ALWAYS, *(f"{kind}-" for kind in SEARCHES)))


def get_policy(name: str, game: str) -> Policy:
    """A policy by name, e.g. `get_policy("random", "pong")`, `get_policy("iw-12000", "pong")`.

    Raises:
        UnknownName: no policy has that name.
        CannotPlay: the policy is one for other games.
    """
    if name.startswith(ALWAYS):
        if name not in constants(game):
            error = unknown("constant player", name, constants(game))
            if (
                name.removeprefix(ALWAYS)
                not in Emulator(get_game(game), full_action_space=True).legal
            ):
                raise error
            raise CannotPlay(error.message)
        return ConstantPolicy(name.removeprefix(ALWAYS))
    if search := _search(name):
        return search
    if name not in POLICIES:
        raise unknown("player", name, POLICIES)
    return POLICIES[name](game)


_BUDGET = re.compile(r"(?P<frames>\d{1,12})|(?P<time>\d{1,9}(\.\d{1,9})?)(?P<unit>ms|s)", re.ASCII)


def _search(name: str) -> Policy | None:
    """The search of a name like `iw-12000` or `iw-50ms`, with its budget; None for other names.

    Raises:
        InvalidSetting: it is none.
    """
    kind, dash, budget = name.partition("-")
    if kind not in SEARCHES or not dash:
        return None
    found = _BUDGET.fullmatch(budget)
    if found is None:
        raise InvalidSetting(
            f"A search has a budget for each decision: emulator frames, as in {kind}-1200, or CPU "
            f"time, as in {kind}-50ms and {kind}-0.5s; {name!r} has none of these."
        )
    if found["frames"]:
        settings = SearchSettings(budget=int(budget))
    else:
        seconds = float(found["time"]) / (1000 if found["unit"] == "ms" else 1)
        settings = SearchSettings(budget=None, seconds=seconds)
    return SearchPolicy(SEARCHES[kind], settings)


def constants(game: str) -> tuple[str, ...]:
    """The constant players of a game, in the order of its actions."""
    return tuple(ALWAYS + action for action in Emulator(get_game(game)).legal)


# --- wrappers ------------------------------------------------------------------------------------

Wrap = Callable[..., Policy]
"""(policy, game, *arguments) -> the wrapped policy. The arguments are text from the player's name.

A wrapper may change the observation, the names of the actions, or, with `dataclasses.replace`, the
strategy of a `VLMPolicy`. It keeps the policy inside as `policy`, so that its privileges and its
version are known.
"""


def _ablation(name: str, policy: Policy, game: str) -> Policy:
    return ablate(policy, game, name)


WRAPPERS: dict[str, Wrap] = {
    **{name: partial(_ablation, name) for name in ABLATIONS},
    "vote": vote,
    "best-of": best_of,
    "summary": summary,
    "lookahead": lookahead,
    "adaptive": lambda policy, game, *how: _adaptive(policy, game, how),
}
"""Name -> wraps a policy."""

THINKERS = ("vote", "best-of", "lookahead")
"""Wrappers that think longer, as `adaptive` takes them."""

THINKING = (*THINKERS, "adaptive", "summary")
"""All wrappers of the package that think longer."""


def _adaptive(policy: Policy, game: str, how: Sequence[str]) -> Policy:
    """The wrapper +adaptive, +adaptive:vote:5, +adaptive:lookahead:600, ... of a player's name."""
    word, *arguments = how or ("vote", "3")
    known = [name for name in THINKERS if name in WRAPPERS]
    if word not in known and word in _BUILT_IN:
        raise InvalidSetting(
            f"+adaptive decides when one of {', '.join(known)} thinks, and +{word} is none of "
            f"them: try +adaptive:{known[0]}:5."
        )
    if word not in WRAPPERS:
        raise unknown("wrapper for +adaptive", word, known)
    return Adaptive(WrapperCall(word, tuple(arguments))(policy, game))


_BUILT_IN = frozenset(WRAPPERS)


def added_wrappers() -> dict[str, Wrap]:
    """The entries that were added since the import: another process has to add them too."""
    return {name: wrap for name, wrap in WRAPPERS.items() if name not in _BUILT_IN}


@dataclass(frozen=True, slots=True)
class WrapperCall:
    """A wrapper in a player's name: "vote:5"."""

    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ":".join((self.name, *self.arguments))

    def __call__(self, policy: Policy, game: str) -> Policy:
        """The wrapped policy.

        Raises:
            InvalidSetting: the wrapper takes other arguments, or does not suit the policy.
        """
        wrap = WRAPPERS[self.name]
        try:
            inspect.signature(wrap).bind(policy, game, *self.arguments)
        except TypeError:
            count = len(self.arguments) or "no"
            raise InvalidSetting(
                f"The wrapper +{self} cannot be built: +{self.name} does not take {count} "
                f"{'argument' if count == 1 else 'arguments'}."
            ) from None
        try:
            built = wrap(policy, game, *self.arguments)
        except ValueError as error:
            if isinstance(error, InvalidSetting):
                raise
            raise InvalidSetting(f"The wrapper +{self} cannot be built: {error}.") from error
        check_parts(policy=built)
        if built is None:
            raise InvalidSetting(f"The wrapper +{self} returned no policy.")
        return built


@dataclass(frozen=True, slots=True)
class PlayerName:
    """The parts of a player's name."""

    base: str
    """A model, or a policy without one."""
    wrappers: tuple[WrapperCall, ...] = ()
    """Applied left to right."""


def wrapper_settings(policy: Policy, named: PlayerName) -> list[dict[str, Any]]:
    """Settings of a player's wrappers, outermost first; none if all are the package's own.

    Those of the package have no settings beyond their arguments, which are in the player's name.
    """
    if not any(call.name in added_wrappers() for call in named.wrappers):
        return []
    return [settings_of(each) for each in chain_of(policy) if isinstance(each, Wrapper)]


def parse_name(
    name: str, known: Callable[[str], bool] = lambda base: False, *, own: str | None = None
) -> PlayerName:
    """Split MODEL+wrapper:argument+... into its parts.

    The text after the last plus is a wrapper if `WRAPPERS` has it. Otherwise it is part of the name
    of the model (`cohere/command-r+`), unless it must be a misspelt wrapper, because the name
    before it is a known player or the spelling is close.

    >>> parse_name("embedded+blank")
    PlayerName(base='embedded', wrappers=(WrapperCall(name='blank', arguments=()),))
    >>> parse_name("cohere/command-r+").base
    'cohere/command-r+'

    Args:
        name: of a player.
        known: whether a base name exists, for better errors.
        own: name of the caller's own model or policy, whose player may have another label: what is
            before its wrappers is that label.

    Raises:
        UnknownName: a misspelt wrapper.
    """
    wrappers: list[WrapperCall] = []
    base = name
    while base != own:
        before, plus, last = base.rpartition("+")
        if not (plus and before and last):
            break
        word, *arguments = last.split(":")
        if word not in WRAPPERS:
            exists = before == own or (own is None and (is_policy(before) or known(before)))
            # A label of the caller's own may be any word, so only a closer one is a misspelling.
            if exists or get_close_matches(word, WRAPPERS, n=1, cutoff=0.6 if own is None else 0.7):
                raise unknown("wrapper", word, WRAPPERS)
            break
        wrappers.insert(0, WrapperCall(word, tuple(arguments)))
        base = before
    return PlayerName(base, tuple(wrappers))
