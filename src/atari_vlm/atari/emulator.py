"""One Atari machine: frames, sticky actions of our own, exact save and restore.

A thin layer over `ale_py.ALEInterface` with the dynamics of `ALE/<Game>-v5`. The emulator's own
sticky actions stay off, because its saved state does not hold the action they would repeat; the
repeats are drawn here instead, so a Snapshot restores exactly, in any process, and a seed plus the
plans replays a whole episode bit for bit.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ale_py
import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from atari_vlm.atari.games import Game
from atari_vlm.atari.images import PALETTES
from atari_vlm.errors import IllegalAction, InvalidSetting, StoreError, UnknownName, setting
from atari_vlm.types import Pixels

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

_RANK = np.array([((i & 15) << 4) | (i >> 4) for i in range(256)], np.uint8)
"""Palette index -> its place in order of brightness."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The whole machine at one moment; restores exactly into any Emulator of the same game."""

    game: str
    state: bytes
    """ALE's own state, without its random numbers (nothing draws them)."""
    last_action: int
    """What a sticky frame would repeat; ALE's state does not hold it."""
    screens: tuple[Pixels, Pixels]
    """The last two raw screens: a restore does not bring the picture back."""
    frame: int
    over: bool
    rng: dict[str, Any] | None
    """State of the generator that draws sticky actions; None in a snapshot for a search."""

    def without_rng(self) -> Snapshot:
        """The same moment with its future sticky actions unknown, for planning."""
        return replace(self, rng=None)

    def to_bytes(self) -> bytes:
        """Serialise; about 75 kB."""
        return pickle.dumps(tuple(getattr(self, name) for name in self.__slots__))

    @staticmethod
    def from_bytes(blob: bytes) -> Snapshot:
        """Read what `to_bytes` wrote. Only for files of your own: it is a pickle."""
        return Snapshot(*pickle.loads(blob))


class Emulator:
    """One console with one game in it.

    Args:
        game: what to load; unsafe ROMs have been refused by `get_game`.
        repeat_action_probability: sticky actions: how likely an emulator frame repeats the action
            of the frame before (Machado et al. 2018, arXiv:1709.06009).
        full_action_space: offer all 18 actions instead of the game's minimal set.
        max_frames: the episode is truncated after this many emulator frames.
        mode: ALE game mode; None for the default.
        difficulty: ALE difficulty switch; None for the default.
    """

    def __init__(
        self,
        game: Game,
        *,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        max_frames: int = 108_000,
        mode: int | None = None,
        difficulty: int | None = None,
    ) -> None:
        if not 0 <= repeat_action_probability <= 1:
            raise InvalidSetting(
                f"{setting('repeat_action_probability')} must be within 0 and 1, "
                f"not {repeat_action_probability}."
            )
        if max_frames < 1:
            raise InvalidSetting(f"An episode needs at least 1 frame, not {max_frames}.")
        self.game, self.max_frames = game, max_frames
        self.repeat_action_probability = repeat_action_probability
        self._ale = ale = ale_py.ALEInterface()
        ale.setFloat("repeat_action_probability", 0.0)  # ours instead; must precede loadROM
        ale.setInt("max_num_frames_per_episode", 0)  # counted here, where a snapshot holds it
        self._cartridge = game.name, mode, difficulty
        self._power_on()
        actions = ale.getLegalActionSet() if full_action_space else ale.getMinimalActionSet()
        self.legal: tuple[str, ...] = tuple(action.name for action in actions)
        """Legal action names; a name's place is its integer in `play`."""
        self._codes: list[int] = [action.value for action in actions]
        self._noop = 0
        self._pool: tuple[Pixels, NDArray[np.intp]] | None = None
        self.height, self.width = ale.getScreenDims()
        self.reset(seed=0)

    def _power_on(self) -> None:
        name, mode, difficulty = self._cartridge
        ale = self._ale
        ale.setInt("random_seed", 0)
        ale.loadROM(_rom(name))
        _choose("mode", mode, ale.getAvailableModes(), ale.setMode)
        _choose("difficulty", difficulty, ale.getAvailableDifficulties(), ale.setDifficulty)
        ale.reset_game()
        self._fresh, self._warm = True, False

    def reset(self, *, seed: int, power_cycle: bool = True) -> None:
        """Start an episode.

        Args:
            seed: decides every sticky action of it.
            power_cycle: begin from the state a new console has, so that the episode is that of its
                seed whatever was played before (about 0.1 s after play). False presses the
                console's reset only: in a quarter of the games, memory of the last episode stays.
        """
        if not power_cycle:
            self._ale.reset_game()
        elif not self._fresh:
            self._power_on()
        self._rng = Generator(PCG64(seed))
        self._last_action = self._noop
        self.frame, self._over, self._stale = 0, False, False
        screen = self._ale.getScreen()
        self._show(screen, screen)

    def play(self, action: int, frames: int, interval: int) -> float:
        """Hold `action` for `frames` emulator frames, then NOOP until `interval` frames passed.

        Args:
            action: place of the action in `legal`.
            frames: 1 to `interval`.
            interval: emulator frames until the next decision; stops early at the episode's end.

        Returns:
            The raw reward of these frames.
        """
        codes = self._plan(action, frames, interval)
        ale, rng, last, older = self._ale, self._rng, self._last_action, None
        reward = 0.0
        repeats = (rng.random(interval) < self.repeat_action_probability).tolist()
        ends = min(interval, self.max_frames - self.frame)
        for k in range(ends):
            if not repeats[k]:
                last = codes[k]
            reward += ale.act(last)
            if k == ends - 2:
                older = ale.getScreen()
            if ale.game_over(with_truncation=False):
                self._over = True
                ends = k + 1
                break
        # An interval of one frame pools with the frame before it, like any other.
        self._show(self._screens[1] if older is None else older, ale.getScreen())
        self._last_action, self._stale, self._fresh = last, False, False
        self.frame += ends
        return reward

    def _plan(self, action: int, frames: int, interval: int) -> list[int]:
        if self.over or self.frame >= self.max_frames:
            raise IllegalAction("The episode is over; reset before playing on.")
        # ALE takes any number silently, so an action out of range must not reach it.
        number = isinstance(action, int | np.integer) and not isinstance(action, bool)
        if not number or not 0 <= action < len(self._codes):
            choices = ", ".join(f"{i} {name}" for i, name in enumerate(self.legal))
            raise IllegalAction(
                f"{self.game.title} has no action {action!r}. Choose from: {choices}."
            )
        if not 1 <= frames <= interval:
            raise IllegalAction(
                f"A plan holds its action for 1 to {interval} frames, not {frames}."
            )
        return [self._codes[action]] * frames + [self._noop] * (interval - frames)

    @property
    def over(self) -> bool:
        """The game has ended."""
        return self._over

    @property
    def truncated(self) -> bool:
        """The frame limit ended the episode before the game did."""
        return not self._over and self.frame >= self.max_frames

    @property
    def lives(self) -> int:
        """Lives left; 0 in games that do not count them."""
        return int(self._ale.lives())

    @property
    def ram(self) -> Pixels:
        """The console's 128 bytes of memory, uint8."""
        return np.asarray(self._ale.getRAM(), dtype=np.uint8)

    def set_ram(self, address: int, value: int) -> None:
        """Write one byte of memory, for training on rare states; a replay cannot repeat it."""
        self._ale.setRAM(address, value)

    def _restore_state(self, state: Any) -> None:
        if not self._warm:
            # ALE 0.12.1's first restore misses part of the cartridge in Qbert and Tetris (fixed
            # upstream in PR #732); a frame played and a second restore get it right.
            self._ale.restoreState(state)
            self._ale.act(self._noop)
            self._warm = True
        self._ale.restoreState(state)
        self._fresh = False

    def screen(self, *, pooled: bool = True) -> Pixels:
        """The current screen as palette indices, shape (height, width), read-only.

        Args:
            pooled: the brighter of the last two raw screens, pixel by pixel. Many games draw a
                sprite on every other frame: Asteroids never shows ship and rocks in one raw screen
                at 4 frames a decision.
        """
        return self._pooled()[0] if pooled else self._screens[1]

    def screen_rgb(self, *, pooled: bool = True) -> Pixels:
        """The current screen in colour, shape (height, width, 3), uint8.

        ALE colours its own last screen in a third of the time a table takes; only pixels that
        pooling took from the screen before are looked up.
        """
        table = PALETTES[self.game.standard]
        if self._stale:
            return table[self.screen(pooled=pooled)]
        picture: Pixels = self._ale.getScreenRGB()
        if pooled:
            screen, places = self._pooled()
            picture.reshape(-1, 3)[places] = table[screen.reshape(-1)[places]]
        return picture

    def _pooled(self) -> tuple[Pixels, NDArray[np.intp]]:
        if self._pool is None:
            self._pool = pool(*self._screens)
            self._pool[0].flags.writeable = False
        return self._pool

    def _show(self, older: Pixels, newer: Pixels) -> None:
        newer.flags.writeable = False
        self._screens: tuple[Pixels, Pixels] = (older, newer)
        self._pool = None

    def save(self) -> Snapshot:
        """The whole machine as a value; about 0.1 ms."""
        return Snapshot(
            self.game.name,
            self._ale.cloneState().serialize(),
            self._last_action,
            self._screens,
            self.frame,
            self.over,
            dict(self._rng.bit_generator.state),
        )

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> None:
        """Go to a saved moment.

        Args:
            snapshot: of the same game, from any process.
            seed: of a new generator of sticky actions, needed for a snapshot without one.
        """
        if snapshot.game != self.game.name:
            raise StoreError(f"A snapshot of {snapshot.game!r} cannot go into {self.game.name!r}.")
        if snapshot.rng is None and seed is None:
            raise InvalidSetting("A snapshot without its random generator needs a seed.")
        if snapshot.frame == 0:  # where ALE 0.12.1's states miss part of some cartridges
            self.reset(seed=0)
        else:
            self._restore_state(ale_py.ALEState(snapshot.state))
        self._last_action = snapshot.last_action
        self._show(*snapshot.screens)
        self.frame, self._over = snapshot.frame, snapshot.over
        self._stale = True  # ALE shows the old picture until the next frame is played
        self._rng = Generator(PCG64(seed))
        if seed is None and snapshot.rng is not None:
            self._rng.bit_generator.state = snapshot.rng


def _rom(name: str) -> os.PathLike[Any]:
    try:
        path = ale_py.roms.get_rom_path(name)
    except OSError:  # ALE_ROMS_DIR is no folder
        path = None
    if path is None:
        raise UnknownName(
            f"ale-py has no ROM for {name!r}. Unset ALE_ROMS_DIR, or put the ROM there."
        )
    return path


def pool(older: Pixels, newer: Pixels) -> tuple[Pixels, NDArray[np.intp]]:
    """The brighter of two palette screens, pixel by pixel; invents no colour.

    A palette index is (hue << 4 | luminance); luminance decides, then hue. Usually a few sprites
    moved and only their pixels are compared, in about 10 microseconds.

    Returns:
        The pooled screen, and the (flat) places of the pixels it took from `older`.
    """
    before, pooled = older.reshape(-1), newer.reshape(-1).copy()
    changed = np.flatnonzero(before != pooled)
    was = before[changed]
    brighter = _RANK[was] > _RANK[pooled[changed]]
    places = changed[brighter]
    pooled[places] = was[brighter]
    return pooled.reshape(newer.shape), places


def _choose(what: str, value: int | None, offered: Sequence[int], setter: Any) -> None:
    if value is None:
        return
    if value not in offered:
        numbers = ", ".join(str(number) for number in offered)
        raise InvalidSetting(f"This game has no {what} {value}. It offers: {numbers}.")
    setter(value)
