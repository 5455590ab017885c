"""Budgets of thinking: what a decision, and an episode, may take beyond plain decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

import numpy as np

from atari_vlm.costs.bill import format_dollars
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside, decision_of
from atari_vlm.policies.think.effort import (
    ONCE,
    Effort,
    Thinker,
    WithPriorOfInside,
    effort_of,
    noted,
    plain,
    thinks,
    total_of,
)
from atari_vlm.policies.think.samples import base_of, next_in_queue
from atari_vlm.policies.think.summary import RunningSummary
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import CountsTokens, Policy, Wrapper, chain_of
from atari_vlm.types import Decision, Observation, Spent, Step, Usage

_UNITS: dict[str, Callable[[float], str]] = {
    "calls": lambda number: f"{number:,.0f} calls",
    "tokens": lambda number: f"{number:,.0f} tokens",
    "dollars": format_dollars,
    "frames": lambda number: f"{number:,.0f} frames",
}
"""Unit of a budget, a field of `Spent` -> how an amount is written."""

_AMOUNT = re.compile(
    r"\$?\s*(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?P<unit>calls?|tokens?|dollars?|frames?)?"
)


FIRST = "not: a first answer has to show what one takes, as tokens or dollars are limited"
"""Why the first decision of an episode is plain with such a budget."""

NO_ROOM = "not: the budget"
"""How `Thinking.why` begins where a budget had no room."""


@dataclass(frozen=True, slots=True)
class ThinkBudget:
    """Most that thinking may take; None for no limit.

    Raises:
        InvalidSetting: an amount is no number of at least 0, or a part of a call.
    """

    calls: int | None = None
    tokens: int | None = None
    """Read and written."""
    dollars: float | None = None
    frames: int | None = None
    """Emulator frames simulated in another emulator."""

    def __post_init__(self) -> None:
        """Refuse what is no amount."""
        for unit in _UNITS:
            if (amount := getattr(self, unit)) is not None:
                check_number(unit, amount, 0, 10**15, whole=unit != "dollars")

    @classmethod
    def read(cls, text: str, name: str) -> ThinkBudget:
        """Read "200 calls", "0.10 dollars", "$0.10" or "20000 frames, 50 calls".

        Args:
            text: amounts, separated by commas.
            name: of the setting, for the message.

        Raises:
            InvalidSetting: it is no budget.
        """
        found: dict[str, float] = {}
        for part in text.replace("_", "").split(","):
            amount = _AMOUNT.fullmatch(part.strip().lower())
            unit = amount["unit"] if amount else None
            if amount and not unit and part.strip().startswith("$"):
                unit = "dollars"
            unit = unit and unit.removesuffix("s") + "s"
            if amount is None or unit is None or unit in found:
                raise InvalidSetting(
                    f"{setting(name)} takes amounts such as 200 calls, 5000 tokens, 0.10 dollars "
                    f"or 20000 frames, separated by commas, not {text!r}."
                )
            number = float(amount["number"])
            if unit != "dollars" and number != int(number):
                raise InvalidSetting(f"{setting(name)} takes whole {unit}, not {text!r}.")
            found[unit] = number if unit == "dollars" else int(number)
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """As `read` takes it, in one order, for the record of a run."""
        known = ((unit, getattr(self, unit)) for unit in _UNITS)
        return ", ".join(
            f"{_digits(number)} {unit}" for unit, number in known if number is not None
        )

    def exceeded_by(self, spent: Spent) -> str:
        """The first unit of which more was spent; "" if none."""
        for unit in _UNITS:
            limit, amount = getattr(self, unit), getattr(spent, unit)
            if limit is not None and amount is not None and amount > limit + 1e-9:
                return unit
        return ""

    def limits(self, units: Sequence[str]) -> bool:
        """Whether it limits one of these units."""
        return any(getattr(self, unit) is not None for unit in units)

    def said(self, unit: str) -> str:
        """The limit in a unit, in words."""
        return _UNITS[unit](getattr(self, unit))


@dataclass(frozen=True)
class Budgeted(WithPriorOfInside):
    """Lets `policy` think while its budgets last, then plays what the plain policy decides.

    What a decision may take is foreseen: its calls without repairs and its frames are known; tokens
    and dollars are those of the calls of the last decision that asked the model. So thinking is not
    begun where it would pass a budget; a repaired answer may still do so. Where tokens or dollars
    are limited, it is not begun before a first answer of the episode, nor after one that does not
    report them.

    Args:
        policy: thinks longer.
        episode: what thinking may take in an episode.
        decision: what it may take for one decision.
    """

    policy: Policy
    episode: ThinkBudget | None = None
    decision: ThinkBudget | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        self.check(self._foreseen(()))

    def check(self, more: Spent) -> None:
        """Refuse budgets that are too small for one decision, or that limit nothing.

        Args:
            more: the most that thinking about a decision takes.
        """
        for name, budget in self.budgets.items():
            if not (thinks(self.policy) and self._spends):
                raise InvalidSetting(
                    f"{self.policy.name} does not think longer, so {setting(name)} limits nothing; "
                    f"leave it out, or let it think: {setting('think', 'vote:5')}."
                )
            if (spends := self._spends) and not budget.limits(spends):
                raise InvalidSetting(
                    f"{self.policy.name} takes {' and '.join(spends)} to think, so "
                    f"{setting(name)} of {budget} limits nothing; leave it out, or give it in "
                    f"{' or '.join(spends)}."
                )
            if unit := budget.exceeded_by(more):
                raise InvalidSetting(
                    f"{setting(name)} of {budget.said(unit)} is too small for one decision of "
                    f"{self.policy.name}, which may take {_UNITS[unit](getattr(more, unit))} more "
                    "than a plain one: raise it, or think less."
                )
            if unit := next((unit for unit in spends if getattr(budget, unit) == 0), ""):
                raise InvalidSetting(
                    f"{setting(name)} of {budget.said(unit)} has no room for one decision of "
                    f"{self.policy.name} that thinks longer: raise it, or leave the thinking out."
                )

    def check_tokens(self, game: str) -> None:
        """Refuse budgets that are too small for what the model is known to take.

        Args:
            game: that is played.
        """
        base = base_of(self.policy)
        if isinstance(base, VLMPolicy) and isinstance(base.model, CountsTokens):
            calls = self._foreseen(()).calls
            self.check(Spent(tokens=calls * base.model.least_tokens(game)))

    @property
    def budgets(self) -> dict[str, ThinkBudget]:
        """The budgets by the names of their settings."""
        both = {"think_budget": self.episode, "think_budget_decision": self.decision}
        return {name: budget for name, budget in both.items() if budget is not None}

    @property
    def name(self) -> str:
        """The name of the policy inside."""
        return self.policy.name

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Think if it fits into the budgets, else decide plainly and say so."""
        more = self._foreseen(history, _effort_now(self.policy, observation, history))
        total = total_of(history).plus(more)
        why = ""
        if not (more.calls or more.frames) and effort_of(plain(self.policy)).calls.most:
            pass  # it is known that nothing is asked beyond a plain decision
        elif self.episode is not None and (unit := self.episode.exceeded_by(total)):
            left = self.episode.said(unit)
            why = f"{NO_ROOM} of the episode, {left}, has no room for one more"
        elif self.decision is not None and (unit := self.decision.exceeded_by(more)):
            left = self.decision.said(unit)
            why = f"{NO_ROOM} of a decision, {left}, has no room for it"
        else:
            why = self._unforeseen(total, history)
        policy = plain(self.policy) if why else self.policy
        made = await decision_of(policy, observation, history, rng)
        if not why:
            return made
        if history and any(isinstance(each, RunningSummary) for each in chain_of(self.policy)):
            made = replace(made, memory=made.memory or history[-1].decision.memory)
        return noted(made, history, why)

    def _foreseen(self, history: Sequence[Step], effort: Effort | None = None) -> Spent:
        """The most that thinking about the next decision takes.

        Args:
            history: the episode so far.
            effort: of this decision; None for that of any.
        """
        effort, alone = effort or effort_of(self.policy), effort_of(plain(self.policy))
        calls = ceil(round(effort.calls.most - alone.calls.most, 6))  # a note is one every few
        spent = Spent(calls=calls, frames=round(effort.frames.most))
        if not calls or not self._in_money:
            return spent
        if (usage := _newest_usage(history)) is None:
            return spent
        tokens = round(calls * (usage.input_tokens + usage.output_tokens) / usage.calls)
        dollars = None if usage.dollars is None else calls * usage.dollars / usage.calls
        return spent._replace(tokens=tokens, dollars=dollars)

    def _unforeseen(self, total: Spent, history: Sequence[Step]) -> str:
        """Why tokens or dollars that are limited cannot be foreseen; "" if they can."""
        if not (self._in_money and "calls" in self._spends):
            return ""
        if not history:
            return FIRST
        usage = _newest_usage(history) or Usage(dollars=None)
        counted = usage.input_tokens + usage.output_tokens and not usage.uncounted
        known = {"tokens": counted, "dollars": None not in (usage.dollars, total.dollars)}
        unit = next((unit for unit in known if not known[unit] and self._limits(unit)), "")
        why = f"{NO_ROOM} in {unit} cannot be kept, because the model does not report them"
        return why if unit else ""

    @property
    def _spends(self) -> tuple[str, ...]:
        """Units of what thinking takes beyond a plain decision, if that takes one call."""
        effort = effort_of(self.policy, Effort(calls=ONCE))
        calls = ("calls", "tokens", "dollars") if effort.calls.most > 1 else ()
        return (*calls, "frames") if effort.frames.most else calls

    @property
    def _in_money(self) -> bool:
        """Whether tokens or dollars are limited."""
        return self._limits("tokens", "dollars")

    def _limits(self, *units: str) -> bool:
        """Whether a budget limits one of these units."""
        return any(budget.limits(units) for budget in self.budgets.values())


def instead_of_dollars(budgets: Mapping[str, ThinkBudget]) -> str:
    """How else to limit thinking, as the beginning of a sentence; "" if no dollars are limited.

    Args:
        budgets: by the names of their settings.
    """
    limited = (name for name, budget in budgets.items() if budget.dollars is not None)
    name = next(limited, None)
    return "" if name is None else f"Limit thinking in tokens or calls ({setting(name)})"


def _digits(number: float) -> str:
    """A number with all its digits and without an exponent.

    >>> _digits(1234567), _digits(0.1), _digits(1e-7), _digits(20.0)
    ('1234567', '0.1', '0.0000001', '20')
    """
    text = f"{number:g}"
    return text if float(text) == number and "e" not in text else f"{Decimal(repr(number)):f}"


def _effort_now(policy: Policy, observation: Observation, history: Sequence[Step]) -> Effort:
    """What this decision takes: a note only if it is due, no calls while an answer is played."""
    if next_in_queue(policy, observation, history) is not None:
        effort = replace(effort_of(policy), calls=effort_of(plain(policy)).calls)
        notes = [each for each in chain_of(policy) if isinstance(each, RunningSummary)]
        due = sum(each.due(history) for each in notes)
        return replace(effort, calls=effort.calls.plus(ONCE.times(due)))
    if not isinstance(policy, Wrapper):
        return effort_of(policy)
    inside = _effort_now(policy.policy, observation, history)
    if isinstance(policy, RunningSummary):
        return replace(inside, calls=inside.calls.plus(ONCE.times(policy.due(history))))
    return policy.effort(inside) if isinstance(policy, Thinker) else inside


def _newest_usage(history: Sequence[Step]) -> Usage | None:
    """What the newest decision that asked a model took; None if none of the last 1,000 did."""
    usages = (step.decision.usage for step in reversed(history[-1000:]))
    return next((usage for usage in usages if usage.calls), None)


def budgeted(policy: Policy, episode: str | None, decision: str | None) -> Policy:
    """The policy with budgets as the user writes them; as it is without them."""
    if episode is None and decision is None:
        return policy
    return Budgeted(
        policy,
        None if episode is None else ThinkBudget.read(episode, "think_budget"),
        None if decision is None else ThinkBudget.read(decision, "think_budget_decision"),
    )
