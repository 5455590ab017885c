"""How long a player thinks about a decision, as the user sets it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from atari_vlm.errors import InvalidSetting, setting, unknown
from atari_vlm.options import option
from atari_vlm.policies.registry import THINKING, WRAPPERS, added_wrappers
from atari_vlm.policies.think.budgets import Budgeted, ThinkBudget, budgeted, instead_of_dollars
from atari_vlm.policies.think.effort import effort_of
from atari_vlm.policies.think.samples import base_of
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import Policy


@dataclass(frozen=True, kw_only=True)
class ThinkOptions:
    """Computation at decision time."""

    think: str | None = option(
        None,
        "Think longer: vote:5, best-of:3, lookahead:600 or adaptive; appends it to the player's "
        "name.",
    )
    think_budget: str | None = option(
        None,
        "Most that thinking may take in an episode, e.g. 200 calls, or 0.10 dollars, or 90000 "
        "frames; then it plays on plainly.",
    )
    think_budget_decision: str | None = option(
        None, "The same for one decision, e.g. 4 calls, or 600 frames."
    )

    @property
    def budgets(self) -> dict[str, str]:
        """The budgets that were set, as they are recorded."""
        names = ("think_budget", "think_budget_decision")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {name: str(ThinkBudget.read(value, name)) for name, value in given.items()}

    @property
    def instead_of_dollars(self) -> str:
        """How else to limit thinking, as the beginning of a sentence; "" without dollars."""
        read = {name: ThinkBudget.read(text, name) for name, text in self.budgets.items()}
        return instead_of_dollars(read)

    def limited(self, policy: Policy) -> Policy:
        """The policy within the budgets.

        Raises:
            InvalidSetting: it does not think longer, or a budget is too small for one decision.
        """
        return budgeted(policy, self.think_budget, self.think_budget_decision)


def check_thinking(policy: Policy, game: str, temperature: float | None) -> None:
    """Refuse budgets that the model is known to pass at once, and warn of answers that are alike.

    Args:
        policy: as built.
        game: that it plays.
        temperature: that was asked for.

    Raises:
        InvalidSetting: a budget is too small for one decision.
    """
    if isinstance(policy, Budgeted):
        policy.check_tokens(game)
    _warn_of_temperature(policy, temperature)


def _warn_of_temperature(policy: Policy, temperature: float | None) -> None:
    """Say that answers drawn at a temperature of 0 are alike, so that asking again only costs."""
    words = isinstance(base_of(policy), VLMPolicy)
    if temperature == 0 and words and effort_of(policy).calls.most > 1:
        warnings.warn(
            f"{policy.name} asks several times at temperature 0, where answers are alike or nearly "
            "so: leave the temperature out, or think less.",
            stacklevel=4,
        )


def with_thinking(name: str, think: str | None) -> str:
    """The name of a player with the wrappers that `think` appends.

    >>> with_thinking("gpt-4o", "vote:5")
    'gpt-4o+vote:5'

    Raises:
        UnknownName: there is no such wrapper.
        InvalidSetting: it does not think longer, or the name ends with it already.
    """
    if think is None:
        return name
    asked = think.strip().removeprefix("+")
    known = [*THINKING, *added_wrappers()]
    for part in asked.split("+"):
        if (word := part.partition(":")[0]) not in WRAPPERS:
            raise unknown(f"wrapper for {setting('think')}", word, known)
        if word not in known:
            raise InvalidSetting(
                f"+{word} does not think longer, so {setting('think', word)} cannot be; choose "
                f"from {', '.join(known)}, or name the player {name}+{word}."
            )
    if name.endswith(f"+{asked}"):
        raise InvalidSetting(
            f"{name} has +{asked} already; leave {setting('think')} out, or name the player "
            f"{name.removesuffix(f'+{asked}')}."
        )
    return f"{name}+{asked}"
