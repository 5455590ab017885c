"""What every player must provide: a policy decides, a model answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from atari_vlm.types import Decision, Observation, Prompt, Reply, Step


@runtime_checkable
class Policy(Protocol):
    """Chooses plans. It keeps settings only: the same arguments give the same decision."""

    @property
    def name(self) -> str:
        """Short name for tables and folders."""
        ...

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Choose a plan; `history` is every earlier step of this episode, oldest first."""
        ...


@runtime_checkable
class Model(Protocol):
    """Answers prompts."""

    @property
    def name(self) -> str:
        """The name it was asked for by, e.g. "gpt-4o"."""
        ...

    @property
    def prompt_type(self) -> str:
        """Name of the prompt strategy to use by default."""
        ...

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """Answer once. Raises ModelFault (counted) or ModelUnusable (stops the run)."""
        ...

    async def close(self) -> None:
        """Release connections and sessions; a later answer opens new ones."""
        ...
