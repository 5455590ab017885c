"""Decisions without words: every legal answer is rated in one forward pass, and one is taken.

Sixty tokens of an answer cost sixty passes; its probabilities cost one. What the model would have
said on the way is lost, so a prompt that asks for reasoning is better answered in words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import InvalidSetting, ModelFault
from atari_vlm.types import (
    Call,
    Decision,
    Lessons,
    Observation,
    Privilege,
    Reply,
    Scorer,
    Step,
    Strategy,
    Usage,
)

SHOWN = 6
"""Candidates that the record of a decision keeps, the likeliest first."""

Plan = tuple[str, int]


@dataclass(frozen=True)
class ScoredPolicy:
    """Plays the answer a model thinks likeliest, or draws one by its probability.

    The decision's reason gives the probabilities, and its candidates are the likeliest answers. A
    call that fails is a fallback, as in `VLMPolicy`. Tokens are not counted: nobody bills them.
    """

    model: Scorer
    strategy: Strategy
    lessons: Lessons
    name: str
    """The model's name."""
    temperature: float = 0.0
    """0 takes the likeliest; 1 draws by the probabilities, which are raised to 1 / temperature."""
    privileges: frozenset[Privilege] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.temperature <= 2:
            raise InvalidSetting(f"temperature is 0 to 2, not {self.temperature!r}.")

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Rate every answer the prompt allows, and take one."""
        prompt = self.strategy(observation, history, self.lessons)
        seed = int(rng.integers(2**63))
        legal, start = observation.legal, time.perf_counter()
        try:
            rated = await self.model.score(prompt)
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
        rated = {plan: chance for plan, chance in rated.items() if plan[0] in legal}
        action, frames = _taken(rated, self.temperature, rng)
        best = sorted(rated, key=lambda plan: -rated[plan])[:SHOWN]
        usage = Usage(calls=1, seconds=time.perf_counter() - start)
        told = ", ".join(f"{name} x{held} {rated[name, held]:.0%}" for name, held in best)
        return Decision(
            action=action,
            frames=frames,
            source="scored",
            reason=f"{rated[action, frames]:.0%} of {len(rated)} answers: {told}",
            calls=(Call(prompt, Reply(text="", finish="scored", usage=usage), seed),),
            considered=tuple(
                Decision(
                    action=name, frames=held, source="scored", reason=f"{rated[name, held]:.1%}"
                )
                for name, held in best
            ),
        )


def _taken(rated: Mapping[Plan, float], temperature: float, rng: np.random.Generator) -> Plan:
    """The likeliest answer, or one drawn."""
    plans = list(rated)
    if temperature == 0:
        return max(plans, key=lambda plan: rated[plan])
    logs = np.array([math.log(max(rated[plan], 1e-300)) for plan in plans]) / temperature
    powers = np.exp(logs - logs.max())
    return plans[int(rng.choice(len(plans), p=powers / powers.sum()))]
