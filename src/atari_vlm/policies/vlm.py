"""The plain policy: build a prompt, ask the model, parse the answer; repair once, or fall back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from atari_vlm.errors import Lost, ModelFault
from atari_vlm.policies.action_chunk import queued
from atari_vlm.policies.scored import scores
from atari_vlm.prompts.strategies import repair
from atari_vlm.protocols import Model, scorer_of, version_of
from atari_vlm.replies.endings import ending_of
from atari_vlm.replies.multi_plan_parser import ParsedPlans, parse_plans
from atari_vlm.replies.plan_parser import parse_plan
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

NO_LESSONS = Lessons()


def lost_usage(lost: Lost | None) -> Usage:
    """Cost of a call without an answer; unknown if no request was counted."""
    if lost is None:
        return Usage(calls=1, dollars=None)
    return Usage(
        calls=1,
        dollars=None if lost.dollars is None else 0.0,
        uncertain=lost.requests,
        uncertain_tokens=lost.tokens,
        uncertain_dollars=lost.dollars,
    )


@dataclass(frozen=True)
class VLMPolicy:
    """Shows a model the screen and plays the action in its answer.

    An answer without a legal action gets one repair turn that explains the fault. After that NOOP
    is played (the first action in the two games without NOOP), marked as a fallback and counted. A
    call that failed for good is a fallback at once, and so is an answer that asking again cannot
    mend: a refusal, or one whose tokens were used up before its first word. Of an answer with
    several plans (`Prompt.chunk_size`), the first is played now and the rest by the next decisions.
    """

    model: Model
    strategy: Strategy
    lessons: Lessons = NO_LESSONS
    repairs: int = 1

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def version_for(self, game: str) -> str | None:
        """The model's version."""
        return version_of(self.model, game)

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Play a queued plan, or ask until the answer is legal, at most `repairs` + 1 times."""
        if (planned := queued(observation, history)) is not None:
            return planned
        prompt = self.strategy(observation, history, self.lessons)
        calls: list[Call] = []
        reason = ""
        for attempt in range(self.repairs + 1):
            seed = int(rng.integers(2**63))
            try:
                reply = await self.model.answer(prompt, seed=seed)
            except ModelFault as fault:
                reason = f"{fault.kind}: {fault}"
                reply = Reply(text="", finish=fault.kind, usage=lost_usage(fault.lost))
                calls.append(Call(prompt, reply, seed, reason))
                break
            reading = _read(reply, prompt)
            calls.append(Call(prompt, reply, seed, reading.fault))
            if reading.plans:
                (action, frames), *rest = reading.plans
                return Decision(
                    action=action,
                    frames=frames,
                    source="repaired" if attempt else "parsed",
                    reason=reason or reading.note,
                    queue=tuple(rest),
                    calls=tuple(calls),
                )
            reason = reading.fault
            if not ending_of(reply).repairable:
                break
            prompt = repair(prompt, reply.text, reading.fault)
        legal = observation.legal
        return Decision(
            action="NOOP" if "NOOP" in legal else legal[0],
            frames=observation.interval,
            source="fallback",
            reason=reason,
            calls=tuple(calls),
        )

    async def prior(
        self, observation: Observation, history: Sequence[Step]
    ) -> dict[Plan, float] | None:
        """Probability of each plan, from the scores of the model; None if it gives words only.

        None too where an answer lists several plans: scores are of one.
        """
        scorer = scorer_of(self.model)
        prompt = self.strategy(observation, history, self.lessons) if scorer else None
        if scorer is None or prompt is None or prompt.chunk_size > 1:
            return None
        return await scores(scorer, prompt, observation.legal, self)


def _read(reply: Reply, prompt: Prompt) -> ParsedPlans:
    """The plans of a reply. If the prompt asks for actions only, they are held for the interval.

    If there is none, the fault is what the end of the answer tells, or else what its text does.
    """
    text = "" if reply.finish == "content_filter" else reply.text
    if prompt.chunk_size == 1:
        single = parse_plan(text, prompt.legal, prompt.longest)
        plans = () if single.plan is None else (single.plan,)
        parsed = ParsedPlans(plans, single.fault, single.note)
    else:
        parsed = parse_plans(text, prompt.legal, prompt.longest, prompt.chunk_size)
    if not parsed.plans:
        return replace(parsed, fault=ending_of(reply).reason or parsed.fault)
    if prompt.plans:
        return parsed
    held = tuple(Plan(plan.action, prompt.longest) for plan in parsed.plans)
    return replace(parsed, plans=held)
