"""Thinking longer only where it is worth it: signals of difficulty decide when.

Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", arXiv:2408.03314, spend by difficulty;
Aggarwal et al. 2023, "Adaptive-Consistency", arXiv:2305.11860, stop voting once votes agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside, decision_of
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.think.effort import (
    NONE,
    Effort,
    Range,
    Thinker,
    WithPriorOfInside,
    beyond_first,
    effort_of,
    inside,
    noted,
    spent_by,
)
from atari_vlm.policies.think.samples import base_of, next_in_queue, sample
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.adaptive import adaptive_style
from atari_vlm.protocols import Policy, prior_of, scorer_of
from atari_vlm.types import Decision, Lessons, Observation, Plan, Spent, Step

UNSURE = 0.5
"""Entropy of the actions from which a decision counts as difficult, as a share of the greatest."""

SHAKEN = 8
"""Decisions after a lost life that count as difficult."""

ASSUMED = 1 / 3
"""Share of the decisions that are taken to be difficult, in estimates."""

_STYLES = {"basic": 1.0, "cot": 0.5, "expert": 1.5}
"""Prompt that the results so far ask for (`prompts.adaptive`) -> factor of `unsure`."""


@runtime_checkable
class Chooser(Protocol):
    """A wrapper that chooses among samples, and goes on from those that were made already."""

    samples: int

    @property
    def asked(self) -> Policy:
        """The policy that makes the samples."""
        ...

    async def choose(
        self,
        made: Sequence[Decision],
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """The decision, of given samples."""
        ...


@runtime_checkable
class Watchful(Protocol):
    """A wrapper that thinks about a plan that was made, and sees at a glance if that is needed."""

    @property
    def glance(self) -> int:
        """Emulator frames that `danger` simulates at most; 0 for none."""
        ...

    async def danger(
        self, made: Decision, observation: Observation, history: Sequence[Step]
    ) -> tuple[str, Spent]:
        """What is wrong with a decision, "" if nothing is; and what looking took."""
        ...

    async def improve(
        self,
        made: Decision,
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """Think about a decision, without asking for it again."""
        ...


@dataclass(frozen=True)
class Adaptive(WithPriorOfInside):
    """Plays what the plain policy decides, and lets `policy` think where it is difficult.

    A decision is difficult if a life is at risk: one was lost in the last decisions; or if `policy`
    can look ahead (`Watchful`) and a glance shows something at stake. Where it cannot, a decision
    is difficult if the model is unsure: the entropy of its prior is high, or, of a model without a
    prior, two answers differ. The results so far, by which the adaptive prompt
    chooses its words, move the bound: a player that still does badly after its first episodes
    thinks more often, one that does well less. `Decision.thinking.why` names the signal.

    Args:
        policy: thinks longer than the policy inside of it, which is the plain one.
        unsure: entropy of the actions from which to think, as a share of the greatest possible.
        shaken: decisions after a lost life in which to think.
    """

    policy: Policy
    unsure: float = UNSURE
    shaken: int = SHAKEN

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        if not isinstance(self.policy, Thinker) or isinstance(self.policy, Adaptive):
            raise InvalidSetting(
                f"{self.policy.name} does not think longer, so nothing could decide when it does; "
                "try +adaptive:vote:5, +adaptive:best-of:3 or +adaptive:lookahead:600."
            )
        check_number("unsure", self.unsure, 0, 1, whole=False)
        check_number("shaken", self.shaken, 0, 10_000)

    @property
    def name(self) -> str:
        """The plain policy's name and how it thinks, e.g. "gpt-4o+adaptive:vote:5"."""
        inside = self._plain.name
        return f"{inside}+adaptive:{self.policy.name.removeprefix(f'{inside}+')}"

    @property
    def _plain(self) -> Policy:
        assert isinstance(self.policy, Thinker)
        return self.policy.policy

    @property
    def _has_prior(self) -> bool:
        base = base_of(self.policy)
        scores = isinstance(base, VLMPolicy) and scorer_of(base.model) is not None
        return isinstance(base, ScoredPolicy) or scores

    def effort(self, inside: Effort) -> Effort:
        """That of the plain policy, or of the one that thinks, and what tells which.

        That is a glance, or two answers of a model without a prior.
        """
        alone = effort_of(self._plain)
        glance = self.policy.glance if isinstance(self.policy, Watchful) else None
        tells = self._has_prior or glance is not None
        calls = alone.calls.times(1 if tells else 2)
        frames = alone.frames.times(1 if tells else 2)
        again = not tells and not isinstance(self.policy, Chooser)
        looked = Range(*[glance or 0] * 3)
        return Effort(
            _either(calls, inside.calls.plus(calls if again else NONE)),
            _either(frames, inside.frames.plus(frames if again else NONE)).plus(looked),
            Range(0, ASSUMED * inside.quoted.usual, inside.quoted.most),
        )

    def check_interval(self, frames: int) -> None:
        """Raise InvalidSetting if a glance is shorter than one decision.

        Args:
            frames: emulator frames of a decision.
        """
        if isinstance(self.policy, Watchful) and 0 < self.policy.glance < frames:
            raise InvalidSetting(
                f"{self.name} has {self.policy.glance} frames for a glance ahead, a part of its "
                f"budget, and one decision takes {frames}: let it look further."
            )

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Look for a signal, then decide plainly or think."""
        why = _shaken(observation, history, self.shaken)
        if isinstance(self.policy, Watchful):
            return await self._at_a_glance(self.policy, why, observation, history, rng)
        if (planned := next_in_queue(self.policy, observation, history)) is not None:
            return noted(planned, history, "an earlier answer planned it")
        if why:
            return self._noted(
                await decision_of(self.policy, observation, history, rng), history, why
            )
        rated = await prior_of(self._plain, observation, history)
        if rated is None:
            return await self._by_two_answers(observation, history, rng)
        bound = self.unsure * _factor(base_of(self.policy), observation.game)
        share = entropy_share(rated)
        sure = f"entropy {share:.2f} of the actions, bound {bound:.2f}"
        if share > bound:
            made = await decision_of(self.policy, observation, history, rng)
            return self._noted(made, history, f"unsure: {sure}")
        made = await decision_of(self._plain, observation, history, rng)
        return noted(made, history, f"not: sure, {sure}", inside(made))

    async def _at_a_glance(
        self,
        watchful: Watchful,
        why: str,
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """Decide plainly, look at that, and think about it if something is wrong with it."""
        made = await decision_of(self._plain, observation, history, rng)
        looked = Spent()
        if not why:
            why, looked = await watchful.danger(made, observation, history)
        if not why:
            return noted(made, history, "not: no danger seen", looked.plus(inside(made)))
        thought = await watchful.improve(made, observation, history, rng)
        return self._noted(thought, history, why, looked)

    async def _by_two_answers(
        self,
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """Think if two answers name other actions; they are among those that are chosen from."""
        thinker = self.policy
        asked = thinker.asked if isinstance(thinker, Chooser) else self._plain
        made = await sample(asked, observation, history, rng, 2)
        if made[0].action == made[1].action:
            both = replace(made[0], calls=(), considered=made)
            spent = beyond_first(both, made)
            why = f"not: two answers agree on {made[0].action}"
            return noted(replace(both, reason=made[0].reason), history, why, spent)
        why = f"two answers differ: {made[0].action}, {made[1].action}"
        if isinstance(thinker, Chooser):
            more = await sample(asked, observation, history, rng, max(0, thinker.samples - 2))
            decision = await thinker.choose((*made, *more), observation, history, rng)
            return self._noted(decision, history, why)
        decision = await decision_of(self.policy, observation, history, rng)
        probes = made[0].usage + made[1].usage
        decision = replace(decision, considered=(*decision.considered, *made))
        return self._noted(decision, history, why, spent_by(probes))

    def _noted(
        self, decision: Decision, history: Sequence[Step], why: str, more: Spent | None = None
    ) -> Decision:
        """The decision with the signal that made it think, and all that it took."""
        return noted(decision, history, why, inside(decision).plus(more or Spent()))


def _either(alone: Range, thinking: Range) -> Range:
    """What decisions take of which some are difficult."""
    usual = (1 - ASSUMED) * alone.usual + ASSUMED * thinking.usual
    return Range(min(alone.least, thinking.least), usual, max(alone.most, thinking.most))


# --- signals -------------------------------------------------------------------------------------


def _shaken(observation: Observation, history: Sequence[Step], decisions: int) -> str:
    """Whether a life was lost in the last decisions; "" if not."""
    if not decisions or not history:
        return ""
    before = history[max(0, len(history) - decisions)].observation.lives
    if before <= observation.lives:
        return ""
    return f"a life at risk: one was lost in the last {decisions} decisions"


def entropy_share(rated: Mapping[Plan, float]) -> float:
    """Entropy of the actions of a prior, as a share of that if all were equally likely.

    >>> entropy_share({Plan("LEFT", 1): 0.25, Plan("LEFT", 2): 0.25, Plan("RIGHT", 1): 0.5})
    1.0

    Args:
        rated: the probability of each plan; they sum to 1.
    """
    chances: dict[str, float] = {}
    for plan, chance in rated.items():
        chances[plan.action] = chances.get(plan.action, 0.0) + chance
    if len(chances) < 2:
        return 0.0
    found = -sum(chance * math.log(chance) for chance in chances.values() if chance > 0)
    return found / math.log(len(chances))


def _factor(base: Policy, game: str) -> float:
    """By how much the results so far move the bound of the entropy."""
    lessons = base.lessons if isinstance(base, VLMPolicy | ScoredPolicy) else Lessons()
    return _STYLES[adaptive_style(get_game(game), lessons)]
