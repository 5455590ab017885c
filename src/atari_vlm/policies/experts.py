"""Scripted experts that read RAM: labelled baselines, and the teachers of the embedded model.

An expert looks at the memory before this decision and before the last one, and at nothing else:
whatever it says can be computed from the two pictures a student is shown. Where memory holds what
was found by watching the bytes while playing, and checked against the pixels of unpooled screens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import InvalidSetting
from atari_vlm.types import Decision, Observation, Pixels, Privilege, Step


@dataclass(frozen=True, slots=True)
class Advice:
    """What an expert sees and would play."""

    words: str
    """Objects in view, in pixels of the 160 x 210 screen: "ball 72 66 moving right 5 down 3"."""
    plans: dict[tuple[str, int], float]
    """Probability of each (action, frames) worth playing; they sum to 1."""
    weight: float = 1.0
    """How much hangs on this moment, relative to others of the game."""


Advise = Callable[[Pixels | None, Pixels, int], Advice]
"""(memory before the last decision, memory now, longest plan) -> advice."""


@dataclass(frozen=True)
class ExpertPolicy:
    """Plays what `advise` says; a stateless function of the memory now and one decision ago."""

    game: str
    advise: Advise
    name: str = "expert"
    privileges: frozenset[Privilege] = frozenset({"ram"})

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Draw a plan from the advice, and say in the note what was seen."""
        if observation.ram is None or observation.game != self.game:
            raise InvalidSetting(
                f"The {self.game} expert needs an observation of {self.game} with its memory."
            )
        before = history[-1].observation.ram if history else None
        advice = self.advise(before, observation.ram, observation.interval)
        action, frames = draw(advice, rng)
        return Decision(action=action, frames=frames, source="scripted", note=advice.words)


def draw(advice: Advice, rng: np.random.Generator) -> tuple[str, int]:
    """A plan, drawn with the advice's probabilities."""
    plans = list(advice.plans)
    return plans[int(rng.choice(len(plans), p=list(advice.plans.values())))]


def steer(push: float, negative: str, positive: str, longest: int) -> dict[tuple[str, int], float]:
    """Plans that push `push` frames on average: the two whole numbers around it.

    Drawing between the two, instead of rounding, keeps the mean exact and play out of loops.
    """
    push = max(-float(longest), min(float(longest), push))
    low = int(np.floor(push))
    plans: dict[tuple[str, int], float] = {}
    for frames, probability in ((low, low + 1 - push), (low + 1, push - low)):
        if probability > 0:
            plan = (
                (positive if frames > 0 else negative, abs(frames)) if frames else ("NOOP", longest)
            )
            plans[plan] = probability
    return plans


MOST_MOVED = 48
"""The longest displacement that is named, in pixels."""


def moving(dx: int, dy: int) -> str:
    """A displacement since the last decision in words: "moving right 5 down 3"."""
    dx, dy = (max(-MOST_MOVED, min(MOST_MOVED, d)) for d in (dx, dy))
    across = f"{'right' if dx > 0 else 'left'} {abs(dx)}" if dx else "straight"
    along = f"{'down' if dy > 0 else 'up'} {abs(dy)}" if dy else "level"
    return f"moving {across} {along}"


def fold(value: float, low: float, high: float) -> float:
    """Where something that bounces between two walls ends up."""
    span = high - low
    value = (value - low) % (2 * span)
    return low + min(value, 2 * span - value)


@dataclass(frozen=True, slots=True)
class PongAim:
    """Where the Pong expert puts its paddle; found by playing full episodes."""

    offset: float = 2.5
    """The paddle's centre goes this far below the ball's, for returns that are hard to reach."""
    contact: int = 143
    """Ball x at which heights are compared: behind the paddle's edge, which is at 140."""
    push: float = 6.0
    """Pixels the paddle moves for each frame it is pushed."""


_AIM = PongAim()
_PONG_TOP, _PONG_BOTTOM, _PONG_CENTRE = 32, 195, 120


def advise_pong(before: Pixels | None, now: Pixels, longest: int, aim: PongAim = _AIM) -> Advice:
    """Meet the ball where it will cross the paddle's line; wait in the middle otherwise.

    Bytes: 49 and 54 the ball's x and y (y is 0 while there is no ball), 51 the paddle's y.
    """
    paddle = int(now[51]) - 5
    target, words, weight = float(_PONG_CENTRE), "no ball", 0.5
    if now[54]:
        x, y = int(now[49]) - 48, int(now[54]) - 12
        words = f"ball {max(0, min(159, x))} {y} new"
        if before is not None and before[54]:
            dx, dy = x - (int(before[49]) - 48), y - (int(before[54]) - 12)
            words = f"ball {max(0, min(159, x))} {y} {moving(dx, dy)}"
            if dx > 0:
                flight = max(0, aim.contact - x) / dx
                target = fold(y + dy * flight, _PONG_TOP, _PONG_BOTTOM) + aim.offset
                weight = 2.0 if x < 70 else 3.0
    push = (target - paddle) / aim.push
    plans = steer(push, "RIGHT", "LEFT", longest)
    words += f", paddle {paddle}, aim {round(target)}"
    return Advice(words, plans, weight)


def advise_breakout(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Be where the ball will land, a little off-centre; press FIRE when there is no ball.

    Bytes: 99 and 101 the ball's x and y (y is 0 while there is no ball), 72 the paddle's x.
    """
    paddle = int(now[72]) - 39
    if not now[101]:
        words = f"no ball, paddle {paddle}, aim {paddle}"
        return Advice(words, {("FIRE", min(2, longest)): 1.0})
    x, y = int(now[99]) - 47, int(now[101]) + 11
    target, words, weight = float(x), f"ball {x} {y} new", 1.0
    if before is not None and before[101]:
        dx, dy = x - (int(before[99]) - 47), y - (int(before[101]) + 11)
        words = f"ball {x} {y} {moving(dx, dy)}"
        if dy > 0:
            target = fold(x + dx * max(0, 189 - y) / dy, 10, 153)
            weight = 2.0 if y < 120 else 3.0
    target = max(16.0, min(152.0, target + 2))
    coast = 0.0 if before is None else 0.5 * (int(now[72]) - int(before[72]))
    plans = steer((target - paddle - coast) / 6, "LEFT", "RIGHT", longest)
    return Advice(f"{words}, paddle {paddle}, aim {round(target)}", plans, weight)


_LANES = 27 + 16 * np.arange(10)
_CHICKEN_LEFT, _CHICKEN_RIGHT = 43, 52


def advise_freeway(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Walk up; wait or step back when a car would hit the chicken first.

    Bytes: 14 the chicken's height above the kerb, 108 to 117 the cars' x, bottom lane first. The
    chicken walks 1 pixel a frame.
    """
    y = 193 - int(now[14])
    cars = _cars(now)
    speed = np.zeros(10) if before is None else _wrapped(cars - _cars(before)) / longest
    free = {
        action: _frames_until_hit(y, step, cars, speed, longest)
        for action, step in (("UP", -1), ("NOOP", 0), ("DOWN", 1))
    }
    best = "UP" if free["UP"] > longest + 3 else max(free, key=lambda action: free[action])
    lane = int(np.clip((y + 8 - 27) // 16, 0, 9))
    words = f"chicken {y}, car of its lane {int(cars[lane]) % 160}"
    return Advice(words, {(best, longest): 1.0})


def _cars(memory: Pixels) -> NDArray[np.int64]:
    return memory[117:107:-1].astype(np.int64) - 3


def _wrapped(moved: NDArray[np.int64]) -> NDArray[np.int64]:
    return (moved + 80) % 160 - 80


def _frames_until_hit(
    y: int, step: int, cars: NDArray[np.int64], speed: NDArray[np.float64], longest: int
) -> int:
    """Frames until a car touches the chicken if it walks for `longest` frames and then stands."""
    for frame in range(1, longest + 9):
        at = min(187, y + step * min(frame, longest))
        x = (cars + speed * frame) % 160
        level = (at + 8 > _LANES - 1) & (at < _LANES + 11)
        if (level & (x + 9 >= _CHICKEN_LEFT) & (x <= _CHICKEN_RIGHT)).any():
            return frame
    return 999


EXPERTS: dict[str, ExpertPolicy] = {
    expert.game: expert
    for expert in (
        ExpertPolicy("pong", advise_pong),
        ExpertPolicy("breakout", advise_breakout),
        ExpertPolicy("freeway", advise_freeway),
    )
}
"""Game -> the expert that plays it."""
