"""Policies without a model: the baselines that every score is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import IllegalAction
from atari_vlm.types import Decision, Observation, Step


@dataclass(frozen=True)
class RandomPolicy:
    """Plays a uniformly random legal action, held for the whole interval."""

    name: str = "random"

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Draw an action."""
        action = observation.legal[int(rng.integers(len(observation.legal)))]
        return Decision(action=action, frames=observation.interval, source="scripted")


@dataclass(frozen=True)
class ConstantPolicy:
    """Plays one action throughout; with NOOP it does nothing."""

    action: str = "NOOP"

    @property
    def name(self) -> str:
        """E.g. "always UP"."""
        return f"always {self.action}"

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Choose the action; raises IllegalAction if the game does not have it."""
        if self.action not in observation.legal:
            raise IllegalAction(
                f"{observation.game} has no action {self.action!r}. "
                f"Choose from: {', '.join(observation.legal)}."
            )
        return Decision(action=self.action, frames=observation.interval, source="scripted")
