"""What a search tree is made of: moments of the game, and how play came to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from atari_vlm.atari.simulator import SimulatorState
from atari_vlm.types import Pixels


@dataclass(slots=True, eq=False)
class Gain:
    """Points and lost lives of a stretch of play, discounted to its start."""

    points: float = 0.0
    losses: float = 0.0


@dataclass(slots=True, eq=False)
class Node:
    """A moment of the simulated game."""

    parent: Node | None
    place: int
    """Index of the action that led here, in the legal list."""
    depth: int
    """Actions from the root."""
    elapsed: int
    """Emulator frames from the root."""
    memory: Pixels
    """The console's 128 bytes."""
    children: list[Node | None]
    """By index of the action in the legal list; None if it was not tried."""
    state: SimulatorState | None = None
    """Saved when play goes on from here or leaves; a moment that is never returned to has none."""
    gain: Gain = field(default_factory=Gain)
    """Of the edge that leads here."""
    fade: float = 1.0
    """Discount factor from here to the parent."""
    over: bool = False
    solved: bool = False
    """Rollout IW: nothing new can be found below."""
    open: list[int] = field(init=False)
    """Rollout IW: the actions, by index, below which something new may be found."""
    visits: int = 0
    """UCT: number of simulations through this node."""
    total: Gain = field(default_factory=Gain)
    """UCT: sum of the gains of those simulations, discounted to the parent."""
    best: Simulation | None = None
    """UCT: the best of those simulations; kept for the root's children."""

    def __post_init__(self) -> None:
        self.open = [*range(len(self.children))]


class Held(NamedTuple):
    """An action that was held and of which no node is kept."""

    place: int
    """Index of the action, in the legal list."""
    elapsed: int
    """Emulator frames from the root to where it ends."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was played without keeping nodes."""

    gain: Gain = field(default_factory=Gain)
    """Discounted to where it begins."""
    held: Sequence[Held] = ()
    is_cut: bool = False
    """Whether the budget ended before it did."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One way to play on from the root."""

    gain: Gain
    """Discounted to the root."""
    leaf: Node
    """The last of its nodes."""
    held: Sequence[Held]
    """What was played after it."""

    def nodes(self) -> list[Node]:
        """Its nodes, from the root's child on."""
        nodes, node = list[Node](), self.leaf
        while node.parent:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]
