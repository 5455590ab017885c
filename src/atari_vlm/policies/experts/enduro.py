"""Enduro: hold the throttle, and drive in whichever of three lanes is free.

Other cars keep to the left, the middle or the right of the road, and a crash costs more time than
anything else, so the driver weighs the lanes by the cars that would be met in each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, steer
from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True)
class Car:
    """Another car, as it is drawn."""

    x: float
    """Its middle."""
    y: int
    """Its topmost row, 64 at the horizon to 160 half off the picture."""
    across: float
    """Place across the road at its height: -1 on the left edge, 1 on the right edge."""

    @property
    def lane(self) -> int:
        """-1 for the left lane, 0 for the middle one, 1 for the right one."""
        return 0 if abs(self.across) < 0.28 else 1 if self.across > 0 else -1


_NONE = 4
"""What stands for a car's x while it is moved to the next of the seven places for cars."""
_PLACES = (
    (89, -25, 23.5, 136),
    (42, 22, 23.5, 115),
    (-5, -40, 18.5, 97),
    (-17, -28, 18.5, 87),
    (-54, 26, 18.5, 76),
    (-62, 34, 18.5, 69),
    (-66, 0, 18.5, 64),
)
"""Of each place for a car, nearest first: what is added to its bytes for y by day, what more in the
dark, what is added to its byte for x, and the y at which a car comes into it."""
_BEND = ((56, 0.92), (72, 0.6), (88, 0.37), (104, 0.19), (120, 0.085), (136, 0.025), (152, 0.0))
"""Row -> how far the road's middle lies to the side there, in units of the bend's byte."""
_LANE, _REACH, _FOG = 25, 19, 103
"""Pixels between lanes; what two cars side by side need; the first row that fog does not hide."""


def cars(before: Pixels | None, now: Pixels) -> list[Car]:
    """The cars that are drawn ahead, nearest first.

    Bytes: 27 to 33 the colours of seven cars, nearest first (0 for none), 3 to 9 their x as the
    console sets it (pixels and, in the upper half, a fine shift), 11 to 17 their height.
    """
    found = []
    for place in range(7):
        if now[27 + place]:
            car = _car(now, place) if now[3 + place] != _NONE else _moved(before, now, place)
            if car is not None and car.y >= (_FOG if now[2] == 2 else 64):
                found.append(car)
    passed = racer_y(now) + 10
    return sorted((car for car in found if car.y < passed), key=lambda car: -car.y)


def _car(memory: Pixels, place: int) -> Car:
    day, dark, side, _ = _PLACES[place]
    y = int(memory[11 + place]) + day + (dark if memory[122] < 2 else 0)
    x = 15 * (int(memory[3 + place]) & 15) - _signed(memory[3 + place] & 240) // 16 + side
    return Car(x, y, (x - road(memory, y)) / _half(y))


def _moved(before: Pixels | None, now: Pixels, place: int) -> Car | None:
    """A car on its way to another place, still drawn at the edge of the one it leaves."""
    for last in (place + 1, place, place - 1):
        if before is None or not 0 <= last < 7:
            continue
        if before[27 + last] == now[27 + place] and before[3 + last] != _NONE:
            old = _car(before, last)
            y = old.y if last == place else _PLACES[max(last, place) - 1][3] - 2
            return Car(road(now, y) + old.across * _half(y), y, old.across)
    return None


def road(memory: Pixels, y: int) -> float:
    """The x of the road's middle at a row.

    Bytes: 46 how far the road lies right of the picture's middle, 34 how far it bends to the right.
    """
    below = max((row for row in _BEND if row[0] <= y), default=_BEND[0])
    above = min((row for row in _BEND if row[0] > y), default=_BEND[-1])
    share = (y - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
    bend = below[1] + max(0.0, min(1.0, share)) * (above[1] - below[1])
    return 87.5 + 1.01 * _signed(memory[46]) + bend * _signed(memory[34])


def racer_x(memory: Pixels) -> float:
    """The x of the middle of one's own car."""
    return 85.2 - 0.5624 * _signed(memory[46])


def racer_y(memory: Pixels) -> int:
    """The topmost row of one's own car, which the faster is the higher; byte 22 is the speed."""
    return 144 - int(memory[22]) // 8


def advise_enduro(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Steer to the lane in which the fewest cars are met, and press FIRE all the time."""
    ahead = cars(before, now)
    row = racer_y(now) + 5
    middle, x = road(now, row), racer_x(now)
    lane = min((0, -1, 1), key=lambda lane: _danger(lane * _LANE, x - middle, now, ahead))
    aim = middle + lane * _LANE
    push = 0.5 * (aim - x) + _signed(now[34]) / 50  # cars drift to the outside of a bend
    plans = steer(push, "LEFTFIRE", "RIGHTFIRE", longest)
    if ("NOOP", longest) in plans:
        plans[("FIRE", longest)] = plans.pop(("NOOP", longest))
    words = [f"racer {round(x)} {racer_y(now)}"]
    for name, car in zip(("car", "next"), [*ahead[:2], None, None], strict=False):
        words.append(f"{name} {_clip(car.x, 159)} {_clip(car.y, 209)}" if car else f"no {name}")
    weight = 2.5 if ahead and ahead[0].y > 85 and abs(aim - x) > 5 else 1.0
    return Advice(f"{', '.join(words)}, aim {_clip(aim, 159)}", plans, weight)


def _danger(target: float, offset: float, now: Pixels, ahead: list[Car]) -> float:
    """What driving from `offset` to `target` pixels right of the middle of the road would meet.

    Cars come nearer in proportion to their distance below the horizon, so the time to one is a
    logarithm; those met soon count most.
    """
    speed, row = int(now[22]), racer_y(now)
    growth, step = 0.0027 * max(4, speed - 20), max(1.0, min(8.5, 0.085 * speed))
    danger = 0.004 * abs(target)
    for car in ahead:
        high = max(2, car.y - 50)
        meet, leave = (math.log((row + edge - 50) / high) / growth for edge in (-9, 10))
        meet = max(0.0, meet)
        reached = [
            offset + max(-step * when, min(step * when, target - offset)) for when in (meet, leave)
        ]
        nearest = max(min(reached), min(max(reached), car.lane * _LANE))
        apart = abs(nearest - car.lane * _LANE)
        danger += math.exp(-meet / 2) * max(0.0, _REACH - apart) / _REACH
    return danger


def _half(y: int) -> float:
    """Half the road's width at a row."""
    return max(2.0, 49 - (152 - y) * 0.5)


def _signed(byte: int) -> int:
    return (int(byte) + 128) % 256 - 128


def _clip(value: float, most: int) -> int:
    return max(0, min(most, round(value)))


ENDURO = ExpertPolicy("enduro", advise_enduro)
