"""Resume: the decisions that were made already, then a policy's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.types import Decision, Observation, Policy, Privilege, Step


@dataclass(frozen=True)
class Recorded:
    """Repeats an episode's record, then goes on as `policy` does.

    With the seed of the episode the emulator arrives at the very state it was in, so the rest of
    the episode is the one an uninterrupted run would have played.
    """

    policy: Policy
    decisions: tuple[Decision, ...]

    @property
    def name(self) -> str:
        """The name of the policy that goes on."""
        return self.policy.name

    @property
    def privileges(self) -> frozenset[Privilege]:
        """The privileges of the policy that goes on."""
        return self.policy.privileges

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """The recorded decision of this step, if there is one."""
        if len(history) < len(self.decisions):
            return self.decisions[len(history)]
        return await self.policy.decide(observation, history, rng)
