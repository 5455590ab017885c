"""The Atari 2600 emulator: plans, sticky actions, screens, exact save and restore.

A thin layer over `ale_py.ALEInterface` with the dynamics of `ALE/<Game>-v5`. ALE's own sticky
actions are off, because its saved state does not hold the action they would repeat. They are drawn
here instead. A Snapshot therefore restores exactly in any process, and a seed and the plans replay
a whole episode bit for bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import finalize

import ale_py
import numpy as np
from numpy.random import PCG64, Generator

from atari_vlm.atari import consoles
from atari_vlm.atari.consoles import whole
from atari_vlm.atari.games import Game, get_game
from atari_vlm.atari.images import PALETTES
from atari_vlm.atari.pooling import POOLINGS, RAW, Pooled, Pooling, pooling_of
from atari_vlm.atari.restoring import UNRESTORABLE, put_back
from atari_vlm.atari.snapshot import Snapshot
from atari_vlm.errors import IllegalAction, InvalidSetting, StoreError, setting
from atari_vlm.options import check_number, check_switch
from atari_vlm.types import Pixels

NO_LIMIT = 10**12
"""Emulator frames that no episode reaches: 500 years of play."""


class Emulator:
    """A console with one game.

    Args:
        game: the game to load, from `get_game`, which refuses unsafe ROMs.
        repeat_action_probability: sticky actions: how likely an emulator frame repeats the action
            of the frame before (Machado et al. 2018, arXiv:1709.06009).
        full_action_space: use all 18 actions instead of the game's minimal set.
        max_frames: emulator frames after which an episode is truncated; None for no limit.
        mode: ALE game mode; None for the default.
        difficulty: ALE difficulty switch; None for the default.

    Raises:
        InvalidSetting: a value is out of range, or the game does not offer it.
        UnknownName: ale-py does not find the ROM.
    """

    def __init__(
        self,
        game: Game,
        *,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        max_frames: int | None = 108_000,
        mode: int | None = None,
        difficulty: int | None = None,
    ) -> None:
        sticky = repeat_action_probability
        check_number("repeat_action_probability", sticky, 0, 1, whole=False)
        check_switch("full_action_space", full_action_space)
        for name, number in (("mode", mode), ("difficulty", difficulty)):
            if number is not None:
                check_number(name, number, 0, 10_000)
        if max_frames is None:
            max_frames = NO_LIMIT
        if whole(max_frames) < 1:
            raise InvalidSetting(
                f"{setting('max_frames')} must be at least 1, not {max_frames!r}: a whole "
                "number of frames, or None for no limit."
            )
        self._settings = {
            "repeat_action_probability": repeat_action_probability,
            "full_action_space": full_action_space,
            "max_frames": max_frames,
            "mode": mode,
            "difficulty": difficulty,
        }
        self.game, self.max_frames = game, max_frames
        self.repeat_action_probability = repeat_action_probability
        self._cartridge = game.name, mode, difficulty
        self._parked: tuple[bytes, int] | None = None
        self._console: Any
        self._console, self._first_screen = consoles.ready(self._cartridge)
        self._fresh = True
        self._keep()
        ale = self._ale
        actions = ale.getLegalActionSet() if full_action_space else ale.getMinimalActionSet()
        self.legal: tuple[str, ...] = tuple(action.name for action in actions)
        """Legal action names; the index of a name is its integer in `play`."""
        self._codes: list[int] = [action.value for action in actions]
        self._noop = 0
        self._pictures: dict[Pooling, Pooled] = {}
        self.film: deque[Pixels] | None = None
        """Where `play` puts every raw screen; None for nowhere."""
        self.blank: Callable[[], Pixels] | None = None
        """Gives the array, of the size of a screen, that `play` draws the next raw screen into;
        None for a new one each time. Pictures are made of the last `RAW` of them."""
        self.height, self.width = ale.getScreenDims()
        self.reset(seed=0)

    def _keep(self) -> None:
        """Have a console until it is parked, or until nothing needs this emulator any more."""
        consoles.awake.add(self)
        self._end = finalize(self, consoles.give_back, self._cartridge, self._console, drawn=False)
        self._end.atexit = False

    def reset(self, *, seed: int, power_cycle: bool = True) -> None:
        """Start an episode.

        Args:
            seed: seeds the sticky actions of the episode.
            power_cycle: start from the state of a new console, so that the episode depends only on
                its seed. False presses the console's reset button only, which in a quarter of the
                games keeps memory of the last episode.
        """
        if not power_cycle:
            self._ale.reset_game()
            self._first_screen, self._fresh = None, False
        elif not self._fresh:
            self._first_screen = consoles.begin_again(self._ale, self._cartridge)
            self._fresh = True
        self._rng = Generator(PCG64(seed))
        self._last_action = self._noop
        self.frame, self._terminated = 0, False
        self._lives = int(self._ale.lives())
        self._stale = self._first_screen is not None
        screen = self._ale.getScreen() if self._first_screen is None else self._first_screen
        self._set_screens(screen, screen)

    def play(self, action: int, frames: int, interval: int) -> float:
        """Hold `action` for `frames` emulator frames, then NOOP until `interval` frames passed.

        Args:
            action: index of the action in `legal`.
            frames: 1 to `interval`.
            interval: emulator frames until the next decision; fewer if the episode ends before.

        Returns:
            The raw, unclipped reward of these frames.

        Raises:
            IllegalAction: the action or the number of frames is out of range, or the episode is
                over.
        """
        codes = self._codes_of(action, frames, interval)
        ale, rng, last = self._ale, self._rng, self._last_action
        reward, film = 0.0, self.film
        repeats = (rng.random(interval) < self.repeat_action_probability).tolist()
        ends = min(interval, self.max_frames - self.frame)
        raw: list[Pixels] = []
        first = ends - RAW
        for k in range(ends):
            if not repeats[k]:
                last = codes[k]
            reward += ale.act(last)
            if film is not None:
                film.append(ale.getScreen())
            if k >= first:
                raw.append(ale.getScreen() if self.blank is None else self._drawn(self.blank()))
            if ale.game_over(with_truncation=False):
                self._terminated = True
                ends = k + 1
                break
        if not raw:  # the game ended early in an interval of more than RAW frames
            raw.append(ale.getScreen() if self.blank is None else self._drawn(self.blank()))
        # A short interval is pooled with the last frames of those before it.
        self._set_screens(*self._screens, *raw)
        self._last_action, self._stale, self._fresh = last, False, False
        self._lives = int(ale.lives())
        self.frame += ends
        return reward

    def _drawn(self, blank: Pixels) -> Pixels:
        self._ale.getScreen(blank)
        return blank

    def _codes_of(self, action: int, frames: int, interval: int) -> list[int]:
        """ALE's code of the action for each frame of the interval."""
        if self.terminated or self.frame >= self.max_frames:
            raise IllegalAction("The episode is over. Call reset() first.")
        # ALE accepts any number without an error, so the range is checked here.
        index, held = whole(action), whole(frames)
        if not 0 <= index < len(self._codes):
            choices = ", ".join(f"{i} {name}" for i, name in enumerate(self.legal))
            raise IllegalAction(
                f"{self.game.title} has no action {action!r}. Choose from: {choices}."
            )
        if not 1 <= held <= interval:
            raise IllegalAction(
                f"A plan holds its action for 1 to {interval} frames, not {frames!r}."
            )
        return [self._codes[index]] * held + [self._noop] * (interval - held)

    @property
    def terminated(self) -> bool:
        """Whether the game has ended."""
        return self._terminated

    @property
    def truncated(self) -> bool:
        """Whether the frame limit ended the episode before the game did."""
        return not self._terminated and self.frame >= self.max_frames

    @property
    def lives(self) -> int:
        """Lives left; 0 in games that do not count them."""
        return self._lives

    @property
    def ram(self) -> Pixels:
        """The console's memory, shape (128,), uint8."""
        return np.asarray(self._ale.getRAM(), dtype=np.uint8)

    def set_ram(self, address: int, value: int) -> None:
        """Write one byte of memory, for training on rare states. A replay cannot repeat it."""
        self._ale.setRAM(address, value)
        self._fresh = False

    def screen(self, *, pooled: Pooling | bool = True) -> Pixels:
        """The current screen as palette indices, shape (height, width), read-only.

        Args:
            pooled: how it is made of the last raw screens, a name in `POOLINGS`. Many games draw a
                sprite only on some frames: at 4 frames per decision, no raw screen of Asteroids
                shows both ship and rocks. True is "brighter", False is "last".
        """
        return self._picture(pooled)[0]

    @property
    def raw_screens(self) -> tuple[Pixels, ...]:
        """The last raw screens that pictures are made of, oldest first; the first one is twice."""
        return self._screens

    def screen_rgb(self, *, pooled: Pooling | bool = True) -> Pixels:
        """The current screen in colour, shape (height, width, 3), uint8.

        ALE colours its last screen in a third of the time of a table lookup. Only the pixels that
        pooling took from the screens before it are looked up.
        """
        table = PALETTES[self.game.standard]
        screen, indices = self._picture(pooled)
        if self._stale:
            return table[screen]
        colours: Pixels = self._ale.getScreenRGB()
        if indices.size:
            colours.reshape(-1, 3)[indices] = table[screen.reshape(-1)[indices]]
        return colours

    def _picture(self, pooled: Pooling | bool) -> Pooled:
        pooling = pooling_of(pooled)
        if pooling not in self._pictures:
            self._pictures[pooling] = picture = POOLINGS[pooling](self._screens)
            picture[0].flags.writeable = False
        return self._pictures[pooling]

    def _set_screens(self, *screens: Pixels) -> None:
        screens[-1].flags.writeable = False
        self._screens: tuple[Pixels, ...] = screens[-RAW:]
        self._pictures = {}

    def park(self) -> None:
        """Give the console back while the game waits, if many games are awake.

        Whatever needs it later borrows one and goes on exactly where the game was. Games whose
        states do not hold everything keep theirs.
        """
        if len(consoles.awake) <= consoles.AWAKE or self._console is None:
            return
        if self.film is not None or self.game.name in UNRESTORABLE:
            return
        self._parked = self._console.cloneState().serialize(), self.frame
        self._end.detach()
        consoles.give_back(self._cartridge, self._console, drawn=self.frame > 0)
        consoles.awake.discard(self)
        self._console, self._stale = None, True

    @property
    def _ale(self) -> Any:
        """The console; a parked game borrows one."""
        if self._console is None:
            self._wake()
        return self._console

    def _wake(self) -> None:
        assert self._parked is not None
        shared, (state, frame) = consoles.take(self._cartridge), self._parked
        self._console, drawn = shared or (consoles.ready(self._cartridge)[0], False)
        self._keep()
        self._restore_state(state, frame, drawn=drawn)
        self._parked = None

    def save(self) -> Snapshot:
        """Save the whole state; about 0.1 ms."""
        return Snapshot(
            self.game.name,
            self._ale.cloneState().serialize(),
            self._last_action,
            self._screens,
            self.frame,
            self.terminated,
            dict(self._rng.bit_generator.state),
        )

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> None:
        """Restore a saved state.

        Args:
            snapshot: of the same game, from any process.
            seed: seeds a new generator of sticky actions, required for a snapshot without one.

        Raises:
            StoreError: the snapshot is of another game.
            InvalidSetting: neither the snapshot nor `seed` determines the sticky actions.
        """
        if not isinstance(snapshot, Snapshot):
            raise InvalidSetting(
                "An emulator restores what Emulator.save() returned, not a value of type "
                f"{type(snapshot).__name__}."
            )
        if snapshot.game != self.game.name:
            raise StoreError(f"A snapshot of {snapshot.game!r} cannot go into {self.game.name!r}.")
        if snapshot.rng is None and seed is None:
            raise InvalidSetting("A snapshot without its random generator needs a seed.")
        self._restore_state(snapshot.state, snapshot.frame, drawn=self.frame > 0)
        self._last_action = snapshot.last_action
        self._set_screens(*snapshot.screens)
        self.frame, self._terminated = snapshot.frame, snapshot.terminated
        self._lives = int(self._ale.lives())
        self._stale = True  # ALE's screen is the old one until the next frame is played
        self._rng = Generator(PCG64(seed))
        if seed is None and snapshot.rng is not None:
            self._rng.bit_generator.state = snapshot.rng

    def _restore_state(self, blob: bytes, frame: int, *, drawn: bool) -> None:
        put_back(self._ale, self.game.name, ale_py.ALEState(blob), frame, drawn=drawn)
        self._fresh = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as settings and a Snapshot."""
        return _restored, (self.game.name, self._settings, self.save(), self.film)


def _restored(
    game: str, settings: dict[str, Any], snapshot: Snapshot, film: deque[Pixels] | None
) -> Emulator:
    emulator = Emulator(get_game(game), **settings)
    emulator.restore(snapshot)
    emulator.film = film
    return emulator
