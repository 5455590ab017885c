"""A learning curve: scores on held-out seeds over the episodes of training, beside its controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from atari_vlm.stats import LEAST, Interval, mean_interval

ArmName: TypeAlias = Literal["learning", "control", "shuffled"]
"""`control`: nothing is learned. `shuffled`: it is shown what `learning` learned, shuffled."""

MEANINGS: dict[ArmName, str] = {
    "learning": "with what was learned",
    "control": "the control, which learns nothing",
    "shuffled": "the control that is shown the lessons shuffled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An evaluation: the same held-out seeds each time, with learning frozen."""

    after: int
    """Episodes of training before it."""
    scores: tuple[float, ...]
    """One for each held-out seed, in their order."""
    examples: int
    """Moments of earlier episodes that were shown."""
    lessons: int
    """Lessons in words that were shown."""
    folder: Path
    """Of its run."""

    @property
    def mean(self) -> Interval:
        """Mean score with its 95% interval."""
        return mean_interval(self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One player of a curve."""

    name: ArmName
    points: tuple[Point, ...]
    """In order. One that never changes has one point, which stands for all."""
    training: tuple[float, ...] = ()
    """The score of each training episode; none of one that trains nothing of its own."""
    folder: Path | None = None
    """Of its training run."""

    def at(self, after: int) -> Point:
        """The newest point that is not later than so many episodes."""
        return [each for each in self.points if each.after <= after or each is self.points[0]][-1]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Curve:
    """What training came to, measured on seeds that were never trained on.

    Every difference is paired: it is the mean of the differences on each seed.
    """

    game: str
    """Title of the game."""
    model: str
    """Name of the player, with what it reads beyond the screen."""
    learner: str
    settings: str
    """What the scores depend on, in one line."""
    folder: Path
    """Of the training run; the files of the curve are there."""
    arms: tuple[Arm, ...]
    """The learning player first."""

    def __repr__(self) -> str:
        points = ", ".join(f"{p.mean.value:.15g} after {p.after}" for p in self.learning.points)
        return f"Curve({self.game}, {self.model}: {points}, folder={str(self.folder)!r})"

    @property
    def learning(self) -> Arm:
        """The player that learns."""
        return self.arms[0]

    @property
    def controls(self) -> tuple[Arm, ...]:
        """The others."""
        return self.arms[1:]

    @property
    def gain(self) -> Interval | None:
        """After the training minus before it, on held-out seeds; None without a point before."""
        first, last = self.learning.points[0], self.learning.points[-1]
        return None if first.after or first is last else _paired(last.scores, first.scores)

    def advantage(self, control: Arm) -> Interval:
        """Learning minus a control at the end of the training, on held-out seeds."""
        last = self.learning.points[-1]
        return _paired(last.scores, control.at(last.after).scores)

    def training_advantage(self, control: Arm) -> Interval | None:
        """Learning minus a control over all training episodes; None if it had none of its own."""
        if not (control.training and self.learning.training):
            return None
        return _paired(self.learning.training, control.training)

    @property
    def shows_examples(self) -> bool:
        """Whether an evaluation showed examples."""
        return any(point.examples for arm in self.arms for point in arm.points)

    @property
    def shows_lessons(self) -> bool:
        """Whether an evaluation showed lessons in words."""
        return any(point.lessons for arm in self.arms for point in arm.points)

    def differences(self) -> Iterator[tuple[str, Interval, int]]:
        """Every paired difference: what it is, its mean with the interval, and how many pairs."""
        last = self.learning.points[-1]
        held_out = len(last.scores)
        if self.gain is not None:
            episodes = f"{last.after} episode{'s' * (last.after != 1)}"
            yield f"after {episodes} minus before, held-out seeds", self.gain, held_out
        for control in self.controls:
            advantage = self.advantage(control)
            yield f"learning minus {control.name}, held-out seeds", advantage, held_out
            if (trained := self.training_advantage(control)) is not None:
                count = len(control.training)
                yield f"learning minus {control.name}, training seeds", trained, count


def _paired(scores: Sequence[float], others: Sequence[float]) -> Interval:
    return mean_interval([one - other for one, other in zip(scores, others, strict=True)])


def difference_text(difference: Interval, pairs: int) -> str:
    """A paired difference in words, e.g. "+4.2 (2.9 to 5.5; 10 pairs)"."""
    sign = "+" if difference.value > 0 else ""
    seeds = f"{pairs} pair{'s' * (pairs != 1)}"
    few = "too few for an interval" if pairs < LEAST else "no interval, as all are equal"
    said = difference.text() or few
    return f"{sign}{difference.value_text()} ({said}; {seeds})"
