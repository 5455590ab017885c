"""A search among proposals: plans for now, each with a prior, of which one is to be clearly better.

At the root, the plan of the next rollout is chosen by PUCT (Rosin 2011, "Multi-armed bandits with
episode context"; as in Silver et al. 2017, arXiv:1712.01815). Below it, rollout IW looks as far as
without a model: the prior decides where to look first, and not what is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from numpy.random import default_rng

from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.search.methods import Rating, RolloutIW, Seen
from atari_vlm.policies.search.nodes import Gain, Node
from atari_vlm.policies.search.policy import queue_of
from atari_vlm.policies.search.tree import SearchSettings, Tree, tree
from atari_vlm.types import Observation, Plan

KEPT = 160
"""Most emulator frames of a branch that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalSettings:
    """How proposals are tried and compared."""

    search: SearchSettings = field(default_factory=lambda: SearchSettings(budget=600))
    horizon: int = 120
    """Emulator frames a rollout looks ahead, at most a fifth of the budget."""
    far: int = 20
    """Frames that an action is held, and `horizon` grows likewise, where the first half of the
    search found neither points nor a lost life."""
    exploration: float = 1.25
    """Weight of the prior and of plans that were tried seldom; returns span 0 to 1."""
    floor: float = 0.5
    """Share of the prior that is spread evenly, so that every plan can be tried."""
    margin: float = 0.15
    """Returns closer than this are as good, as a multiple of the largest reward in the search."""

    def __post_init__(self) -> None:
        check_number("horizon", self.horizon, 1)
        check_number("far", self.far, 1)
        for name in ("exploration", "floor", "margin"):
            value = getattr(self, name)
            if not 0 <= value < math.inf or (name == "floor" and value > 1):
                raise InvalidSetting(f"{name} cannot be {value!r}.")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a search found of one plan."""

    plan: Plan
    prior: float
    value: float | None
    """The best discounted return of a branch that begins with it, in points; None if untried."""
    rollouts: int
    branch: tuple[Plan, ...] = ()
    """That branch; equal actions in a row are one plan."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a search among proposals found."""

    outlooks: tuple[Outlook, ...]
    """Every action held for the interval in the order of the legal actions; the proposal last if
    it is none of them."""
    frames: int
    """Emulator frames simulated."""
    tolerance: float
    """Returns closer than this are as good."""
    enough: bool = False
    """Whether the best branch brings no more than the proposal and letting go would bring."""

    def of(self, plan: Plan) -> Outlook | None:
        """The outlook of a plan, if it was tried."""
        found = (each for each in self.outlooks if each.plan == plan and each.value is not None)
        return next(found, None)

    @property
    def best(self) -> Outlook:
        """The plan with the largest return."""
        return max(self.outlooks, key=_value)

    def near(self, one: Outlook | None, other: Outlook) -> bool:
        """Whether one plan was tried and is as good as another, or better."""
        return one is not None and _value(other) - _value(one) <= self.tolerance


def _value(outlook: Outlook) -> float:
    return -math.inf if outlook.value is None else outlook.value


def look(
    observation: Observation,
    own: Plan | None,
    prior: Sequence[float],
    kept: Sequence[int],
    settings: ProposalSettings,
    seed: int,
) -> Looked:
    """Try plans from the saved state, without the dice of the real game.

    The same arguments give the same result in any process.

    Args:
        observation: with the emulator's state.
        own: the plan that the model proposes, tried first; None for none.
        prior: the probability of each plan: of every legal action, and of `own` behind them unless
            it is one of them held for the interval.
        kept: indices of the actions of an earlier search's branch, one a frame from now; tried too.
        settings: budget, horizon and how returns are compared.
        seed: of everything random.

    Raises:
        InvalidSetting: the observation has no emulator state, or the budget is below one decision.
    """
    moves = moves_of(observation, own)
    rng = default_rng(seed)
    budget = settings.search.budget or 0
    horizon = max(observation.interval, min(settings.horizon, budget // 5))
    method = RolloutIW(horizon=horizon, depth=1)
    with tree(observation, settings.search, rng, moves) as grown:
        root = _Root(grown, _mixed(prior, len(moves), settings.floor), settings.exploration)
        seen = Seen(grown.root)
        first = [() if own is None else (moves.index(own), ()), (kept[0], kept) if kept else ()]
        for place, plan in (each for each in first if each):
            if place in grown.root.open:
                root.note(place, method.rollout(grown, seen, rng, plan, place))
        kept_back = 2 * horizon if own else 0  # to play the proposal on, twice
        searching = budget - kept_back
        while not grown.root.solved and grown.spent < searching:
            if grown.uneventful and 2 * grown.spent >= searching and grown.hold < settings.far:
                method = replace(method, horizon=horizon * settings.far // grown.hold)
                grown.hold = settings.far
            place = root.choose()
            leaf = method.rollout(grown, seen, rng, (), place)
            root.note(place, leaf)
            if leaf is None:
                break
        rated = method.rate(grown)
        outlooks = tuple(_outlooks(rated, moves, root, observation.legal))
        tolerance = settings.margin * (grown.largest or 1.0)
        enough = False
        if own is not None:
            best = max((each for each in rated if each), key=lambda each: each.rank)
            noop = observation.legal.index("NOOP") if "NOOP" in observation.legal else 0
            enough = _is_enough(grown, best, moves.index(own), noop, tolerance)
        return Looked(outlooks, grown.spent, tolerance, enough)


def _is_enough(grown: Tree, best: Rating, own: int, noop: int, tolerance: float) -> bool:
    """Whether the best branch brings no more than the proposal and letting go would bring.

    Points that come anyhow come there too. What is lost when nothing is done counts only if the
    best branch, begun with the proposal, loses it as well: whoever proposes decides again before
    that. As far as the budget suffices to tell.
    """
    its = [(node.place, node.elapsed - before.elapsed) for before, node in pairwise(best.branch)]
    reached, gain = grown.follow(own, [(noop, frames) for _, frames in its])
    if gain.losses or gain.points < 0:
        also, other = grown.follow(own, its)
        reached = min(reached, also)
        gain.losses = min(gain.losses, other.losses)
        gain.points = max(gain.points, min(other.points, 0.0))
    worth, fade = 0.0, 1.0
    for node in best.branch:
        if node.elapsed <= reached:
            worth, fade = worth + fade * grown.worth(node.gain), fade * node.fade
    return worth - grown.worth(gain) <= tolerance


def moves_of(observation: Observation, own: Plan | None) -> list[Plan]:
    """The plans that are compared: every action held for the interval, and the model's."""
    every = [Plan(action, observation.interval) for action in observation.legal]
    return every if own is None or own in every else [*every, own]


def _mixed(prior: Sequence[float], count: int, floor: float) -> list[float]:
    if len(prior) != count or not sum(prior) > 0:
        raise InvalidSetting(f"{count} plans have a prior each, not {list(prior)!r}.")
    whole = sum(prior)
    return [(1 - floor) * each / whole + floor / count for each in prior]


class _Root:
    """Chooses the plan of each rollout by PUCT, and keeps the best return of each."""

    def __init__(self, tree: Tree, prior: Sequence[float], exploration: float) -> None:
        self._tree, self.prior, self._exploration = tree, prior, exploration
        self.rollouts = [0] * len(prior)
        self._gains: list[list[Gain]] = [[] for _ in prior]

    def note(self, place: int, leaf: Node | None) -> None:
        """Note that a rollout with this plan ended at a leaf, or with the budget."""
        if leaf is not None:
            self.rollouts[place] += 1
            self._gains[place].append(_gain_to(leaf))

    def choose(self) -> int:
        """The plan of the next rollout, among those with something new below.

        Each is tried once, the likeliest first.
        """
        # What a lost life costs grows with the largest reward, so the best one may become another.
        best = [max(map(self._tree.worth, each)) if each else None for each in self._gains]
        known = [each for each in best if each is not None]
        low = min(known, default=0.0)
        span = max(known, default=0.0) - low
        whole = math.sqrt(1 + sum(self.rollouts))

        untried = [place for place in self._tree.root.open if not self.rollouts[place]]
        if untried:
            return max(untried, key=lambda place: self.prior[place])

        def bound(place: int) -> float:
            value = best[place]
            share = (value - low) / span if value is not None and span else 0.0
            tried = 1 + self.rollouts[place]
            return share + self._exploration * self.prior[place] * whole / tried

        return max(self._tree.root.open, key=bound)


def _gain_to(leaf: Node) -> Gain:
    """The discounted gain of the branch that ends at a leaf."""
    node, gain = leaf, Gain()
    while node.parent:
        points = node.gain.points + node.fade * gain.points
        gain = Gain(points, node.gain.losses + node.fade * gain.losses)
        node = node.parent
    return gain


def _outlooks(
    rated: Sequence[Rating | None], moves: Sequence[Plan], root: _Root, legal: Sequence[str]
) -> Iterator[Outlook]:
    for place, (plan, rating) in enumerate(zip(moves, rated, strict=True)):
        if rating is None:
            yield Outlook(plan, root.prior[place], None, 0)
            continue
        first, *rest = rating.branch
        later = queue_of(rest, legal, first.elapsed, most=KEPT)
        branch = (Plan(plan.action, first.elapsed), *later)
        yield Outlook(plan, root.prior[place], rating.rank[0], root.rollouts[place], branch)
