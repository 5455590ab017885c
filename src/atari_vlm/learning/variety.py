"""Chooses moments that differ from one another: not three times the same serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from atari_vlm.learning.moments import Kind, Moment
from atari_vlm.types import Pixels

SHORTLIST = 12
"""Moments of a kind whose screens are compared; drawing one costs a replay of its episode."""

REPLAYED = 6_000
"""Decisions that are replayed, at most, to draw the screens of a kind (0.2 ms each); to draw the
most valuable moment, as many as it takes."""

MOST = 100
"""Moments of a kind that are considered, the most valuable ones."""

ALIKE = 0.05
"""Share of the pixels that differ between two screens that have little in common; a sprite that
moved changes less than a hundredth of them."""

TWINS = 0.05
"""Distance within which two moments are the same, of which one is shown."""

Screens = Callable[[Sequence[Moment]], Sequence[Pixels]]
"""Draws the first screen of each moment."""


def choose(found: dict[Kind, list[Moment]], number: int, screens: Screens) -> list[Moment]:
    """The moments to show, those that earned something first.

    A third are warnings (rounded down), the others gains, or stretches that were held where nothing
    was gained; if there are too few of one kind, more of the other.

    Args:
        found: by `moments.moments`.
        number: the most to show.
        screens: draws the first screens of all moments of a kind at once.
    """
    good, bad = apart(found["gain"] or found["held"]), apart(found["loss"])
    drawn: dict[int, Pixels] = {}

    def far(one: Moment, other: Moment) -> float:
        return distance(one, other, drawn[id(one)], drawn[id(other)])

    def chosen(ranked: Sequence[Moment], count: int) -> list[Moment]:
        if count > 1:  # a single one is the first, whatever it looks like
            drawn.update(zip(map(id, ranked), screens(ranked), strict=True))
        return varied(ranked, count, far)

    shown = chosen(good, number - min(len(bad), number // 3 if good else number))
    return shown + chosen(bad, number - len(shown))


def varied(
    ranked: Sequence[Moment], number: int, far: Callable[[Moment, Moment], float]
) -> list[Moment]:
    """The most valuable moments that differ: each is worth its value plus twice its distance.

    There are fewer than asked for if the others are twins of those.

    Args:
        ranked: moments of one kind, the most valuable first.
        number: the most to choose.
        far: the distance of two of them, from 0 to 1.
    """
    chosen, left = list(ranked[: min(1, number)]), list(ranked[1:])
    while left and len(chosen) < number:
        nearest = [min(far(moment, other) for other in chosen) for moment in left]
        worth = [
            moment.value + 2 * near if near > TWINS else -1.0
            for moment, near in zip(left, nearest, strict=True)
        ]
        best = worth.index(max(worth))
        if worth[best] < 0:
            break
        chosen.append(left.pop(best))
    return chosen


def apart(ranked: Sequence[Moment]) -> list[Moment]:
    """The shortlist: moments that do not overlap and are not all from one part of the list.

    Half of it are the most valuable ones, the others are spread over the rest. Those that would
    take too long to draw are left out.

    Args:
        ranked: moments of one kind, the most valuable first.
    """
    free: list[Moment] = []
    taken: dict[int, list[Moment]] = {}
    for moment in ranked:
        near = taken.setdefault(id(moment.trajectory), [])
        if not any(moment.overlaps(other) for other in near):
            near.append(moment)
            free.append(moment)
        if len(free) == MOST:
            break
    head, rest = free[: SHORTLIST // 2], free[SHORTLIST // 2 :]
    count = min(len(rest), SHORTLIST - len(head))
    return _affordable(head + [rest[(2 * k + 1) * len(rest) // (2 * count)] for k in range(count)])


def _affordable(shortlist: Sequence[Moment]) -> list[Moment]:
    """Those of a list that are drawn within `REPLAYED` decisions, and the first one."""
    kept: list[Moment] = []
    reached: dict[int, int] = {}
    for moment in shortlist:
        episode, until = id(moment.trajectory), moment.last + 1
        more = max(0, until - reached.get(episode, 0))
        if not kept or sum(reached.values()) + more <= REPLAYED:
            kept.append(moment)
            reached[episode] = reached.get(episode, 0) + more
    return kept


def distance(one: Moment, other: Moment, screen: Pixels, other_screen: Pixels) -> float:
    """How much two moments differ, from 0 to 1: in screens, in plans, in place; equal parts.

    Screens by the share of pixels that differ, up to `ALIKE`; plans by the emulator frames that
    each action is held (total variation distance); places by where in their episodes they are.
    """
    same_shape = screen.shape == other_screen.shape
    differ = float(np.mean(screen != other_screen)) if same_shape else 1.0
    place = abs(one.place - other.place)
    return (min(1.0, differ / ALIKE) + _plans_apart(_held(one), _held(other)) + place) / 3


def _held(moment: Moment) -> Counter[str]:
    """Emulator frames that each action is held."""
    held: Counter[str] = Counter()
    for step in moment.steps:
        held[step.decision.action] += step.decision.frames
    return held


def _plans_apart(one: Counter[str], other: Counter[str]) -> float:
    total, others = one.total() or 1, other.total() or 1
    names = one.keys() | other.keys()
    return sum(abs(one[name] / total - other[name] / others) for name in names) / 2
