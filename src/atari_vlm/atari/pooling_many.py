"""Pooling many pictures at once, in two thirds of the time, for who has all raw screens already.

The pictures are those of `pooling.flicker`, whose docstring has the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.pooling import (
    _AGES,
    _ASKED,
    _BRIGHTNESS,
    _RETURNS,
    _STEPS,
    _TIES,
    LARGEST,
    LONGEST,
    NEAR,
    POOLINGS,
    RAW,
    Pooling,
    _patterns_of,
)
from atari_vlm.types import Pixels

_Indices = NDArray[np.intp]


def flicker_many(raw: Pixels, ends: Sequence[int]) -> Pixels:
    """The pictures that `flicker` makes of the `RAW` screens before each of the ends.

    Args:
        raw: successive raw screens, shape (screens, height, width), contiguous.
        ends: numbers of screens, each at least `RAW`.

    Returns:
        Shape (ends, height, width), uint8.
    """
    last = np.array(ends, np.intp) - 1
    pictures = raw[last]
    words = raw.reshape(len(raw), -1).view(np.uint64)
    changed = (words[1:] != words[:-1]).view(np.uint32)
    differs = np.stack([np.bitwise_or.reduce(changed[end - RAW : end - 1]) for end in ends])
    # A word of 8 pixels: the number of its picture, and its place there.
    of, places = np.divmod(np.flatnonzero(differs.view(bool)), words.shape[1])
    newest = last[of] * words.shape[1] + places
    recent = words.reshape(-1)[newest - np.arange(RAW)[:, None] * words.shape[1]]
    returns = _RETURNS[_patterns_of(recent[1:] != recent[0])]
    alive = np.bincount(of[returns], minlength=len(ends)) > 0
    kept = np.flatnonzero(alive[of])
    if not kept.size:
        return pictures
    of, places, pixels = of[kept], places[kept], recent.take(kept, axis=1).view(np.uint8)
    pattern = _patterns_of(pixels[1:] != pixels[0])
    found = np.flatnonzero(_ASKED[pattern])
    found = _gone(pixels, pattern, of, places, found, pictures.shape)
    found = found[_few(of[found >> 3], len(ends), LARGEST)]
    size = pictures[0].size
    at = of[found >> 3] * size + places[found >> 3] * 8 + (found & 7)
    pictures.reshape(-1)[at] = pixels[_AGES[pattern[found]], found]
    return pictures


def _few(of: _Indices, count: int, most: int) -> NDArray[np.bool_]:
    """Which pixels are in a picture with at most so many of them."""
    few: NDArray[np.bool_] = (np.bincount(of, minlength=count) <= most)[of]
    return few


def _gone(
    pixels: Pixels,
    pattern: NDArray[np.uint8],
    of: _Indices,
    places: _Indices,
    found: _Indices,
    shape: tuple[int, ...],
) -> _Indices:
    """Those of `found` whose colour is not near in a later screen; see `pooling._gone`.

    Args:
        pixels: of the words that change, one row an age, the newest first.
        pattern: of each of these pixels.
        of: the picture of each word.
        places: of each word in its picture.
        found: indices of the pixels in question.
        shape: of all pictures.
    """
    patterns = pattern[found]
    ages = _AGES[patterns]
    colours = pixels[ages, found]
    wins = _BRIGHTNESS[colours] > _BRIGHTNESS[pixels[0, found]]
    wins |= ~_TIES[patterns]
    wins[wins] = _few(of[found[wins] >> 3], shape[0], 2 * LARGEST)
    found, ages, colours = found[wins], ages[wins].astype(np.intp), colours[wins]
    # Each colour in question in a picture is a bit, so that bytes hold sets of colours.
    keys = of[found >> 3] * 256 + colours
    bits = np.zeros(shape[0] * 256, np.uint8)
    asked = np.flatnonzero(np.bincount(keys, minlength=bits.size))
    bits[asked] = 1 << ((np.arange(asked.size) - np.searchsorted(asked, asked & ~255)) & 7)
    tables = np.repeat(of * 256, 8)
    drawn = bits.take(pixels[:LONGEST] + tables)
    drawn *= pattern != 0
    drawn_words = drawn.view(np.uint64)
    for age in range(1, LONGEST):
        drawn_words[age] |= drawn_words[age - 1]
    height, width = shape[1:]
    margin = (NEAR + 1) * width
    length = height * width + 2 * margin
    sets = np.zeros((LONGEST, shape[0] * length), np.uint8)
    sets.view(np.uint64)[:, (of * length + margin) // 8 + places] = drawn_words
    word = found >> 3
    at = (ages - 1) * sets.shape[1] + of[word] * length + places[word] * 8 + (found & 7)
    around = (_STEPS[:, None] * width + _STEPS).reshape(-1) + margin
    seen = sets.reshape(-1)[around[:, None] + at]
    gone: _Indices = found[(np.bitwise_or.reduce(seen) & bits[keys]) == 0]
    return gone


def pool_many(raw: Pixels, ends: Sequence[int], pooling: Pooling) -> Pixels:
    """The pictures that a pooling makes of the last `RAW` screens before each of the ends.

    Args:
        raw: successive raw screens, shape (screens, height, width), contiguous.
        ends: numbers of screens, rising; each at least 2, or 1 for "last".
        pooling: its name.

    Returns:
        Shape (ends, height, width), uint8.
    """
    early = [end for end in ends if end < RAW or pooling != "flicker"]
    pool, late = POOLINGS[pooling], ends[len(early) :]
    parts = [pool([*raw[max(0, end - RAW) : end]])[0][None] for end in early]
    if late:
        parts.append(flicker_many(raw, late))
    return np.concatenate(parts)
