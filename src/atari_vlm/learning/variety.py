"""Chooses moments that differ from one another: not three times the same serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from atari_vlm.learning.moments import Kind, Moment
from atari_vlm.types import Pixels

SHORTLIST = 12
"""Moments of a kind whose screens are compared; drawing one costs a replay of its episode."""

MOST = 100
"""Moments of a kind that are considered, the most valuable ones."""

ALIKE = 0.05
"""Share of the pixels that differ between two screens that have little in common; a sprite that
moved changes less than a hundredth of them."""

Screen = Callable[[Moment], Pixels]
"""Draws the first screen of a moment."""


def choose(found: dict[Kind, list[Moment]], number: int, screen: Screen) -> list[Moment]:
    """The moments to show, those that earned something first.

    A third are warnings (rounded down), the others gains, or stretches that were held where nothing
    was gained; if there are too few of one kind, more of the other.

    Args:
        found: by `moments.moments`.
        number: the most to show.
        screen: draws the first screen of a moment.
    """
    good, bad = found["gain"] or found["held"], found["loss"]
    warnings = min(len(bad), number // 3 if good else number)
    shown = varied(good, number - warnings, screen)
    return shown + varied(bad, number - len(shown), screen)


def varied(ranked: Sequence[Moment], number: int, screen: Screen) -> list[Moment]:
    """The most valuable moments that differ: each is worth its value plus twice its distance.

    Args:
        ranked: moments of one kind, the most valuable first.
        number: the most to choose.
        screen: draws the first screen of a moment.
    """
    apart = _apart(ranked)
    if number < 1 or len(apart) <= 1:
        return apart[: max(0, number)]
    # In the order of the record, so that each episode is replayed once.
    ordered = sorted(apart, key=lambda m: (m.trajectory.episode, m.start))
    drawn = {id(moment): screen(moment) for moment in ordered}

    def far(moment: Moment, other: Moment) -> float:
        return distance(moment, other, drawn[id(moment)], drawn[id(other)])

    chosen = [apart.pop(0)]
    while apart and len(chosen) < number:
        best = max(apart, key=lambda m: m.value + 2 * min(far(m, other) for other in chosen))
        apart.remove(best)
        chosen.append(best)
    return chosen


def _apart(ranked: Sequence[Moment]) -> list[Moment]:
    """The first moments that do not overlap and are not all from one part of the list.

    Half of the shortlist are the most valuable ones, the others are spread over the rest.
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
    return head + [rest[(2 * k + 1) * len(rest) // (2 * count)] for k in range(count)]


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
