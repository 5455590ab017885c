"""The moments of an episode that a review is about: what was earned and lost, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from atari_vlm.stats import times
from atari_vlm.types import Step, Trajectory

LEAD = 30
"""Emulator frames (60 a second) before an event whose screen is shown: what led to it."""

LINES = 12
"""Most events that the table has a line for."""


@dataclass(frozen=True, slots=True)
class Event:
    """A decision that earned something or lost a life."""

    step: int
    reward: float
    lives: int
    """Lives lost in it."""

    @property
    def is_loss(self) -> bool:
        """Whether it cost points or a life."""
        return self.reward < 0 or self.lives > 0

    @property
    def words(self) -> str:
        """What happened, e.g. "+10, a life lost"."""
        lost = {0: "", 1: "a life lost"}.get(self.lives, f"{self.lives} lives lost")
        return ", ".join(filter(None, (f"{self.reward:+g}" if self.reward else "", lost)))


def events(played: Trajectory) -> list[Event]:
    """Every reward and every lost life of an episode, in order."""
    steps = played.steps
    after = [step.observation.lives for step in steps[1:]]
    after.append(steps[-1].observation.lives)
    found = []
    for number, (step, lives) in enumerate(zip(steps, after, strict=True)):
        lost = max(0, step.observation.lives - lives)
        if step.reward or lost:
            found.append(Event(number, step.reward, lost))
    return found


def key_moments(played: Trajectory, most: int) -> list[tuple[int, str]]:
    """(decision, what it shows) of the screens that a review shows, in order.

    The opening and the end; between them, in turn, half a second before a loss and half a second
    before a gain, each time the one that is farthest from the screens chosen so far. So a game with
    thirty gains in its first minute still shows its later ones, and no moment is shown twice.

    Args:
        played: an episode of at least one decision.
        most: screens in all.
    """
    last = len(played.steps) - 1
    lead = max(1, round(LEAD / played.steps[0].observation.interval))
    chosen = {0: "The opening"}
    if last > 0:
        chosen[last] = "The end"
    found = events(played)
    kinds = [[each for each in found if each.is_loss], [each for each in found if not each.is_loss]]
    turn = 0
    while len(chosen) < most and any(kinds):
        kind = kinds[turn % 2] or kinds[(turn + 1) % 2]
        turn += 1
        places = [max(0, event.step - lead) for event in kind]
        apart = [min(abs(place - other) for other in chosen) for place in places]
        best = apart.index(max(apart))
        event = kind.pop(best)
        if apart[best] > 1:
            chosen[places[best]] = f"Half a second before {event.words}"
    return [(step, label) for step, label in sorted(chosen.items())][: max(most, 0)]


def table(played: Trajectory) -> str:
    """What was earned and lost, in words: the sums, then a line for each event.

    Of more than `LINES` events, those on the lines are spread evenly over the episode.
    """
    found = events(played)
    if not found:
        return "Nothing was earned or lost."
    counted = Counter(event.words for event in found)
    sums = "; ".join(f"{words} ({times(count)})" for words, count in counted.most_common(8))
    shown = found
    if len(found) > LINES:
        places = {round(k * (len(found) - 1) / (LINES - 1)) for k in range(LINES)}
        shown = [found[place] for place in sorted(places)]
    lines = [f"Earned and lost: {sums}."]
    lines += [f"- {_line(event, played.steps)}" for event in shown]
    if left := len(found) - len(shown):
        lines.append(f"({left:,} more like these are left out.)")
    return "\n".join(lines)


def _line(event: Event, steps: Sequence[Step]) -> str:
    interval = steps[0].observation.interval
    start = max(0, event.step - max(1, round(LEAD / interval)) + 1)
    actions = [step.decision.action for step in steps[start : event.step + 1]]
    held = ((name, len([*group])) for name, group in groupby(actions))
    played = ", ".join(name if count == 1 else f"{name} {times(count)}" for name, count in held)
    return f"at {event.step * interval / 60:.1f} s: {event.words}, after {played}"
