"""A model that records every answer before it is used, and requests none twice.

Answers are found by the call's seed, which the loop derives from the episode's seed and the step.
After `kill -9` the calls of the interrupted decision are found again; only the one in flight is
repeated. This is not a response cache: an equal prompt at another step is requested again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from atari_vlm.protocols import Model
from atari_vlm.replies.plan_parser import thoughts_of
from atari_vlm.types import Prompt, Reply, Usage


class Journal(Protocol):
    """A store of answers; `runs.run.Run` implements it."""

    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed; None if there is none."""
        ...

    def remember(self, seed: int, reply: Reply) -> None:
        """Commit an answer."""
        ...


@dataclass(frozen=True)
class JournaledModel:
    """Wraps a model and records its answers in a journal."""

    model: Model
    journal: Journal

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self.model.name

    @property
    def prompt_type(self) -> str:
        """The wrapped model's default prompt strategy."""
        return self.model.prompt_type

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The recorded answer of this seed, or a new one, which is recorded with its thoughts."""
        reply = self.journal.recall(seed)
        if reply is None:
            reply = await self.model.answer(prompt, seed=seed)
            if not reply.thinking and (thinking := thoughts_of(reply.text)):
                reply = replace(reply, thinking=thinking)
            self.journal.remember(seed, reply)
        return reply

    async def close(self) -> None:
        """Close the wrapped model."""
        await self.model.close()


def reply_to_json(reply: Reply) -> str:
    """Serialize a reply with its usage."""
    values = asdict(reply)
    if not reply.token_ids:  # most models give none
        del values["token_ids"], values["log_probabilities"]
    return json.dumps(values)


def reply_from_json(blob: str) -> Reply:
    """Deserialize a reply of `reply_to_json`."""
    values: dict[str, Any] = json.loads(blob)
    for name in ("token_ids", "log_probabilities"):
        values[name] = tuple(values.get(name, ()))
    return Reply(**{**values, "usage": Usage(**values["usage"])})
