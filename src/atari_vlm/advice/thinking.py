"""How often a player that thinks longer asks its model, for estimates and budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from atari_vlm.advice.simulation import simulation_of
from atari_vlm.costs.prices import Price
from atari_vlm.errors import setting
from atari_vlm.models.fit import unpriced
from atari_vlm.players import Player
from atari_vlm.policies.think.adaptive import ASSUMED, Adaptive
from atari_vlm.policies.think.budgets import Budgeted, instead_of_dollars
from atari_vlm.policies.think.effort import ONCE, Effort, Range, effort_of, thinks
from atari_vlm.protocols import chain_of
from atari_vlm.stats import times
from atari_vlm.types import Spent

Case: TypeAlias = Literal["least", "usual", "most"]


@dataclass(frozen=True, slots=True)
class ThinkingEffort:
    """What a player's decisions take, and the budget of an episode."""

    effort: Effort
    extra: int | None = None
    """Most calls of an episode beyond plain ones; None for no limit."""
    about: str = ""
    """A sentence about it, with settings marked as by `errors.setting`; empty without thinking."""

    def calls_of(self, case: Case, asked: int, episodes: int) -> int:
        """Calls of some episodes.

        Args:
            case: the best, the usual or the worst.
            asked: decisions of an episode for which the model is asked.
            episodes: how many.
        """
        more = round(asked * max(0.0, _in(self.effort.calls, case) - 1))
        more = more if self.extra is None else min(more, self.extra)
        return (asked + more) * episodes

    def quoted_of(self, case: Case, asked: int, episodes: int) -> int:
        """Answers that calls of those episodes quote; see `Effort.quoted`."""
        return round(asked * _in(self.effort.quoted, case)) * episodes


def _in(amounts: Range, case: Case) -> float:
    return {"least": amounts.least, "usual": amounts.usual, "most": amounts.most}[case]


def check_budgets(player: Player, prompt: float, answer: float, price: Price | None) -> None:
    """Refuse a budget of thinking in tokens or dollars that is too small for one decision.

    Args:
        player: with its budgets.
        prompt: tokens read in one call, as expected.
        answer: tokens written in one call, as expected.
        price: of the model; None if it is unknown.

    Raises:
        InvalidSetting: it is too small, or in dollars and the price is unknown.
    """
    if not isinstance(player.policy, Budgeted):
        return
    instead = instead_of_dollars(player.policy.budgets)
    if price is None and instead:
        raise unpriced(player.model.name if player.model else player.name, instead)
    calls = effort_of(player.policy).calls.most - 1
    read, written = round(calls * prompt), round(calls * answer)
    dollars = None if price is None else price.cost(read, 0, written)
    player.policy.check(Spent(tokens=read + written, dollars=dollars))


def thinking_effort(player: Player) -> ThinkingEffort:
    """What the decisions of a player with a model take."""
    if not thinks(player.policy):
        return ThinkingEffort(Effort(calls=ONCE))
    effort = effort_of(player.policy)
    calls = effort.calls
    budget = player.policy.episode if isinstance(player.policy, Budgeted) else None
    extra = budget.calls if budget else None
    often = times(int(calls.usual)) if calls.usual in (1, 2) else f"{calls.usual:.3g} times"
    if calls.least != calls.most:
        often += f" ({calls.least:g} to {calls.most:g})"
    about = f"{player.name} asks its model {often} a decision."
    if (simulated := simulation_of(player)) is not None:
        about += f" {simulated.marked}"
    if any(isinstance(each, Adaptive) for each in chain_of(player.policy)):
        about += f" That {ASSUMED:.0%} of the decisions are difficult is an assumption."
    if extra is not None:
        name = setting("think_budget")
        about += f" In an episode these are at most {extra:,} more than without ({name})."
    return ThinkingEffort(effort, extra, about)
