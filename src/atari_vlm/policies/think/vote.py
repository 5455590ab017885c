"""Self-consistency: the model is asked several times, and its answers vote.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
arXiv:2203.11171. Votes may be weighed by confidence: Taubenfeld et al. 2025, arXiv:2502.06233.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from atari_vlm.errors import AtariVLMError, InvalidSetting, setting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.think.confidence import (
    UNSAID,
    asking_for_confidence,
    likelihood,
    none_stated,
    stated_confidence,
)
from atari_vlm.policies.think.effort import Effort, WithPriorOfInside, beyond_first, noted
from atari_vlm.policies.think.samples import (
    MOST_SAMPLES,
    base_of,
    check_has_model,
    count_from,
    next_in_queue,
    sample,
)
from atari_vlm.protocols import Policy, prior_of
from atari_vlm.types import Decision, Observation, Step

Weigh: TypeAlias = Literal["likelihood", "confidence", "equal"]
"""By what votes count: the probability of the answer's words (the same for all if the model does
not give it), what the model says of how sure it is, or the same for all."""

ALIKE = 8
"""Decisions at the start of an episode whose votes are all alike before a warning says so."""


@dataclass(frozen=True)
class Vote(WithPriorOfInside):
    """Plays what most of several answers of the policy inside say.

    The actions vote first; the frames are the weighted median of the winners'. A fallback does not
    vote, unless all are fallbacks: then the decision is one. Ties go to the action that was named
    first. Plans that follow (`Decision.queue`) are those of a winner with the frames played, and
    while they are played nothing is asked. The answers are in `Decision.considered`.

    >>> from atari_vlm.models.scripted import ScriptedModel
    >>> from atari_vlm.policies.vlm import VLMPolicy
    >>> from atari_vlm.prompts.strategies import get_strategy
    >>> model = ScriptedModel(lambda prompt: "ACTION: FIRE x2")
    >>> Vote(VLMPolicy(model, get_strategy("basic")), samples=3).name
    'scripted+vote:3'
    """

    policy: Policy
    samples: int = 5
    """How many answers vote, 1 to 100."""
    weigh: Weigh = "likelihood"

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        check_number("samples", self.samples, 1, MOST_SAMPLES)
        if self.weigh not in get_args(Weigh):
            words = ", ".join(get_args(Weigh))
            raise InvalidSetting(f"Votes are weighed by one of {words}, not {self.weigh!r}.")
        if self.weigh == "confidence":
            asking_for_confidence(self.policy)

    @property
    def name(self) -> str:
        """The name of the policy inside and the votes, e.g. "gpt-4o+vote:5"."""
        how = "" if self.weigh == "likelihood" else f":{self.weigh}"
        return f"{self.policy.name}+vote:{self.samples}{how}"

    def effort(self, inside: Effort) -> Effort:
        """As many of the policy inside as there are votes."""
        return Effort(
            inside.calls.times(self.samples),
            inside.frames.times(self.samples),
            inside.quoted.times(self.samples),
        )

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Ask several times at once, and count the votes."""
        if (planned := next_in_queue(self.policy, observation, history)) is not None:
            return noted(planned, history, "an earlier answer planned it")
        made = await sample(self.asked, observation, history, rng, self.samples)
        return await self.choose(made, observation, history, rng)

    @property
    def asked(self) -> Policy:
        """The policy that is asked for each vote."""
        return asking_for_confidence(self.policy) if self.weigh == "confidence" else self.policy

    async def choose(
        self,
        made: Sequence[Decision],
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """The decision of given votes.

        Args:
            made: the votes, in order.
            observation: for which they were made.
            history: likewise.
            rng: not used: votes are counted.
        """
        weights = await self._weights(_voters(made), observation, history)
        decision = elected(made, weights)
        unsaid = self.weigh == "confidence" and none_stated(each.reply for each in _voters(made))
        if unsaid and len(made) > 1:  # one vote is weighed against none
            decision = replace(decision, reason=f"{decision.reason}; {UNSAID}")
        spent = beyond_first(decision, made)
        self._warn_if_alike(decision, history)
        return noted(decision, history, f"a vote of {len(made)}", spent)

    async def _weights(
        self, voters: Sequence[Decision], observation: Observation, history: Sequence[Step]
    ) -> list[float]:
        """The weight of each vote, 1 for each if nothing tells them apart."""
        known: list[float | None] = []
        if self.weigh == "confidence":
            known = [stated_confidence(each.reply) for each in voters]
            said = [each for each in known if each is not None]
            # Who does not say how sure it is counts as much as the others do on average.
            known = [sum(said) / len(said) if each is None else each for each in known if said]
        elif self.weigh == "likelihood" and all(each.source == "scored" for each in voters):
            prior = await prior_of(self.policy, observation, history) if voters else None
            known = [prior.get(each.plan) if prior else None for each in voters]
        elif self.weigh == "likelihood":
            known = [likelihood(each) for each in voters]
        weights = [each for each in known if each is not None]
        return weights if len(weights) == len(voters) and sum(weights) > 0 else [1.0] * len(voters)

    def _warn_if_alike(self, decision: Decision, history: Sequence[Step]) -> None:
        """Say once, early in an episode, that all votes were alike so far."""
        if self.samples == 1 or len(history) != ALIKE - 1:
            return
        if all(_alike(each) for each in (decision, *(step.decision for step in history))):
            warnings.warn(
                str(
                    AtariVLMError(
                        f"{self.name}: in the first {ALIKE} decisions all {self.samples} answers "
                        f"were alike, so votes only cost. Raise {setting('temperature')} if the "
                        "model follows it, or play without +vote."
                    )
                ),
                stacklevel=2,
            )


def _alike(decision: Decision) -> bool:
    """Whether all votes say the same in the same words."""
    made = decision.considered
    first = (made[0].plan, made[0].reply) if made else None
    return all((each.plan, each.reply) == first for each in made)


def _voters(made: Sequence[Decision]) -> list[Decision]:
    return [each for each in made if each.source != "fallback"]


def elected(made: Sequence[Decision], weights: Sequence[float] | None = None) -> Decision:
    """The decision of votes, without what thinking took.

    Args:
        made: the votes; those that are fallbacks do not count, unless all are.
        weights: of those that count, in order; None for the same of each.
    """
    voters = _voters(made)
    weights = weights or [1.0] * len(voters)
    if not voters:
        reason = f"None of {len(made)} answers names an action. {made[0].reason}"
        return replace(made[0], reason=reason, calls=(), considered=tuple(made))
    tally: dict[str, float] = {}
    for each, weight in zip(voters, weights, strict=True):
        tally[each.action] = tally.get(each.action, 0.0) + weight
    # Rounded, so that sums in another order are still a tie; it goes to the first.
    action = max(tally, key=lambda name: round(tally[name], 9))
    winners = [
        (each, weight)
        for each, weight in zip(voters, weights, strict=True)
        if each.action == action
    ]
    frames = weighted_median([(each.frames, weight) for each, weight in winners])
    winner = min((each for each, _ in winners), key=lambda each: abs(each.frames - frames))
    return replace(
        winner,
        frames=frames,
        reason=_reason(made, winners[0][0].action, frames, tally, len(winners)),
        calls=(),
        considered=tuple(made),
    )


def weighted_median(values: Sequence[tuple[int, float]]) -> int:
    """The smallest value at which half of the weight is reached.

    >>> weighted_median([(1, 1.0), (4, 1.0), (3, 1.0)]), weighted_median([(1, 0.2), (4, 0.8)])
    (3, 4)

    Args:
        values: (value, weight).
    """
    half, reached = sum(weight for _, weight in values) / 2, 0.0
    for value, weight in sorted(values):
        reached += weight
        if reached >= half - 1e-9:
            return value
    return max(value for value, _ in values)


def _reason(
    made: Sequence[Decision], action: str, frames: int, tally: dict[str, float], won: int
) -> str:
    """E.g. "3 of 5: LEFT x3; 1 RIGHT, 1 without an action"."""
    whole = sum(tally.values())
    share = tally[action] / whole
    voters = _voters(made)
    weighed = "" if abs(share - won / len(voters)) < 0.005 else f" ({share:.0%} by weight)"
    counts = {name: sum(each.action == name for each in voters) for name in tally}
    others = [f"{count} {name}" for name, count in counts.items() if name != action]
    if len(voters) < len(made):
        others.append(f"{len(made) - len(voters)} without an action")
    rest = f"; {', '.join(others)}" if others else ""
    return f"{won} of {len(made)}{weighed}: {action} x{frames}{rest}"


def vote(policy: Policy, game: str, samples: str = "5", weigh: str = "likelihood") -> Vote:
    """The wrapper +vote:5, or +vote:5:confidence, of a player's name.

    Raises:
        InvalidSetting: it cannot be built.
    """
    check_has_model(policy, "vote")
    number = count_from(samples, "vote", "votes", 1)
    base = base_of(policy)
    if number == 1:
        warnings.warn(_one_vote(weigh), stacklevel=2)
    if isinstance(base, ScoredPolicy) and base.temperature == 0 and number > 1:
        warnings.warn(
            str(
                AtariVLMError(
                    f"{base.name} always plays its likeliest answer, so its votes are alike and "
                    f"only cost: raise {setting('temperature')}, or play without +vote."
                )
            ),
            stacklevel=2,
        )
    return Vote(policy, number, weigh)  # type: ignore[arg-type]  # checked there


def _one_vote(weigh: str) -> str:
    if weigh == "confidence":
        return (
            "+vote:1:confidence asks once, and also how sure the model is, which changes its "
            "prompt; there is nothing to vote on, so leave it out, or +vote:5:confidence votes."
        )
    return "+vote:1 asks once, so it plays as without it; +vote:5 votes."
