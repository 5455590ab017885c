"""Decisions without words: every legal answer is scored in one forward pass, and one is taken.

An answer of sixty tokens takes sixty forward passes; scoring takes one. The model writes no
reasoning, so a prompt that asks for reasoning is better answered in words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import InvalidSetting, ModelFault, ModelUnusable, setting
from atari_vlm.models.options import AnswerOptions
from atari_vlm.protocols import Model, Policy, Scorer, awaitable, checked_chances, version_of
from atari_vlm.types import (
    Call,
    Decision,
    Lessons,
    Observation,
    Plan,
    Prompt,
    Reply,
    Step,
    Strategy,
    Usage,
)

SHOWN = 6
"""Candidates kept in the record of a decision, the likeliest first."""


@dataclass(frozen=True)
class ScoredPolicy:
    """Plays the likeliest answer of a model, or samples one by its probability.

    The decision's reason gives the probabilities, and its candidates are the likeliest answers. A
    call that fails is a fallback, as in `VLMPolicy`. Tokens are not counted.
    """

    model: Scorer
    strategy: Strategy
    lessons: Lessons
    name: str
    """The model's name."""
    temperature: float = 0.0
    """0 takes the likeliest; above 0 samples in proportion to probability ** (1 / temperature)."""

    def version_for(self, game: str) -> str | None:
        """The model's version."""
        return version_of(self.model, game)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Score every answer that the prompt allows, and take one."""
        prompt = self.strategy(observation, history, self.lessons)
        seed = int(rng.integers(2**63))
        legal, start = observation.legal, time.perf_counter()
        try:
            rated = await _chances(self.model, prompt, legal, self)
        except ModelFault as fault:
            reason = f"{fault.kind}: {fault}"
            reply = Reply(text="", finish=fault.kind)
            return Decision(
                action="NOOP" if "NOOP" in legal else legal[0],
                frames=observation.interval,
                source="fallback",
                reason=reason,
                calls=(Call(prompt, reply, seed, reason),),
            )
        if not rated:
            raise ModelUnusable(
                f"{self.name} gave no legal plan a probability, so none can be played by "
                f"{setting('decide', 'score')}; the legal actions are {', '.join(legal)}."
            )
        taken = _sampled(rated, self.temperature, rng)
        best = sorted(rated, key=lambda plan: -rated[plan])[:SHOWN]
        usage = Usage(calls=1, seconds=time.perf_counter() - start)
        shown = ", ".join(f"{plan.action} x{plan.frames} {rated[plan]:.0%}" for plan in best)
        return Decision(
            action=taken.action,
            frames=taken.frames,
            source="scored",
            reason=f"{rated[taken]:.0%} of {len(rated)} answers: {shown}",
            calls=(Call(prompt, Reply(text="", finish="scored", usage=usage), seed),),
            considered=tuple(
                Decision(
                    action=plan.action,
                    frames=plan.frames,
                    source="scored",
                    reason=f"{rated[plan]:.1%}",
                )
                for plan in best
            ),
        )

    async def prior(
        self, observation: Observation, history: Sequence[Step]
    ) -> dict[Plan, float] | None:
        """Probability of each legal plan, before the temperature; None if scoring failed."""
        prompt = self.strategy(observation, history, self.lessons)
        return await scores(self.model, prompt, observation.legal, self)


async def scores(
    model: Scorer, prompt: Prompt, legal: Sequence[str], policy: Policy
) -> dict[Plan, float] | None:
    """Probability of each legal plan that a prompt allows; they sum to 1.

    Args:
        model: scores the prompt.
        prompt: of a decision.
        legal: actions that may be played.
        policy: that asks, which is named after the model.

    Returns:
        None if the model could not score the prompt, or no legal plan has a probability.

    Raises:
        ModelUnusable: what it returned are no probabilities.
    """
    try:
        rated = await _chances(model, prompt, legal, policy)
    except ModelFault:
        return None
    whole = sum(rated.values())
    return {plan: chance / whole for plan, chance in rated.items()} if whole > 0 else None


def scored_policy(
    name: str, model: Model, strategy: Strategy, options: AnswerOptions
) -> ScoredPolicy:
    """The policy that scores the answers of a model.

    Raises:
        InvalidSetting: the model gives no probabilities, or an option is for answers in words.
    """
    score = setting("decide", "score")
    if not isinstance(model, Scorer):
        raise InvalidSetting(
            f"{name} gives words and no probabilities, so {score} cannot be. The embedded "
            "model and models in this process (a folder, local:ORG/NAME) give them."
        )
    if options.max_tokens is not None:
        raise InvalidSetting(f"{score} writes no answer; leave {setting('max_tokens')} out.")
    return ScoredPolicy(model, strategy, Lessons(), model.name, options.temperature or 0.0)


def refuse_chunks(decisions_per_call: int) -> None:
    """Raise InvalidSetting if an answer that is scored was to plan several decisions."""
    if decisions_per_call > 1:
        raise InvalidSetting(
            f"{setting('decide', 'score')} scores one decision; leave "
            f"{setting('decisions_per_call')} out."
        )


async def _chances(
    model: Scorer, prompt: Prompt, legal: Sequence[str], policy: Policy
) -> dict[Plan, float]:
    rated = await awaitable(model.score(prompt), policy, "score")
    return checked_chances(rated, policy.name, legal, prompt.longest, scored=True)


def _sampled(rated: Mapping[Plan, float], temperature: float, rng: np.random.Generator) -> Plan:
    """The likeliest plan at temperature 0; otherwise one drawn by its probability."""
    plans = list(rated)
    if temperature == 0:
        return max(plans, key=lambda plan: rated[plan])
    logs = np.array([math.log(max(rated[plan], 1e-300)) for plan in plans]) / temperature
    powers = np.exp(logs - logs.max())
    return plans[int(rng.choice(len(plans), p=powers / powers.sum()))]
