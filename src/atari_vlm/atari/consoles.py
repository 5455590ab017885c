"""Consoles that many games share: a game that waits for its turn is parked as a saved state.

A console takes 0.5 MB and a tenth of a second to switch on; a saved state takes 8 kB and 0.1 ms. So
up to `AWAKE` games of a process keep a console each, and the others borrow one for their turn. A
console that a game no longer needs begins the next one from the state in which it was switched on.
"""

from __future__ import annotations

import operator
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakSet

import ale_py

from atari_vlm.atari.restoring import UNRESTORABLE
from atari_vlm.errors import InvalidSetting, UnknownName, setting
from atari_vlm.types import Pixels

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

AWAKE = 64
"""Games that keep a console while they wait; those that come later are parked."""

Cartridge = tuple[str, int | None, int | None]
"""Game, mode and difficulty."""

awake: WeakSet[Any] = WeakSet()
"""The emulators that have a console."""

SPARE = 8
"""Consoles without a game that a process keeps."""


class _Beginning(NamedTuple):
    """A game on a console that was just switched on."""

    state: bytes
    screen: Pixels


_free: dict[Cartridge, list[tuple[Any, bool]]] = defaultdict(list)
_beginnings: dict[Cartridge, _Beginning] = {}


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
    for other in [*_free]:  # those of the cartridges that came first go first
        if sum(map(len, _free.values())) <= SPARE:
            break
        _free.pop(other, None)


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
    if cartridge not in _beginnings:
        screen = console.getScreen()
        screen.flags.writeable = False
        _beginnings[cartridge] = _Beginning(console.cloneState().serialize(), screen)


def begin_again(console: Any, cartridge: Cartridge) -> Pixels | None:
    """Put a console that has this game into the state of a new one, in a hundredth of the time.

    The reset button alone would not do: in a quarter of the games memory of the last episode stays.

    Returns:
        The screen of a new console, which ALE shows only after a frame is played; None if this one
        was switched on anew, and shows it.
    """
    beginning = _beginnings.get(cartridge)
    if beginning is None or cartridge[0] in UNRESTORABLE:
        switch_on(console, cartridge)
        return None
    console.reset_game()
    console.restoreState(ale_py.ALEState(beginning.state))
    return beginning.screen


def ready(cartridge: Cartridge) -> tuple[Any, Pixels | None]:
    """A console as if it were new, and its screen if ALE does not show it; see `begin_again`.

    Raises:
        UnknownName, InvalidSetting: as `switch_on`.
    """
    if shared := take(cartridge):
        return shared[0], begin_again(shared[0], cartridge)
    console = new()
    switch_on(console, cartridge)
    return console, None


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
