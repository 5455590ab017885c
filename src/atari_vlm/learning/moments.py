"""Finds the moments of earlier episodes that mattered: before a reward, before a loss.

Rules 2 and 3. Episodes are ranked relative to one another, so that it works where no score is
above zero. `variety` chooses among what is found here, `examples` puts it into words.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Literal, TypeAlias

from atari_vlm.learning.settled import settled_frames
from atari_vlm.types import Step, Trajectory

Kind: TypeAlias = Literal["gain", "held", "loss"]
"""gain: a reward was earned. held: nothing was lost for unusually long, in a game where the
episodes earned nothing. loss: a life or points were lost."""

WINDOW = 40
"""Emulator frames of the decisions that a moment shows: the last ones that could matter."""

_LONGER = 1.5
"""How many times the median stretch between two losses is unusually long."""

_FEWEST = 3
"""Decisions of the shortest moment."""


@dataclass(frozen=True, eq=False)
class Moment:
    """Some decisions in a row, and what came of them: of a stretch that was held, nothing bad."""

    kind: Kind
    trajectory: Trajectory
    start: int
    """The first decision that is shown."""
    last: int
    """The last one that is shown: what was played later no longer mattered, see `settled`."""
    end: int
    """The decision that was rewarded, or lost something."""
    points: float
    """Sum of the rewards from the first decision to the end."""
    lives: int = 0
    """Lives lost by its last decision."""
    length: int = 0
    """Of a stretch without a loss: its decisions."""
    usual: int = 0
    """Of a stretch without a loss: decisions of the median one."""
    value: float = 0.0
    """What it is worth as an example, from 0 to 2, among those of its kind."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The decisions that are shown, in order."""
        return self.trajectory.steps[self.start : self.last + 1]

    @property
    def place(self) -> float:
        """Where in its episode it ends, from 0 to 1."""
        return self.end / max(1, len(self.trajectory.steps) - 1)

    def overlaps(self, other: Moment) -> bool:
        """Whether one begins before the other ends."""
        one = self.trajectory is other.trajectory
        return one and self.start <= other.end and other.start <= self.end


def moments(trajectories: Sequence[Trajectory]) -> dict[Kind, list[Moment]]:
    """Every moment that mattered, by kind, the most valuable first.

    A gain is worth the rank of its episode's score among all (the share of episodes that scored no
    more), plus its points as a share of the largest gain. A loss is worth its size as a share of
    the largest, plus the share of episodes played before it: newer ones show mistakes still made.
    No moment has a fallback among its decisions.
    """
    played = [trajectory for trajectory in trajectories if trajectory.steps]
    found: dict[Kind, list[Moment]] = {"gain": [], "held": [], "loss": []}
    for trajectory in played:
        for moment in _of_episode(trajectory):
            found[moment.kind].append(moment)
    if found["gain"]:
        found["held"] = []
    scores = sorted(trajectory.score for trajectory in played)
    rank = {
        id(trajectory): bisect_right(scores, trajectory.score) / len(scores)
        for trajectory in played
    }
    age = {id(trajectory): n / len(played) for n, trajectory in enumerate(played, 1)}
    for kind, every in found.items():
        largest = max(map(_size, every), default=0.0) or 1.0
        share = age if kind == "loss" else rank
        ranked = [
            replace(moment, value=share[id(moment.trajectory)] + _size(moment) / largest)
            for moment in every
        ]
        found[kind] = sorted(ranked, key=lambda m: (-m.value, m.trajectory.episode, m.end))
    return found


def _size(moment: Moment) -> float:
    if moment.kind == "held":
        return float(moment.length)
    return moment.points if moment.kind == "gain" else moment.lives + max(0.0, -moment.points)


def _of_episode(trajectory: Trajectory) -> Iterator[Moment]:
    steps = trajectory.steps
    losses = [k for k in range(len(steps)) if _lives_lost(steps, k) or steps[k].reward < 0]
    barred, done = set(losses), -1
    for end, step in enumerate(steps):
        if _lives_lost(steps, end) or step.reward < 0:
            yield from _moment("loss", trajectory, end, barred, lives=_lives_lost(steps, end))
        elif step.reward > 0 and end > done:
            done = _counted_until(steps, end)
            yield from _moment("gain", trajectory, end, barred, done=done)
            barred.update(range(end, done + 1) if done > end else ())
    yield from _held(trajectory, losses)


def _counted_until(steps: Sequence[Step], first: int) -> int:
    """The last decision of a bonus that is counted up from `first` on, or `first` itself.

    A bonus earns the same in at least `_FEWEST` decisions in a row, and may pause for one at a time
    then (Qbert, for each round: 31 times 100 points). What earned it was played before all of them.
    """
    reward, last, number = steps[first].reward, first, first + 1
    while number < len(steps) and steps[number].reward in (0.0, reward):
        if steps[number].reward == reward:
            last = number
        elif number - first < _FEWEST or number - last > 1:
            break
        number += 1
    return last if last - first >= _FEWEST - 1 else first


def _held(trajectory: Trajectory, losses: Sequence[int]) -> Iterator[Moment]:
    """The stretches without a loss that are unusually long, where they outlived the usual ones."""
    ends = [-1, *losses]
    lengths = [after - before for before, after in pairwise(ends)]
    if len(lengths) < _FEWEST:
        return
    usual = int(median(lengths))
    for before, length in zip(ends, lengths, strict=False):
        if length > _LONGER * usual:
            end = before + usual
            yield from _moment("held", trajectory, end, set(losses), length=length, usual=usual)


def _lives_lost(steps: Sequence[Step], number: int) -> int:
    """Lives lost by a decision; the end of the game takes the last one, if lives are counted."""
    step = steps[number]
    if number + 1 < len(steps):
        return max(0, step.observation.lives - steps[number + 1].observation.lives)
    return int(step.terminated and step.observation.lives > 0)


def _moment(
    kind: Kind, trajectory: Trajectory, end: int, barred: set[int], done: int = 0, **more: int
) -> Iterator[Moment]:
    """The moment that ends with an event; none if a fallback or the last loss is too near.

    Its decisions reach back to the last loss, counted bonus or fallback at most. `done` is the last
    decision whose reward belongs to the event, if that is not `end`.
    """
    steps = trajectory.steps
    interval = max(1, steps[end].observation.interval)
    settled = settled_frames(trajectory.game, loss=kind != "gain") // interval
    most = max(_FEWEST, WINDOW // interval)
    first = end
    while first > 0 and end - first + 1 < settled + most and first - 1 not in barred:
        if steps[first - 1].decision.source == "fallback":
            break
        first -= 1
    fewest = min(_FEWEST, end + 1)
    if steps[end].decision.source == "fallback" or end - first + 1 < fewest:
        return
    last = max(end - settled, min(end, first + fewest - 1))
    points = sum(step.reward for step in steps[first : max(end, done) + 1])
    yield Moment(kind, trajectory, first, last, end, points, **more)
