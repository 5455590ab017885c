"""The last screens of a game at a steady rate, as a video model reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from atari_vlm.atari.pooling import RAW, Pooling, brighter, flicker
from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.types import Pixels

RATES = tuple(rate for rate in range(1, 61) if 60 % rate == 0)
"""Screens a second that are a whole number of emulator frames apart."""


def last_screens(
    film: Iterable[Pixels], n: int, *, fps: int, kept: int, table: Pixels, pooled: Pooling
) -> Pixels:
    """The last `n` screens in colour, shape (n, height, width, 3), uint8, oldest first.

    Args:
        film: the last raw screens, one an emulator frame, oldest first.
        n: number of screens.
        fps: screens a second of play, of 60 emulator frames.
        kept: emulator frames that the film holds at most.
        table: RGB of every palette index.
        pooled: how each screen is made: "brighter" from the frames since the one before.

    Raises:
        InvalidSetting: the rate does not divide 60, or the film is too short.
    """
    if fps not in RATES:
        numbers = ", ".join(map(str, RATES))
        raise InvalidSetting(f"fps must divide the console's 60 frames a second: {numbers}.")
    every = 60 // fps
    if n * every > kept:
        raise InvalidSetting(
            f"{n} screens at {fps} a second are the last {n * every} emulator frames, and this "
            f"environment keeps {kept}. Make it with {setting('keep_screens', n * every)}."
        )
    frames = list(film)
    frames = [frames[0]] * (n * every - len(frames)) + frames
    ends = range(len(frames) - n * every + every, len(frames) + 1, every)
    screens = [frames[end - 1] for end in ends]
    for k, end in enumerate(ends):
        if pooled == "brighter":
            for older in frames[end - every : end - 1]:
                screens[k] = brighter((older, screens[k]))[0]
        elif pooled == "flicker":
            screens[k] = flicker(frames[max(0, end - RAW) : end])[0]
    coloured: Pixels = table[np.stack(screens)]
    return coloured
