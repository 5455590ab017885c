"""A server that fails again and again stops the run: that is not the model's fault.

A decision whose requests brought no answer, after their retries, is a counted fallback. Several of
them in a row are an outage: the run stops, and continues once the server answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import ModelUnusable, setting
from atari_vlm.protocols import Policy, awaitable
from atari_vlm.types import Decision, Observation, Reply, Step

PATIENCE = 5
"""Decisions of a game in a row without an answer that are an outage; `History` has their calls."""

SERVER_FAULTS = frozenset({"rate limit", "server error", "timeout", "connection", "garbage"})
"""Kinds of `ModelFault` that say nothing of the model."""


@dataclass(frozen=True)
class Answered:
    """Plays what `policy` decides, unless no server answers any more.

    Args:
        policy: decides.
        patience: decisions in a row without an answer, the last of which is not played.
    """

    policy: Policy
    patience: int = PATIENCE

    @property
    def name(self) -> str:
        """The name of the policy inside."""
        return self.policy.name

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """The decision of the policy inside.

        Raises:
            ModelUnusable: neither it nor those before had an answer.
        """
        deciding = self.policy.decide(observation, history, rng)
        decision = await awaitable(deciding, self.policy, "decide")
        if not (isinstance(decision, Decision) and is_unanswered(decision)):
            return decision  # the loop refuses what is no Decision
        before = 0
        while before < len(history) and is_unanswered(history[-1 - before].decision):
            before += 1
        if before + 1 < self.patience:
            return decision
        raise ModelUnusable(_explained(decision, before), "server")


def is_unanswered(decision: Decision) -> bool:
    """Whether it is a fallback because no request had an answer, after all retries."""
    if decision.source != "fallback":
        return False
    replies = [*_replies(decision)]
    return bool(replies) and all(map(is_no_answer, replies))


def is_no_answer(reply: Reply) -> bool:
    """Whether it stands for requests that the server did not answer."""
    return reply.finish in SERVER_FAULTS and not reply.text


def _replies(decision: Decision) -> Iterator[Reply]:
    yield from (call.reply for call in decision.calls)
    for other in decision.considered:
        yield from _replies(other)


def _explained(decision: Decision, before: int) -> str:
    kinds = {reply.finish for reply in _replies(decision)}
    slow = f", with a longer {setting('timeout')} if it is slow" if kinds == {"timeout"} else ""
    lost = f"{before + 1} decisions in a row" if before else "a decision"
    played = ""
    if before:
        counted = f"{before} as fallbacks" if before > 1 else "1 as a fallback"
        played = f" {decision.action} was played meanwhile, counted {counted}."
    stop = "" if decision.reason.endswith(".") else "."
    return (
        f"The server gave no answer to {lost}, which says nothing of the model. The last reason: "
        f"{decision.reason}{stop}{played} Everything played is kept: give the same command to "
        f"continue once it answers{slow}."
    )
