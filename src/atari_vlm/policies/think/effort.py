"""What a decision takes: foreseen before it is made, and counted afterwards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import Policy, Wrapper, prior_of
from atari_vlm.types import Decision, Observation, Plan, Spent, Step, Thinking, Usage


class Range(NamedTuple):
    """How much of something: in the best case, usually, in the worst case."""

    least: float = 0.0
    usual: float = 0.0
    most: float = 0.0

    def times(self, count: float) -> Range:
        """This many of it."""
        return Range(*(count * each for each in self))

    def plus(self, other: Range) -> Range:
        """The sum."""
        return Range(*(one + more for one, more in zip(self, other, strict=True)))


NONE, ONCE = Range(), Range(1, 1, 1)


@dataclass(frozen=True, slots=True)
class Effort:
    """What one decision takes."""

    calls: Range = NONE
    """Calls of the model, without repairs."""
    frames: Range = NONE
    """Emulator frames that are simulated in another emulator."""
    quoted: Range = NONE
    """Answers that other calls of the same decision quote, e.g. those that a judge compares."""


class WithPriorOfInside:
    """Base of wrappers that show the policy inside what they see: its prior is theirs."""

    policy: Policy

    async def prior(
        self, observation: Observation, history: Sequence[Step]
    ) -> dict[Plan, float] | None:
        """The prior of the policy inside."""
        return await prior_of(self.policy, observation, history)


@runtime_checkable
class Thinker(Wrapper, Protocol):
    """A wrapper that thinks longer than the policy inside, which is the plain policy."""

    def effort(self, inside: Effort) -> Effort:
        """What a decision takes, if one of the policy inside takes `inside`."""
        ...


def effort_of(policy: Policy, base: Effort | None = None) -> Effort:
    """What a decision of a policy takes.

    Args:
        policy: with its wrappers.
        base: what one of the policy inside of all wrappers is taken to take; None for what is
            known, which is nothing of a policy of the caller's own.
    """
    if isinstance(policy, Wrapper):
        inside = effort_of(policy.policy, base)
        return policy.effort(inside) if isinstance(policy, Thinker) else inside
    if base is not None:
        return base
    return Effort(calls=ONCE) if isinstance(policy, VLMPolicy | ScoredPolicy) else Effort()


def thinks(policy: Policy) -> bool:
    """Whether a policy, or one that it wraps, may think longer."""
    return isinstance(policy, Thinker) or (isinstance(policy, Wrapper) and thinks(policy.policy))


def plain(policy: Policy) -> Policy:
    """The same policy without the wrappers that think longer; others stay.

    A wrapper that is not a dataclass and has a thinking one inside stays as it is.
    """
    if not isinstance(policy, Wrapper) or not thinks(policy):
        return policy
    inside = plain(policy.policy)
    if isinstance(policy, Thinker):
        return inside
    try:
        changed: Policy = replace(policy, policy=inside)  # type: ignore[type-var]
    except TypeError:
        return policy
    return changed


# --- counting ------------------------------------------------------------------------------------


def spent_by(usage: Usage, frames: int = 0) -> Spent:
    """What was spent, by the usage of calls and by simulated frames."""
    tokens = usage.input_tokens + usage.output_tokens
    return Spent(usage.calls, tokens, usage.dollars, frames)


def beyond(whole: Usage, alone: Usage, frames: int = 0) -> Spent:
    """What a decision took beyond a plain one.

    Args:
        whole: usage of all its calls.
        alone: usage of a plain decision, which is part of it.
        frames: that were simulated.
    """
    more, less = spent_by(whole, frames), spent_by(alone)
    dollars = (
        None
        if more.dollars is None or less.dollars is None
        else max(0.0, more.dollars - less.dollars)
    )
    return Spent(more.calls - less.calls, more.tokens - less.tokens, dollars, frames)


def beyond_first(decision: Decision, made: Sequence[Decision]) -> Spent:
    """What a decision took beyond a plain one, if it was chosen from samples.

    Args:
        decision: with all its calls.
        made: the samples among them; what the first thought longer counts too.
    """
    frames = sum(each.thinking.spent.frames for each in made if each.thinking)
    spent = beyond(decision.usage, made[0].usage, frames)
    first = made[0].thinking.spent if made[0].thinking else Spent()
    return spent.plus(first._replace(frames=0))


def total_of(history: Sequence[Step]) -> Spent:
    """What thinking took in the episode so far."""
    thinking = history[-1].decision.thinking if history else None
    return thinking.total if thinking else Spent()


def inside(made: Decision) -> Spent:
    """What the policy that made a decision spent on thinking."""
    return made.thinking.spent if made.thinking else Spent()


NOT = "not:"
"""How the reason of a decision begins that did not think longer, whatever finding out took."""

NOTE = "a summary of the episode"
"""How the reason of a decision ends that came with a note of the model to itself."""

NO_NOTE = f"no answer came for {NOTE}"
"""The same where the model gave none, so that the note of before stays."""

_NOTES = re.compile(rf"(?:(?P<times>[0-9]{{1,6}}) times )?(?P<none>no answer came for )?{NOTE}")


def notes_in(why: str) -> tuple[int, int]:
    """Notes that a decision came with, by the reason of its thinking.

    >>> notes_in(f"a vote of 3; 2 times {NOTE}; {NO_NOTE}")
    (3, 1)

    Returns:
        How many were asked for, and how many of them had no answer.
    """
    found = [(int(each["times"] or 1), bool(each["none"])) for each in _NOTES.finditer(why)]
    return sum(count for count, _ in found), sum(count for count, none in found if none)


def _with_notes(why: str, decision: Decision) -> str:
    """The reason, and the notes that the decisions inside came with."""
    inner = [each.thinking for each in decision.considered if each.thinking]
    if not inner and decision.thinking:
        inner = [decision.thinking]
    notes = [notes_in(each.why) for each in inner]
    asked, unanswered = sum(each for each, _ in notes), sum(each for _, each in notes)
    counts = {NOTE: asked - unanswered, NO_NOTE: unanswered}
    told = [f"{n} times {note}" if n > 1 else note for note, n in counts.items() if n]
    return "; ".join(filter(None, (why, *told)))


def noted(
    decision: Decision, history: Sequence[Step], why: str = "", spent: Spent | None = None
) -> Decision:
    """The decision with what thinking took, in it and in the episode so far.

    Args:
        decision: as made.
        history: the episode so far.
        why: it thought, or did not; the notes of the decisions inside are added.
        spent: beyond a plain decision; None for nothing.
    """
    spent = spent or Spent()
    why = _with_notes(why, decision)
    return replace(decision, thinking=Thinking(why, spent, total_of(history).plus(spent)))
