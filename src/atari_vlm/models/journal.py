"""A model that writes every answer down before anyone acts on it, and never asks twice.

Answers are remembered by the call's seed, which the loop draws from the episode's seed and the
step: after `kill -9` the calls of the interrupted decision are found again, and only the one that
was in flight is repeated. This is not a response cache: equal prompts of other moments are asked.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from atari_vlm.types import Model, Prompt, Reply, Usage


class Memory(Protocol):
    """Where answers are kept; `store.Run` is the real one."""

    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed, if it was given."""
        ...

    def remember(self, seed: int, reply: Reply) -> None:
        """Commit an answer."""
        ...


@dataclass(frozen=True)
class JournaledModel:
    """`model`, with its answers in `memory`."""

    model: Model
    memory: Memory

    @property
    def name(self) -> str:
        """The name of the model inside."""
        return self.model.name

    @property
    def prompt_type(self) -> str:
        """The default prompt of the model inside."""
        return self.model.prompt_type

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The remembered answer, or a new one."""
        reply = self.memory.recall(seed)
        if reply is None:
            reply = await self.model.answer(prompt, seed=seed)
            self.memory.remember(seed, reply)
        return reply

    async def close(self) -> None:
        """Close the model inside."""
        await self.model.close()


def reply_to_json(reply: Reply) -> str:
    """Everything of a reply, its usage included."""
    return json.dumps(asdict(reply))


def reply_from_json(blob: str) -> Reply:
    """The reply `reply_to_json` wrote."""
    values: dict[str, Any] = json.loads(blob)
    return Reply(**{**values, "usage": Usage(**values["usage"])})
