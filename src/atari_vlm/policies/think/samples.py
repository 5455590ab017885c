"""Asking the policy inside several times, at once and reproducibly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.random import default_rng

from atari_vlm.errors import InvalidSetting, Lost, ModelFault, ModelUnusable
from atari_vlm.policies.action_chunk import queued
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.checking import checked
from atari_vlm.policies.experts.base import ExpertPolicy
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.vlm import VLMPolicy, lost_usage
from atari_vlm.protocols import Policy, awaitable, chain_of
from atari_vlm.types import Call, Decision, Observation, Prompt, Reply, Step

MOST_SAMPLES = 100
"""Most samples of a decision."""


async def sample(
    policy: Policy,
    observation: Observation,
    history: Sequence[Step],
    rng: np.random.Generator,
    count: int,
) -> tuple[Decision, ...]:
    """Decisions of a policy for the same moment, each with randomness of its own.

    All are asked at once. Their seeds come from `rng`, so a resumed run asks with the same ones and
    finds the answers that it has paid for.

    Raises:
        AtariVLMError: that one of them raised, after all the others have been answered, so that no
            answer that was paid for is lost.
    """
    seeds = rng.integers(2**63, size=count)
    asked = [
        awaitable(policy.decide(observation, history, default_rng(int(seed))), policy, "decide")
        for seed in seeds
    ]
    made = await asyncio.gather(*asked, return_exceptions=True)
    for each in made:
        if isinstance(each, BaseException):
            raise each
    return tuple(checked(each, policy, observation) for each in made)


def next_in_queue(
    policy: Policy, observation: Observation, history: Sequence[Step]
) -> Decision | None:
    """The plan that an earlier answer of the model has for now, which needs no thinking."""
    if not history or not history[-1].decision.queue or not isinstance(base_of(policy), VLMPolicy):
        return None
    return queued(observation, history)


def base_of(policy: Policy) -> Policy:
    """The policy inside of all wrappers."""
    return [*chain_of(policy)][-1]


def check_has_model(policy: Policy, wrapper: str) -> None:
    """Raise InvalidSetting if a policy has no model that a wrapper could ask again."""
    base = base_of(policy)
    if isinstance(base, RandomPolicy | ConstantPolicy | SearchPolicy | ExpertPolicy):
        raise InvalidSetting(
            f"{base.name} has no model that +{wrapper} could ask several times; leave +{wrapper} "
            "out, or choose a model (`atari-vlm models`)."
        )


def count_from(text: str, wrapper: str, what: str, least: int) -> int:
    """The number in a wrapper's argument, e.g. the votes of "vote:5".

    Raises:
        InvalidSetting: it is none from `least` to `MOST_SAMPLES`.
    """
    number = int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else -1
    if not least <= number <= MOST_SAMPLES:
        raise InvalidSetting(
            f"+{wrapper} takes a whole number of {what}, {least} to {MOST_SAMPLES}, not {text!r}: "
            f"+{wrapper}:{max(least, 5)}."
        )
    return number


async def asked_beside(base: VLMPolicy, prompt: Prompt, seed: int) -> Call:
    """A question beside those of a plain decision; the call has a fault if no answer came.

    Args:
        base: whose model is asked.
        prompt: the question. It may be rejected though the model answers shorter ones.
        seed: of the call.

    Raises:
        ModelUnusable: the model could not play either.
    """
    try:
        return Call(prompt, await base.model.answer(prompt, seed=seed), seed)
    except ModelFault as fault:
        said, kind, usage = f"{fault.kind}: {fault}", fault.kind, lost_usage(fault.lost)
    except ModelUnusable as error:
        if error.what != "request":
            raise
        said, kind, usage = error.message, "rejected", lost_usage(Lost())
    return Call(prompt, Reply(text="", finish=kind, usage=usage), seed, said)
