"""Resume: the recorded decisions of an episode, then those of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.protocols import Policy, awaitable
from atari_vlm.types import Decision, Observation, Step


@dataclass(frozen=True)
class Recorded:
    """Plays the recorded decisions of an episode, then those of `policy`.

    With the seed of the episode the emulator reaches the same state again, so the rest of the
    episode is what an uninterrupted run would have played.
    """

    policy: Policy
    decisions: tuple[Decision, ...]

    @property
    def name(self) -> str:
        """The name of the policy inside."""
        return self.policy.name

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """The recorded decision of this step; without one, a new decision."""
        if len(history) < len(self.decisions):
            return self.decisions[len(history)]
        deciding = self.policy.decide(observation, history, rng)
        return await awaitable(deciding, self.policy, "decide")
