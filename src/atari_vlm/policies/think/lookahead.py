"""Looking ahead: the model proposes, a second emulator tries, and reward and lives decide.

The model's plan is played unless the search finds one that is clearly better, so that its judgement
stands wherever nothing is in reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside, checked, decision_of
from atari_vlm.policies.search.policy import later
from atari_vlm.policies.search.proposals import (
    Looked,
    Outlook,
    ProposalSettings,
    look,
    moves_of,
)
from atari_vlm.policies.search.tree import without_screens
from atari_vlm.policies.search.workers import searched
from atari_vlm.policies.think.effort import Effort, Range, WithPriorOfInside, inside, noted
from atari_vlm.protocols import Policy, prior_of
from atari_vlm.types import Decision, Observation, Plan, Privilege, Spent, Step

Guide: TypeAlias = Literal["prior", "uniform"]
"""Where the search looks first: where the model's prior says, or everywhere alike."""

FRAMES = 600
"""Default budget: about 0.05 s on one core."""

MOST_FRAMES = 10**9

GLANCE = 0.25
"""Share of the budget for `danger`, a glance that tells whether anything is at stake."""


@dataclass(frozen=True)
class Lookahead(WithPriorOfInside):
    """Plays the model's plan unless a search in a second emulator finds a clearly better one.

    A second emulator tries the model's plan, every action, and the branch that was begun before,
    from the saved state, without the dice of the real game. A plan is worth the points of the best
    branch that begins with it, less what lost lives cost. The model's plan is played if the best
    branch brings no more than it and letting go would bring. Otherwise the branch under way is
    followed if it is as good as the best one, up to a tolerance; or one that begins with the
    model's plan; or the best one. An answer that names no action is not helped, so that fallbacks
    stay what they are.

    The prior is the model's own (`protocols.WithPrior`), or the shares of the votes of the policy
    inside, or else its plan alone.

    Args:
        policy: the plain policy inside.
        frames: most emulator frames simulated for a decision.
        guide: "prior", or "uniform" to look everywhere alike, as a control.
        settings: how plans are tried and compared; its budget is `frames`.
    """

    policy: Policy
    frames: int = FRAMES
    guide: Guide = "prior"
    settings: ProposalSettings = field(default_factory=ProposalSettings)
    privileges: frozenset[Privilege] = frozenset({"emulator"})

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        check_number("frames", self.frames, 1, MOST_FRAMES)
        if self.guide not in get_args(Guide):
            words = " or ".join(get_args(Guide))
            raise InvalidSetting(f"A lookahead is guided by {words}, not {self.guide!r}.")

    @property
    def name(self) -> str:
        """The name of the policy inside and the budget, e.g. "gpt-4o+lookahead:600"."""
        how = "" if self.guide == "prior" else f":{self.guide}"
        return f"{self.policy.name}+lookahead:{self.frames}{how}"

    @property
    def version(self) -> str:
        """Of the rules by which a plan is found and chosen."""
        return "lookahead 1"

    @property
    def glance(self) -> int:
        """Emulator frames that `danger` simulates at most, a quarter of the budget.

        They are at least those of one decision.
        """
        return max(1, int(GLANCE * self.frames))

    def check_interval(self, frames: int) -> None:
        """Raise InvalidSetting if the budget is below one decision.

        Args:
            frames: emulator frames of a decision.
        """
        if self.frames < frames:
            raise InvalidSetting(
                f"{self.frames} frames are too few to look ahead: one decision takes {frames}. "
                f"Try +lookahead:{max(FRAMES, 10 * frames)}."
            )

    def effort(self, inside: Effort) -> Effort:
        """Beside the policy inside, the frames of the budget."""
        return replace(inside, frames=inside.frames.plus(Range(0, self.frames, self.frames)))

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Ask the policy inside, try its plan and others, and choose."""
        made = await decision_of(self.policy, observation, history, rng)
        return await self.improve(made, observation, history, rng)

    async def improve(
        self,
        made: Decision,
        observation: Observation,
        history: Sequence[Step],
        rng: np.random.Generator,
    ) -> Decision:
        """Try the plan of a decision and others, and choose."""
        made = checked(made, self.policy, observation)
        if made.source == "fallback":
            return noted(made, history, "not: the model named no action", inside(made))
        rated = await prior_of(self.policy, observation, history)
        kept, seed = _kept(observation, history), int(rng.integers(2**63))
        found = await self._look(observation, made, rated, kept, seed, self.frames)
        return _chosen(made, found, observation, history, kept)

    async def danger(
        self, made: Decision, observation: Observation, history: Sequence[Step]
    ) -> tuple[str, Spent]:
        """Whether a glance, with a quarter of the budget, finds a better plan.

        Returns:
            What it found, "" for nothing; and what it took.
        """
        made = checked(made, self.policy, observation)
        if made.source == "fallback":
            return "", Spent()
        frames = max(observation.interval, self.glance)
        rated = await prior_of(self.policy, observation, history)
        kept = _kept(observation, history)
        # The moment gives the seed: nothing random is handed in.
        found = await self._look(observation, made, rated, kept, len(history), frames)
        why = "" if found.enough else "a glance ahead found a better plan"
        return why, Spent(frames=found.frames)

    async def _look(
        self,
        observation: Observation,
        made: Decision,
        rated: Mapping[Plan, float] | None,
        kept: Sequence[int],
        seed: int,
        frames: int,
    ) -> Looked:
        prior = _prior_of_moves(observation, made, rated)
        if self.guide == "uniform":
            prior = [1.0] * len(prior)
        settings = replace(self.settings, search=replace(self.settings.search, budget=frames))
        seen = without_screens(observation)
        return await searched(look, seen, made.plan, prior, kept, settings, seed)


def _prior_of_moves(
    observation: Observation, made: Decision, rated: Mapping[Plan, float] | None
) -> list[float]:
    """The prior of each move; see `proposals.look`.

    The prior of an action is the sum over its plans, and half of it belongs to the model's plan.
    """
    moves = moves_of(observation, made.plan)
    chances = dict.fromkeys(observation.legal, 0.0)
    votes = [each for each in made.considered if each.calls and each.source != "fallback"]
    if rated:
        for plan, chance in rated.items():
            chances[plan.action] += chance
    elif votes:
        for each in votes:
            chances[each.action] += 1 / len(votes)
    else:
        chances[made.action] = 1.0
    prior = [chances[plan.action] for plan in moves[: len(observation.legal)]]
    if len(moves) > len(prior):
        place = observation.legal.index(made.action)
        prior[place] /= 2
        prior.append(prior[place])
    return prior


def _kept(observation: Observation, history: Sequence[Step]) -> list[int]:
    """The branch that the last search chose, from now on: the index of an action for each frame."""
    if not history:
        return []
    last = history[-1].decision
    branch = next(
        (each.queue for each in last.considered if each.source == "searched" and each.queue), ()
    )
    return later(branch, observation)


class _Choice(NamedTuple):
    """The plan that is played."""

    taken: Outlook
    begun: bool
    """Whether its branch is to be followed."""
    why: str


def _choice(found: Looked, own: Outlook, first: Plan | None) -> _Choice:
    """Which plan is played, and why.

    Args:
        found: by the search.
        own: the outlook of the model's plan.
        first: of the branch that is under way; None if there is none.
    """
    best = found.best
    if found.enough:
        return _Choice(own, False, "nothing better within reach")
    under_way = None if first is None else found.of(first)
    if under_way and found.near(under_way, best):
        return _Choice(under_way, True, "the branch under way is as good as any")
    if found.near(own, best):
        return _Choice(own, True, "a good branch begins with it")
    return _Choice(best, True, "another plan is better")


def _chosen(
    made: Decision,
    found: Looked,
    observation: Observation,
    history: Sequence[Step],
    kept: Sequence[int],
) -> Decision:
    """The decision, by what was found."""
    first = Plan(observation.legal[kept[0]], observation.interval) if kept else None
    own = found.of(made.plan)
    assert own is not None  # it is tried first, and the budget suffices for one
    taken, begun, why = _choice(found, own, first)
    reason = f"{why}: the model's {_said(own)}"
    if taken is not own:
        reason += f", {_said(taken)} is played"
    if untried := sum(each.value is None for each in found.outlooks):
        reason += f"; {untried} more {'was' if untried == 1 else 'were'} not tried"
    decision = replace(
        made,
        reason=f"{made.reason} {reason}".strip(),
        considered=(*made.considered, *_candidates(found, taken if begun else None)),
    )
    if taken is not own:
        action, frames = taken.plan
        decision = replace(decision, action=action, frames=frames, source="searched", queue=())
    return noted(decision, history, why, Spent(frames=found.frames).plus(inside(made)))


def _candidates(found: Looked, begun: Outlook | None) -> list[Decision]:
    """What was tried, most often tried first; the branch that is begun is a queue."""
    return [
        Decision(
            action=each.plan.action,
            frames=each.plan.frames,
            source="searched",
            reason=f"{_worth(each)}, prior {each.prior:.0%}, {each.rollouts} "
            f"rollout{'s' * (each.rollouts != 1)}",
            queue=each.branch if each is begun else (),
        )
        for each in sorted(found.outlooks, key=lambda each: -each.rollouts)
        if each.value is not None
    ]


def _said(outlook: Outlook) -> str:
    return f"{outlook.plan.action} x{outlook.plan.frames} ({_worth(outlook)})"


def _worth(outlook: Outlook) -> str:
    return "not tried" if outlook.value is None else f"worth {outlook.value:.3g}"


def lookahead(
    policy: Policy, game: str, frames: str = str(FRAMES), guide: str = "prior"
) -> Lookahead:
    """The wrapper +lookahead:600, or +lookahead:600:uniform, of a player's name.

    Raises:
        InvalidSetting: it cannot be built.
    """
    number = int(frames) if frames.isdecimal() and frames.isascii() and len(frames) < 12 else 0
    if not 1 <= number <= MOST_FRAMES:
        raise InvalidSetting(
            "+lookahead takes a number of emulator frames to simulate for a decision, at least "
            f"those of one decision and at most {MOST_FRAMES}, not {frames!r}: +lookahead:{FRAMES}."
        )
    return Lookahead(policy, number, guide)  # type: ignore[arg-type]  # checked there
