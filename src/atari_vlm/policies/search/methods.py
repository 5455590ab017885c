"""Two search methods: rollout IW(1) and UCT."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.search.nodes import Gain, Held, Node, Simulation, Stretch
from atari_vlm.policies.search.tree import Tree

_BYTES = 256 * np.arange(128)
"""The first atom of each byte of memory: its value 0."""


class Search(Protocol):
    """Grows a tree and rates the root's actions."""

    name: ClassVar[str]
    revision: ClassVar[int]
    """Above 1 if the same settings decided differently before."""

    def falls_short(self, first: int, hold: int) -> bool:
        """Whether the horizon is so near that a least number of actions counts instead.

        Args:
            first: frames the first action is held.
            hold: frames each other is held.
        """
        ...

    def grow(self, tree: Tree, rng: np.random.Generator, plan: Sequence[int]) -> None:
        """Spend the budget, or as much of it as is useful.

        Args:
            tree: a root so far.
            rng: for every choice that is made.
            plan: places of the actions that the last search meant to play, one a frame from now.
        """
        ...

    def rate(self, tree: Tree) -> list[Rating | None]:
        """The rating of each action of the root; None if it was not tried."""
        ...


@dataclass(frozen=True, slots=True)
class Rating:
    """The rating of an action."""

    rank: tuple[float, ...]
    """The action with the largest rank is played."""
    words: str
    branch: Sequence[Node] = ()
    """The best branch that begins with the action, if the method keeps one."""
    held: Sequence[Held] = ()
    """What was played after it without keeping nodes."""


class LooksAhead:
    """What looks a number of frames ahead, and a number of actions at least."""

    horizon: int
    """Emulator frames from the root."""
    depth: int
    """Actions, of at least 1."""

    def falls_short(self, first: int, hold: int) -> bool:
        """Whether play reaches the horizon before it has `depth` actions; see `Search`."""
        return first + (self.depth - 2) * hold >= self.horizon


@dataclass(frozen=True)
class RolloutIW(LooksAhead):
    """Rollout IW(1) (Bandres, Bonet and Geffner 2018, arXiv:1801.03354) on the memory's bytes.

    Every (byte, value) is an atom. A rollout picks actions at random and ends where a moment has
    no atom that was not seen as early or earlier in the tree; what is fully explored is not entered
    again. An action is worth the best discounted return of a branch below it. Where the original
    keeps the subtree of the action played, the first rollout follows the best branch of the last
    search, which the decision's queue holds. Where actions are so long that the horizon is less
    than `depth` of them, a rollout looks that many ahead and ends where a life is lost.
    """

    name: ClassVar[str] = "iw"
    revision: ClassVar[int] = 1

    horizon: int = 120
    """Emulator frames a rollout looks ahead."""
    depth: int = 16
    """Actions a rollout looks ahead at least, however long each is held."""

    def __post_init__(self) -> None:
        check_number("horizon", self.horizon, 1)
        check_number("depth", self.depth, 1)

    def grow(self, tree: Tree, rng: np.random.Generator, plan: Sequence[int]) -> None:
        """Roll out until the budget is spent or nothing new is left."""
        seen = Seen(tree.root)
        while not tree.root.solved and self.rollout(tree, seen, rng, plan):
            plan = ()

    def rollout(
        self,
        tree: Tree,
        seen: Seen,
        rng: np.random.Generator,
        plan: Sequence[int] = (),
        first: int | None = None,
    ) -> Node | None:
        """Descend once, to the node that is returned; None if the budget ends on the way.

        Args:
            tree: to grow.
            seen: what was seen in it.
            rng: chooses the actions.
            plan: places of actions to follow as far as it goes, one a frame.
            first: place of the root's action; None to choose it as any other.
        """
        node = tree.root
        deep = self.falls_short(tree.first, tree.hold)
        while True:
            place = node.open[int(rng.integers(len(node.open)))]
            if node.elapsed < len(plan) and plan[node.elapsed] in node.open:
                place = plan[node.elapsed]
            if node is tree.root and first is not None:
                place = first
            child = node.children[place]
            if child is None:
                child = tree.grow(node, place)
                if child is None:
                    return None
                novel = seen.add(child)
            else:  # another branch may have shown all of it earlier since
                novel = seen.still_novel(child)
            far = child.elapsed >= self.horizon and child.depth >= self.depth
            if child.over or not novel or far or (deep and child.gain.losses):
                _solve(child)
                return child
            node = child

    def rate(self, tree: Tree) -> list[Rating | None]:
        """By the best return below each action, in points."""
        best: dict[Node, float] = {}
        for node in reversed(tree.nodes):
            below = [best[child] for child in node.children if child]
            best[node] = tree.worth(node.gain) + node.fade * max(below, default=0.0)

        def branch(node: Node) -> Iterator[Node]:
            yield node
            while below := [child for child in node.children if child]:
                node = max(below, key=lambda child: best[child])
                yield node

        return [
            Rating((best[child],), f"worth {best[child]:.3g}", tuple(branch(child)))
            if child
            else None
            for child in tree.root.children
        ]


class Seen:
    """How early in the tree each atom was seen."""

    def __init__(self, root: Node) -> None:
        self._earliest = np.full(128 * 256, np.iinfo(np.int32).max, np.int32)
        self._earliest[_atoms(root)] = 0
        self._changes = 0
        self._looked: dict[Node, int] = {}
        """The number of changes before the last look at a node, which found it novel."""

    def add(self, node: Node) -> bool:
        """Add a new node; returns whether it has an atom that was not seen as early."""
        atoms = _atoms(node)
        earliest = self._earliest[atoms]
        novel = bool((earliest > node.depth).any())
        if novel:
            self._earliest[atoms] = np.minimum(earliest, node.depth)
            self._changes += 1
            self._looked[node] = self._changes
        return novel

    def still_novel(self, node: Node) -> bool:
        """Whether no other branch has seen all atoms of a novel node earlier since."""
        if self._looked[node] == self._changes:
            return True
        self._looked[node] = self._changes
        return bool((self._earliest[_atoms(node)] >= node.depth).any())


def _atoms(node: Node) -> NDArray[np.intp]:
    return _BYTES + node.memory


def _solve(node: Node) -> None:
    """Mark a node as solved, and every parent whose children are all solved."""
    node.solved = True
    while node.parent:
        node.parent.open.remove(node.place)
        node = node.parent
        if node.open:
            break
        node.solved = True


SIMULATIONS = 5
"""Simulations of UCT that a budget in frames suffices for, at least."""


class Reach(NamedTuple):
    """How far a simulation of UCT plays."""

    horizon: int
    """Emulator frames from the root after which no action begins."""
    to_a_loss: bool
    """Whether it ends where a life is lost."""


@dataclass(frozen=True)
class UCT(LooksAhead):
    """UCT (Kocsis and Szepesvari 2006), used as by Bellemare et al. 2013 (arXiv:1207.4708).

    A simulation goes down the tree by upper confidence bounds, tries one new action, and plays on
    at random up to the horizon. The action visited most is played. A simulation that the budget
    cuts short does not count unless it is the only one: what it would have lost is not seen. So
    that there are a few to compare, none looks farther than a fifth of the budget.

    Where actions are so long that the horizon is less than `depth` of them, a simulation looks that
    many ahead and ends where a life is lost. A budget is only a few such simulations, and the next
    decision would seldom find a good one again: its first simulation repeats the best one of the
    last search, which the decision's queue holds.
    """

    name: ClassVar[str] = "uct"
    revision: ClassVar[int] = 2

    horizon: int = 120
    """Emulator frames a simulation looks ahead."""
    exploration: float = 1.0
    """Weight of the confidence bound; the returns of the actions to choose from span 0 to 1."""
    depth: int = 16
    """Actions a simulation looks ahead at least, however long each is held."""

    def __post_init__(self) -> None:
        check_number("horizon", self.horizon, 1)
        check_number("depth", self.depth, 1)
        if not 0 <= self.exploration < math.inf:
            raise InvalidSetting(f"exploration is 0 or more, not {self.exploration!r}.")

    def grow(self, tree: Tree, rng: np.random.Generator, plan: Sequence[int]) -> None:
        """Simulate until the budget is spent."""
        idle, reach = 0, self._reach(tree)
        plan = plan if reach.to_a_loss else ()
        while idle <= len(tree.nodes):  # a tree that is whole up to the horizon has no more to say
            before = tree.spent
            if not self._simulation(tree, rng, plan, reach):
                return
            plan = ()
            idle = 0 if tree.spent > before else idle + 1

    def rate(self, tree: Tree) -> list[Rating | None]:
        """By visits, then by the mean return in points."""
        keeps_branch = self.falls_short(tree.first, tree.hold)

        def rated(child: Node) -> Rating:
            mean = tree.worth(child.total) / child.visits
            words = f"worth {mean:.3g} on average over {child.visits} visits"
            rank, best = (child.visits, mean), child.best
            if best is None or not keeps_branch:
                return Rating(rank, words)
            return Rating(rank, words, best.nodes(), best.held)

        children = tree.root.children
        return [rated(child) if child and child.visits else None for child in children]

    def _reach(self, tree: Tree) -> Reach:
        deep = self.falls_short(tree.first, tree.hold)
        horizon = tree.first + (self.depth - 1) * tree.hold if deep else self.horizon
        if tree.settings.budget is not None:
            horizon = min(horizon, max(tree.first, tree.settings.budget // SIMULATIONS))
        return Reach(horizon, deep)

    def _simulation(
        self, tree: Tree, rng: np.random.Generator, plan: Sequence[int], reach: Reach
    ) -> bool:
        horizon, to_a_loss = reach
        node = tree.root
        while not node.over and node.elapsed < horizon and not (to_a_loss and node.gain.losses):
            untried = [k for k, child in enumerate(node.children) if child is None]
            if untried:
                place = plan[0] if plan else untried[int(rng.integers(len(untried)))]
                child = tree.grow(node, place)
                if child is None:
                    return False
                ended = to_a_loss and child.gain.losses
                rest = Stretch() if ended else tree.wander(horizon, plan, to_a_loss=to_a_loss)
                if not rest.is_cut or not any(each and each.visits for each in tree.root.children):
                    _back_up(tree, child, rest)
                return not rest.is_cut
            node = self._chosen(node, tree, rng)
        _back_up(tree, node, Stretch())
        return True

    def _chosen(self, node: Node, tree: Tree, rng: np.random.Generator) -> Node:
        """The child with the largest bound; of several one at random.

        The first one in the list would be visited most where nothing is at stake.
        """
        children = [child for child in node.children if child]
        means = [tree.worth(child.total) / child.visits for child in children]
        low, span = min(means), max(means) - min(means)
        visits = math.log(sum(child.visits for child in children))

        def bound(k: int) -> float:
            value = (means[k] - low) / span if span else 0.0
            return value + self.exploration * math.sqrt(2 * visits / children[k].visits)

        bounds = [bound(k) for k in range(len(children))]
        largest = max(bounds)
        ties = [k for k, each in enumerate(bounds) if each == largest]
        return children[ties[int(rng.integers(len(ties)))]]


def _back_up(tree: Tree, leaf: Node, rest: Stretch) -> None:
    """Back up a simulation that played `rest` below its leaf; keep it if it is the best one."""
    first = node = leaf
    points, losses = rest.gain.points, rest.gain.losses
    while node.parent:
        points = node.gain.points + node.fade * points
        losses = node.gain.losses + node.fade * losses
        node.visits += 1
        node.total.points += points
        node.total.losses += losses
        first, node = node, node.parent
    gain = Gain(points, losses)
    if first.best is None or tree.worth(gain) > tree.worth(first.best.gain):
        first.best = Simulation(gain, leaf, rest.held)
