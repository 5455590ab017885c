"""A console for searches: it plays without reading screens, and keeps states without serialising.

It plays as an `Emulator` of the same game does, frame for frame, at the speed of ALE itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import finalize

import ale_py
import numpy as np
from numpy.random import PCG64, Generator

from atari_vlm.atari import consoles
from atari_vlm.atari.games import Game
from atari_vlm.atari.restoring import put_back
from atari_vlm.atari.snapshot import Snapshot
from atari_vlm.errors import StoreError
from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class SimulatorState:
    """A state that a Simulator can go back to, within this process."""

    ale: Any
    """ALE's own state, without its random generator, as an object: a third of the cost of bytes."""
    last_action: int
    """ALE code of the last action, which a sticky frame repeats."""
    frame: int
    """Emulator frames since the start of the episode."""

    @staticmethod
    def of(snapshot: Snapshot) -> SimulatorState:
        """The state of a snapshot; its random generator, if it has one, is left out."""
        return SimulatorState(ale_py.ALEState(snapshot.state), snapshot.last_action, snapshot.frame)


class Simulator:
    """A console with one game, for a search alone.

    It has no frame limit and no screens, and offers all 18 actions.

    Args:
        game: the game to load, from `get_game`.
        repeat_action_probability: sticky actions, drawn from the seeds given to `restore`.
    """

    def __init__(self, game: Game, *, repeat_action_probability: float = 0.0) -> None:
        self.game, self._sticky = game, repeat_action_probability
        cartridge = (game.name, None, None)
        self._ale, _ = consoles.ready(cartridge)
        finalize(self, consoles.give_back, cartridge, self._ale, drawn=False).atexit = False
        ale = self._ale
        actions = ale.getLegalActionSet()
        self.legal: tuple[str, ...] = tuple(action.name for action in actions)
        """Action names; the index of a name is its integer in `play`."""
        self._codes: list[int] = [action.value for action in actions]
        self._rng: Generator | None = None
        self._last_action = self._seed = 0
        self.frame = 0
        """Emulator frames since the start of the episode."""
        self.terminated = False
        """Whether the game has ended."""

    @property
    def lives(self) -> int:
        """Lives left; 0 in games that do not count them."""
        return int(self._ale.lives())

    @property
    def ram(self) -> Pixels:
        """The console's memory, shape (128,), uint8."""
        return np.asarray(self._ale.getRAM())

    def play(self, action: int, frames: int) -> float:
        """Hold an action for some emulator frames, or until the game ends; returns the reward.

        Args:
            action: index of the action in `legal`.
            frames: 1 or more.
        """
        act, game_over, code = self._ale.act, self._ale.game_over, self._codes[action]
        if self._sticky:
            return self._play_sticky(code, frames)
        reward, played = 0, 0
        while played < frames:
            reward += act(code)
            played += 1
            if game_over():
                self.terminated = True
                break
        self._last_action = code
        self.frame += played
        return float(reward)

    def _play_sticky(self, code: int, frames: int) -> float:
        if self._rng is None:
            self._rng = Generator(PCG64(self._seed))
        reward, played, last = 0, 0, self._last_action
        for repeats in (self._rng.random(frames) < self._sticky).tolist():
            last = last if repeats else code
            reward += self._ale.act(last)
            played += 1
            if self._ale.game_over():
                self.terminated = True
                break
        self._last_action = last
        self.frame += played
        return float(reward)

    def save(self) -> SimulatorState:
        """The state of now; about 0.04 ms."""
        return SimulatorState(self._ale.cloneState(), self._last_action, self.frame)

    def restore(self, state: SimulatorState, *, seed: int) -> None:
        """Go back to a state in which the game was not over.

        Args:
            state: of the same game.
            seed: seeds the sticky actions from here on.
        """
        put_back(self._ale, self.game.name, state.ale, state.frame, drawn=self.frame > 0)
        self._last_action, self.frame = state.last_action, state.frame
        self.terminated = False
        self._seed, self._rng = seed, None

    def begin(self, snapshot: Snapshot, *, seed: int) -> SimulatorState:
        """Go to the moment of a snapshot, which is returned as a state.

        Raises:
            StoreError: the snapshot is of another game.
        """
        if snapshot.game != self.game.name:
            raise StoreError(f"A snapshot of {snapshot.game!r} cannot go into {self.game.name!r}.")
        state = SimulatorState.of(snapshot)
        self.restore(state, seed=seed)
        return state
