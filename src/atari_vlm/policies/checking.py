"""Checks what a user gave: policies to wrap, and decisions before they are played and stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from atari_vlm.errors import IllegalAction, InvalidSetting
from atari_vlm.protocols import Model, Policy, Wrapper, awaitable
from atari_vlm.types import Call, Decision, Observation, Plan, Source, Step, Thinking

_MOST, _SOURCES = 10_000, frozenset(get_args(Source))


_MAKE = "VLMPolicy(model, get_strategy('basic'))"


def check_inside(wrapper: Wrapper) -> None:
    """Raise InvalidSetting, with what to give, unless a wrapper goes around a policy."""
    kind, inside = type(wrapper).__name__, wrapper.policy
    if isinstance(inside, type):
        what = f"the class {inside.__name__} is none. Give an instance: {inside.__name__}(...)"
    elif isinstance(inside, Policy):
        return
    elif isinstance(inside, Model):
        what = f"{inside.name} is a model. Its prompt makes it one: {kind}({_MAKE})"
    elif isinstance(inside, str):
        what = (
            f"{inside!r} is a name. Name the whole player, e.g. {inside + '+vote:5'!r}, or make a "
            f"policy of a model: {kind}({_MAKE})"
        )
    else:
        needs = "it needs name and async decide(observation, history, rng)"
        what = f"{repr(inside)[:80]} is none: {needs}"
    raise InvalidSetting(f"{kind} goes around a policy, and {what}.")


async def decision_of(
    policy: Policy, observation: Observation, history: Sequence[Step], rng: np.random.Generator
) -> Decision:
    """What a policy decides, checked.

    Raises:
        InvalidSetting: its `decide` is a plain method.
        IllegalAction: as `checked` says.
    """
    deciding = policy.decide(observation, history, rng)
    return checked(await awaitable(deciding, policy, "decide"), policy, observation)


def checked(decision: object, policy: Policy, observation: Observation) -> Decision:
    """The decision of a policy, with `frames` and `waited` as Python integers.

    Raises:
        IllegalAction: it is no Decision, or its action or frames cannot be played.
    """
    if not isinstance(decision, Decision):
        raise IllegalAction(f"{policy.name} returned {decision!r}, which is no Decision.")
    _check_fields(decision, policy.name)
    legal = observation.legal
    for action, frames in (decision.plan, *decision.queue):
        if action not in legal:
            choices = ", ".join(legal)
            raise IllegalAction(f"{policy.name} chose {action!r}. Choose from: {choices}.")
        if not _is_whole(frames):
            raise IllegalAction(f"{policy.name} holds {action} for {frames!r} frames; give an int.")
    if not 1 <= decision.frames <= observation.interval:
        raise IllegalAction(
            f"{policy.name} holds {decision.action} for {decision.frames} frames; a decision lasts "
            f"1 to {observation.interval}."
        )
    for action, frames in decision.queue:
        if not 1 <= frames <= _MOST:
            raise IllegalAction(f"{policy.name} plans {action} for {frames} frames.")
    if type(decision.frames) is int and type(decision.waited) is int and not decision.queue:
        return decision
    return replace(
        decision,
        frames=int(decision.frames),
        waited=int(decision.waited),
        queue=tuple(Plan(action, int(frames)) for action, frames in decision.queue),
    )


def _check_fields(decision: Decision, name: str) -> None:
    """Raise IllegalAction if a field that is recorded is not of its type."""
    waited, queue = decision.waited, decision.queue
    right = {
        "source": isinstance(decision.source, str) and decision.source in _SOURCES,
        "reason": isinstance(decision.reason, str),
        "memory": isinstance(decision.memory, str),
        "waited": _is_whole(waited) and 0 <= waited <= 10**9,
        "queue": isinstance(queue, tuple | list) and all(len(plan) == 2 for plan in queue),
        "calls": _all_are(decision.calls, Call),
        "considered": _all_are(decision.considered, Decision),
        "thinking": decision.thinking is None or isinstance(decision.thinking, Thinking),
    }
    if not all(right.values()):
        field = next(field for field, is_right in right.items() if not is_right)
        raise IllegalAction(
            f"{name} returned a Decision whose {field} is {repr(getattr(decision, field))[:80]}."
        )


def _all_are(values: object, kind: type) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(each, kind) for each in values)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
