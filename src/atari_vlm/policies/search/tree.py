"""The search tree, grown in a console of its own without the random generator of the real game.

A node is a moment of the game, an edge an action held for some frames. Frames are counted, and the
budget of a decision is never exceeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from time import thread_time

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.atari.simulator import Simulator
from atari_vlm.atari.snapshot import Snapshot
from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.search.nodes import Gain, Held, Node, Stretch
from atari_vlm.types import Observation, Plan

_ALONE = Lock()
"""Searches in threads take turns: they share the consoles, and ALE never releases the GIL."""


LONGEST = 3600
"""Most seconds of CPU time for one decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Budget and objective of a search."""

    budget: int | None = 3000
    """Most emulator frames simulated for one decision; None if time alone limits it."""
    seconds: float | None = None
    """Most CPU time of one decision; it is exceeded by one action at most. None for no limit. The
    same seed then decides differently on another machine."""
    hold: int | None = None
    """Frames each action after the first is held; None for the interval between decisions."""
    discount: float = 0.999
    """Discount factor of a reward per emulator frame: 0.94 after a second."""
    life_penalty: float = 10.0
    """Cost of a lost life, as a multiple of the largest reward in the search (of 1 if none was)."""
    sticky: float = 0.0
    """Probability that a simulated frame repeats the action before, drawn by the search itself."""

    def __post_init__(self) -> None:
        timed = self.budget is None and self.seconds is not None
        if not timed and not (type(self.budget) is int and self.budget >= 1):
            raise InvalidSetting(
                f"A search's budget must be a whole number of at least 1, not {self.budget!r}: "
                "emulator frames simulated for a decision."
            )
        if self.seconds is not None and not 0 < self.seconds <= LONGEST:
            raise InvalidSetting(
                f"A search has a time of above 0 and at most {LONGEST:,} seconds for a decision, "
                f"not {self.seconds!r}."
            )
        if self.hold is not None:
            check_number("hold", self.hold, 1)
        if not 0 < self.discount <= 1:
            raise InvalidSetting(
                f"The discount of a frame is above 0 and at most 1, not {self.discount!r}."
            )
        if not 0 <= self.life_penalty < float("inf"):
            raise InvalidSetting(f"The life penalty is 0 or more, not {self.life_penalty!r}.")
        if not 0 <= self.sticky <= 1:
            raise InvalidSetting(
                f"The sticky probability must be within 0 and 1, not {self.sticky!r}."
            )

    def check_interval(self, frames: int) -> None:
        """Raise InvalidSetting if the budget is below one decision of so many frames."""
        if self.budget is not None and self.budget < frames:
            raise InvalidSetting(
                f"A search budget of {self.budget} frames is less than one decision of {frames} "
                "frames; raise the budget."
            )


class Tree:
    """Grows by playing in a Simulator, until the budget is spent.

    Args:
        simulator: plays for the search alone.
        observation: where the search starts.
        settings: budget and wishes.
        rng: seeds the search's own sticky actions.
        moves: plans to choose from at the root; None for every action, held for the interval.
    """

    def __init__(
        self,
        simulator: Simulator,
        observation: Observation,
        settings: SearchSettings,
        rng: np.random.Generator,
        moves: Sequence[Plan] | None = None,
    ) -> None:
        self._simulator, self._rng, self.settings = simulator, rng, settings
        self._until = None if settings.seconds is None else thread_time() + settings.seconds
        self._codes = [simulator.legal.index(action) for action in observation.legal]
        self.first = observation.interval
        """Frames the first action is held."""
        self._moves = [
            (observation.legal.index(action), frames)
            for action, frames in moves or [Plan(each, self.first) for each in observation.legal]
        ]
        self._noop = simulator.legal.index("NOOP")
        self.hold = settings.hold or observation.interval
        """Frames every other action is held."""
        self.actions = len(self._codes)
        self.spent = 0
        """Frames simulated so far."""
        self.largest = 0.0
        """The largest absolute reward seen so far."""
        self.uneventful = True
        """Whether neither a reward nor a lost life was seen so far."""
        state = simulator.begin(observation.state, seed=self._seed())
        self.root = Node(None, 0, 0, 0, simulator.ram, [None] * len(self._moves), state)
        self.nodes = [self.root]
        """Parents before their children."""
        self._at: Node | None = self.root

    def grow(self, node: Node, place: int) -> Node | None:
        """Try an action at a node for the first time; None if the budget does not suffice."""
        if not self._affords(self._frames(node.depth)):
            return None
        self._go(node)
        before = self.spent
        gain = self._play(place, self.hold) if node.depth else self._begin(*self._moves[place])
        child = Node(
            node,
            place,
            node.depth + 1,
            node.elapsed + self.spent - before,
            self._simulator.ram,
            [None] * self.actions,
            None,
            gain,
            self.settings.discount ** (self.spent - before),
            self._simulator.terminated,
        )
        node.children[place] = self._at = child
        self.nodes.append(child)
        return child

    def wander(self, horizon: int, plan: Sequence[int] = (), *, to_a_loss: bool = False) -> Stretch:
        """Play at random from the node grown last, and keep no nodes.

        Args:
            horizon: emulator frames from the root after which no action begins.
            plan: places of actions to play instead as far as it goes, one a frame from the root.
            to_a_loss: whether to end where a life is lost.
        """
        self._leave()
        elapsed, start = self.nodes[-1].elapsed, self.spent
        total, held = Gain(), list[Held]()
        while elapsed < horizon and not self._simulator.terminated:
            if not self._affords(self.hold):
                return Stretch(total, held, is_cut=True)
            begun = self.spent
            place = plan[elapsed] if elapsed < len(plan) else int(self._rng.integers(self.actions))
            gain = self._play(place, self.hold)
            fade = self.settings.discount ** (begun - start)
            total.points += fade * gain.points
            total.losses += fade * gain.losses
            elapsed += self.spent - begun
            held.append(Held(place, elapsed))
            if to_a_loss and gain.losses:
                break
        return Stretch(total, held)

    def follow(self, place: int, rest: Sequence[tuple[int, int]]) -> tuple[int, Gain]:
        """Play one of the moves and then given actions from the root, and keep no nodes.

        Args:
            place: of the move.
            rest: the actions after it: (place, frames).

        Returns:
            The frames from the root that the budget sufficed for, and the gain of them.
        """
        self._leave()
        self._go(self.root)
        self._at = None
        start, total = self.spent, Gain()
        for step, (each, frames) in enumerate([(place, self.first), *rest]):
            if self._simulator.terminated or not self._affords(frames):
                break
            fade = self.settings.discount ** (self.spent - start)
            gain = self._play(each, frames) if step else self._begin(*self._moves[each])
            total.points += fade * gain.points
            total.losses += fade * gain.losses
        return self.spent - start, total

    def worth(self, gain: Gain) -> float:
        """Points minus the cost of the lost lives."""
        return gain.points - self.settings.life_penalty * (self.largest or 1.0) * gain.losses

    def _affords(self, frames: int) -> bool:
        budget = self.settings.budget
        if budget is not None and budget - self.spent < frames:
            return False
        return self._until is None or not self.spent or thread_time() < self._until

    def _begin(self, place: int, frames: int) -> Gain:
        """Play a plan at the root: its action, then NOOP until the interval ends."""
        gain = self._play(place, frames)
        if frames < self.first and not self._simulator.terminated:
            rest = self._run(self._noop, self.first - frames)
            gain = Gain(gain.points + rest.points, gain.losses + rest.losses)
        return gain

    def _frames(self, depth: int) -> int:
        return self.hold if depth else self.first

    def _go(self, node: Node) -> None:
        """Be at a node, with its state saved."""
        if self._at is node:
            self._save(node)
            return
        self._leave()
        assert node.state is not None
        self._simulator.restore(node.state, seed=self._seed())

    def _leave(self) -> None:
        """Save the state of the node where play is, unless nothing will be played from it."""
        if self._at and not (self._at.over or self._at.solved):
            self._save(self._at)
        self._at = None

    def _save(self, node: Node) -> None:
        if node.state is None:
            node.state = self._simulator.save()

    def _seed(self) -> int:
        # Dice that a snapshot might hold are never read: sticky actions here have a seed of ours.
        return int(self._rng.integers(2**63))

    def _play(self, place: int, frames: int) -> Gain:
        return self._run(self._codes[place], frames)

    def _run(self, code: int, frames: int) -> Gain:
        simulator = self._simulator
        frame, lives = simulator.frame, simulator.lives
        reward = simulator.play(code, frames)
        self.spent += simulator.frame - frame
        self.largest = max(self.largest, abs(reward))
        losses = max(0, lives - simulator.lives)
        if reward or losses:
            self.uneventful = False
        return Gain(reward, float(losses))


@contextmanager
def tree(
    observation: Observation,
    settings: SearchSettings,
    rng: np.random.Generator,
    moves: Sequence[Plan] | None = None,
) -> Iterator[Tree]:
    """A tree rooted at an observation, in a console reserved for it until the block ends.

    Raises:
        InvalidSetting: the observation has no emulator state, or the budget is below one decision.
    """
    if observation.state is None:
        raise InvalidSetting(
            "A search needs an observation with the emulator's state; its policy's privileges "
            "must include 'emulator'."
        )
    settings.check_interval(observation.interval)
    with _ALONE:
        simulator = _simulator(observation.game, settings.sticky)  # before the time begins
        yield Tree(simulator, observation, settings, rng, moves)


def without_screens(observation: Observation) -> Observation:
    """What a search needs of an observation, which is short to send to another process."""
    state = observation.state
    if isinstance(state, Snapshot):
        state = replace(state, screens=())
    return replace(observation, frames=(), state=state)


@lru_cache(maxsize=4)
def _simulator(game: str, sticky: float) -> Simulator:
    """A console to search in; it takes 0.15 s to create."""
    return Simulator(get_game(game), repeat_action_probability=sticky)
