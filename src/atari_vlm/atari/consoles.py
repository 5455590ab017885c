"""Consoles that many games share: a game that waits for its turn is parked as a saved state.

A console takes 0.5 MB and a tenth of a second to switch on; a saved state takes 8 kB and 0.1 ms. So
up to `AWAKE` games of a process keep a console each, and the others borrow one for their turn.
"""

from __future__ import annotations

import operator
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import ale_py

from atari_vlm.errors import InvalidSetting, UnknownName, setting

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

AWAKE = 64
"""Games that keep a console while they wait; those that come later are parked."""

Cartridge = tuple[str, int | None, int | None]
"""Game, mode and difficulty."""

awake: WeakSet[Any] = WeakSet()
"""The emulators that have a console."""

_free: dict[Cartridge, list[tuple[Any, bool]]] = defaultdict(list)


def take(cartridge: Cartridge) -> tuple[Any, bool] | None:
    """A console that another game gave back, and whether it has drawn a frame; None without one."""
    try:
        return _free[cartridge].pop()
    except IndexError:
        return None


def give_back(cartridge: Cartridge, console: Any, *, drawn: bool) -> None:
    """Leave a console to other games of the same cartridge; any beyond a few are switched off."""
    if len(_free[cartridge]) < 2:
        _free[cartridge].append((console, drawn))


def new() -> Any:
    """A console without a cartridge, whose sticky actions are off."""
    console = ale_py.ALEInterface()
    console.setFloat("repeat_action_probability", 0.0)  # must precede loadROM
    console.setInt("max_num_frames_per_episode", 0)  # counted by `frame`, which a Snapshot holds
    return console


def switch_on(console: Any, cartridge: Cartridge) -> None:
    """Load a game, in the state of a new console.

    Raises:
        UnknownName: ale-py does not find the ROM.
        InvalidSetting: the game does not offer the mode or the difficulty.
    """
    name, mode, difficulty = cartridge
    console.setInt("random_seed", 0)
    console.loadROM(_rom(name))
    _choose("mode", mode, console.getAvailableModes(), console.setMode)
    _choose("difficulty", difficulty, console.getAvailableDifficulties(), console.setDifficulty)
    console.reset_game()


def whole(value: Any) -> int:
    """A whole number of any kind as an int, a NumPy scalar or 0-d array too; -1 for anything else.

    True and False are no numbers here.
    """
    try:
        return -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return -1


def _rom(name: str) -> os.PathLike[Any]:
    try:
        path = ale_py.roms.get_rom_path(name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # of ALE_ROMS_DIR
        path = None
    if path is None:
        raise UnknownName(
            f"ale-py has no ROM for {name!r}. Unset ALE_ROMS_DIR, or put the ROM into its folder."
        )
    return path


def _choose(name: str, value: int | None, offered: Sequence[int], setter: Any) -> None:
    if value is None:
        return
    if whole(value) not in offered:
        numbers = ", ".join(str(number) for number in offered)
        raise InvalidSetting(f"This game has no {setting(name)} {value!r}. It offers: {numbers}.")
    setter(whole(value))
