"""Pooling: one picture of the last raw screens, so that sprites that flicker are seen.

The Atari 2600 draws few sprites a line. Games with more draw them in turns: the ship of Asteroids
on every other frame, each ghost of Pacman on every fourth, each monster of Wizard of Wor on every
second to sixth. A person sees them all. One raw screen shows some of them, and the brighter pixels
of several screens show them all, but with a trail behind everything that moves.
`benchmarks/flicker.py` measures both faults in every game.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.types import Pixels

Pooling: TypeAlias = Literal["flicker", "brighter", "last"]
"""How a picture is made of raw screens; see `POOLINGS`."""

RAW = 8
"""Raw screens that a picture may be made of."""

DEFAULT: Pooling = "flicker"

Pooled: TypeAlias = tuple[Pixels, NDArray[np.intp]]
"""A picture, and the flat indices of the pixels in which it differs from the newest screen."""

_BRIGHTNESS = np.array([((i & 15) << 4) | (i >> 4) for i in range(256)], np.uint8)
"""Palette index (hue << 4 | luminance) -> its rank by luminance, then hue."""

_NONE = np.empty(0, np.intp)


def last(screens: Sequence[Pixels]) -> Pooled:
    """The newest raw screen, as `ALE/<Game>-v5` shows it."""
    return screens[-1], _NONE


def brighter(screens: Sequence[Pixels]) -> Pooled:
    """The brighter pixels of the last two raw screens.

    The higher luminance wins, then the higher hue. Only pixels that differ are compared, which
    takes about 10 microseconds.
    """
    older, newer = screens[-2:]
    before, pooled = older.reshape(-1), newer.reshape(-1).copy()
    changed = np.flatnonzero(before != pooled)
    was = before[changed]
    wins = _BRIGHTNESS[was] > _BRIGHTNESS[pooled[changed]]
    indices = changed[wins]
    pooled[indices] = was[wins]
    return pooled.reshape(newer.shape), indices


LONGEST = 5
"""Frames after which a sprite that is not drawn again is gone. With six monsters on the screen,
Wizard of Wor draws each on every sixth frame."""

NEAR = 4
"""A sprite has moved, and not gone, if its colour changes a pixel at most so far away."""

LARGEST = 2_100
"""Most pixels that reappear (a sixteenth of the screen): more is a flash."""


def flicker(screens: Sequence[Pixels]) -> Pooled:
    """The newest raw screen, and the sprites that are missing in it because they flicker.

    If nothing in the last eight screens comes, goes and comes again, nothing flickers, and the
    newest screen is the picture. Otherwise a pixel of an older screen, at most `LONGEST` frames
    old, is shown again if

    - it was drawn briefly: before, its place looked as it does now, as it did in more than half of
      the screens (in just half, if it is the brighter of the two), and
    - its sprite is gone, not moved: in no later screen is its colour among the pixels that change
      within `NEAR` of it.

    So a ghost stays in view until its next turn, and a ball leaves no trail. Takes about 45
    microseconds, and 150 more where something flickers.
    """
    newest = screens[-1]
    # Screens are compared 8 pixels at a time, as words; newest first.
    words = [screen.reshape(-1).view(np.uint64) for screen in reversed(screens)]
    differs = np.empty((len(words) - 1, words[0].size), bool)
    for older, differ in zip(words[1:], differs, strict=True):
        np.not_equal(older, words[0], out=differ)
    places = np.flatnonzero(np.bitwise_or.reduce(differs.view(np.uint32)).view(bool))
    if not _RETURNS[_patterns_of(differs.take(places, axis=1))].any():
        return newest, _NONE
    recent = np.stack([word[places] for word in words]).view(np.uint8)
    pattern = _patterns_of(recent[1:] != recent[0])
    found = np.flatnonzero(_ASKED[pattern])
    if found.size:
        found = _gone(recent, pattern, places, found, newest.shape)
    if not 0 < found.size <= LARGEST:
        return newest, _NONE
    picture, indices = newest.reshape(-1).copy(), places[found >> 3] * 8 + (found & 7)
    picture[indices] = recent[_AGES[pattern[found]], found]
    return picture.reshape(newest.shape), indices


def _patterns_of(differs: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pattern of each column: bit k says whether row k is True."""
    patterns: NDArray[np.uint8] = np.bitwise_or.reduce(
        differs.view(np.uint8) << _SHIFTS[: len(differs)]
    )
    return patterns


def _gone(
    recent: Pixels,
    pattern: NDArray[np.uint8],
    places: NDArray[np.intp],
    found: NDArray[np.intp],
    shape: tuple[int, ...],
) -> NDArray[np.intp]:
    """Those of `found` whose colour is not near in a later screen.

    Args:
        recent: pixels of the places that change, one row a screen, newest first.
        pattern: of each of these pixels; see `_tables`.
        places: of these pixels on the screen, in words of 8.
        found: indices of the pixels in question.
        shape: of a screen.
    """
    patterns = pattern[found]
    ages = _AGES[patterns]
    colours = recent[ages, found]
    wins = _BRIGHTNESS[colours] > _BRIGHTNESS[recent[0, found]]
    wins |= ~_TIES[patterns]
    found, ages, colours = found[wins], ages[wins].astype(np.intp), colours[wins]
    if not 0 < found.size <= 2 * LARGEST:
        return _NONE
    # Each colour in question is a bit (two may share one), so that bytes hold sets of colours:
    # those drawn in the screens of age 0, of ages 0 and 1, and so on.
    bits = np.zeros(256, np.uint8)
    asked = np.flatnonzero(np.bincount(colours))
    bits[asked] = 1 << (np.arange(asked.size) & 7)
    drawn = bits[recent[:LONGEST]]
    drawn *= pattern != 0
    drawn_words = drawn.view(np.uint64)
    for age in range(1, len(drawn)):
        drawn_words[age] |= drawn_words[age - 1]
    height, width = shape
    margin = (NEAR + 1) * width
    sets = np.zeros((LONGEST, height * width + 2 * margin), np.uint8)
    sets.view(np.uint64)[: len(drawn), places + margin // 8] = drawn_words
    at = (ages - 1) * sets.shape[1] + places[found >> 3] * 8 + (found & 7)
    around = (_STEPS[:, None] * width + _STEPS).reshape(-1) + margin
    seen = sets.reshape(-1)[around[:, None] + at]
    gone: NDArray[np.intp] = found[(np.bitwise_or.reduce(seen) & bits[colours]) == 0]
    return gone


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Three tables, by the pattern of a pixel.

    Bit k - 1 of a pattern says whether the screen of age k differs from the newest one. The tables
    hold the age of the screen the pixel may reappear from (0: of none), whether it must then be the
    brighter one, and whether it comes, goes and comes again.
    """
    count = 1 << (RAW - 1)
    ages, ties, returns = np.zeros(count, np.uint8), np.zeros(count, bool), np.zeros(count, bool)
    for pattern in range(1, count):
        lowest, drawn = pattern & -pattern, pattern.bit_count()
        brief = pattern + lowest != count
        if lowest.bit_length() <= LONGEST and brief and 2 * drawn <= RAW:
            ages[pattern], ties[pattern] = lowest.bit_length(), 2 * drawn == RAW
        returns[pattern] = "0" in f"{pattern:b}".rstrip("0")
    return ages, ties, returns


_AGES, _TIES, _RETURNS = _tables()
_SHIFTS = np.arange(RAW - 1, dtype=np.uint8)[:, None]
_ASKED = _AGES > 0
_STEPS = np.arange(-NEAR, NEAR + 1, 2)


POOLINGS: dict[Pooling, Callable[[Sequence[Pixels]], Pooled]] = {
    "flicker": flicker,
    "brighter": brighter,
    "last": last,
}
"""Name -> (raw screens, oldest first, at least two) -> the picture."""


def pooling_of(value: object) -> Pooling:
    """The pooling that a setting names; True is "brighter" and False is "last".

    Raises:
        InvalidSetting: it names none.
    """
    if isinstance(value, bool):
        return "brighter" if value else "last"
    for name in POOLINGS:
        if value == name:
            return name
    raise InvalidSetting(
        f"{setting('pool_frames')} is {', '.join(POOLINGS)}, True (brighter) or False (last), "
        f"not {value!r}."
    )
