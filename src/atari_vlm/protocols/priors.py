"""Checks the probabilities of plans that a model scored, or that a policy gave as its prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.types import Plan

_NEEDED = "a mapping of Plan(action, frames) to numbers of at least 0 that sum to 1"


def checked_chances(
    rated: object, name: str, legal: Sequence[str], longest: int, *, scored: bool
) -> dict[Plan, float]:
    """The chances of the legal plans, as they were given; empty if they have none.

    Args:
        rated: what `score` or `prior` returned.
        name: of the model or policy.
        legal: actions that may be played; plans of others are left out.
        longest: frames that a plan may last; longer ones are left out.
        scored: whether it is a model's `score`, or else a policy's `prior`.

    Raises:
        ModelUnusable: a model gave no mapping of plans to finite numbers of at least 0, or
            nothing but zeros.
        InvalidSetting: a policy did.
    """
    fault = _fault(rated)
    if fault or not isinstance(rated, Mapping):
        given = "as scores" if scored else "as its prior"
        message = f"{name} gave {fault} {given}; it needs {_NEEDED}."
        raise ModelUnusable(message) if scored else InvalidSetting(message)
    chances = {
        Plan(action, int(frames)): float(chance)
        for (action, frames), chance in rated.items()
        if action in legal and 1 <= frames <= longest
    }
    return chances if sum(chances.values()) > 0 else {}


def _fault(rated: object) -> str:
    """What is wrong with chances, in words; "" if nothing is."""
    if not isinstance(rated, Mapping):
        return repr(rated)[:80]
    for plan, chance in rated.items():
        if not _is_plan(plan):
            return f"{plan!r:.80} among plans"
        number = isinstance(chance, int | float | np.integer | np.floating) and not isinstance(
            chance, bool
        )
        if not number or isinstance(chance, bool) or not math.isfinite(chance) or chance < 0:
            return f"{chance!r:.80} for {plan[0]} x{plan[1]}"
    return "nothing but zeros" if rated and not sum(rated.values()) > 0 else ""


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, tuple) or len(plan) != 2:
        return False
    whole = isinstance(plan[1], int | np.integer) and not isinstance(plan[1], bool)
    return isinstance(plan[0], str) and whole
