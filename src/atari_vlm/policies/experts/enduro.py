"""Enduro: hold the throttle, and drive in the safest of three lanes.

Other cars keep to the left, the middle or the right of the road. A crash costs more time than
anything else, so the expert compares the lanes by the cars ahead in each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, push_plans
from atari_vlm.types import Pixels, Plan


@dataclass(frozen=True, slots=True)
class Car:
    """Another car on the screen."""

    x: float
    """Of its centre."""
    y: int
    """Its topmost row: 64 at the horizon, 160 when it is half off the screen."""
    across: float
    """Position across the road: -1 on the left edge, 1 on the right edge."""

    @property
    def lane(self) -> int:
        """-1 for the left lane, 0 for the middle one, 1 for the right one."""
        return 0 if abs(self.across) < 0.28 else 1 if self.across > 0 else -1


_NONE = 4
"""The x byte of a car while the game moves it to the next of its seven slots."""
_SLOTS = (
    (89, -25, 23.5, 136),
    (42, 22, 23.5, 115),
    (-5, -40, 18.5, 97),
    (-17, -28, 18.5, 87),
    (-54, 26, 18.5, 76),
    (-62, 34, 18.5, 69),
    (-66, 0, 18.5, 64),
)
"""For each slot, nearest first: the offset of y by day, the further offset of y in the dark, the
offset of x, and the y at which a car enters the slot."""
_BEND = ((56, 0.92), (72, 0.6), (88, 0.37), (104, 0.19), (120, 0.085), (136, 0.025), (152, 0.0))
"""(row, horizontal shift of the road's centre there, in units of the bend's byte)."""
_LANE, _REACH, _FOG = 25, 19, 103
"""Pixels between lanes; pixels that two cars need side by side; the first row below the fog."""


def cars(before: Pixels | None, now: Pixels) -> list[Car]:
    """The cars ahead on the screen, nearest first.

    Bytes: 27 to 33 are the colours of seven cars, nearest first (0 without a car); 3 to 9 are their
    x (the lower half in steps of 15 pixels, the upper half a fine shift); 11 to 17 are their y.
    """
    found = []
    for slot in range(7):
        if now[27 + slot]:
            car = _car(now, slot) if now[3 + slot] != _NONE else _moving_car(before, now, slot)
            if car is not None and car.y >= (_FOG if now[2] == 2 else 64):
                found.append(car)
    passed = racer_y(now) + 10
    return sorted((car for car in found if car.y < passed), key=lambda car: -car.y)


def _car(memory: Pixels, slot: int) -> Car:
    day, dark, side, _ = _SLOTS[slot]
    y = int(memory[11 + slot]) + day + (dark if memory[122] < 2 else 0)
    x = 15 * (int(memory[3 + slot]) & 15) - _signed(memory[3 + slot] & 240) // 16 + side
    return Car(x, y, (x - road(memory, y)) / _half_width(y))


def _moving_car(before: Pixels | None, now: Pixels, slot: int) -> Car | None:
    """A car that changes its slot; the screen still shows it at the edge of the old one."""
    for last in (slot + 1, slot, slot - 1):
        if before is None or not 0 <= last < 7:
            continue
        if before[27 + last] == now[27 + slot] and before[3 + last] != _NONE:
            old = _car(before, last)
            y = old.y if last == slot else _SLOTS[max(last, slot) - 1][3] - 2
            return Car(road(now, y) + old.across * _half_width(y), y, old.across)
    return None


def road(memory: Pixels, y: int) -> float:
    """The x of the road's centre at a row.

    Bytes: 46 is the road's distance to the right of the screen's centre, 34 its bend to the right.
    """
    below = max((row for row in _BEND if row[0] <= y), default=_BEND[0])
    above = min((row for row in _BEND if row[0] > y), default=_BEND[-1])
    share = (y - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
    bend = below[1] + max(0.0, min(1.0, share)) * (above[1] - below[1])
    return 87.5 + 1.01 * _signed(memory[46]) + bend * _signed(memory[34])


def racer_x(memory: Pixels) -> float:
    """The x of the player's car, at its centre."""
    return 85.2 - 0.5624 * _signed(memory[46])


def racer_y(memory: Pixels) -> int:
    """The topmost row of the player's car; it rises with the speed, which is byte 22."""
    return 144 - int(memory[22]) // 8


def advise_enduro(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Steer to the safest lane, and press FIRE all the time."""
    ahead = cars(before, now)
    row = racer_y(now) + 5
    middle, x = road(now, row), racer_x(now)
    lane = min((0, -1, 1), key=lambda lane: _danger(lane * _LANE, x - middle, now, ahead))
    aim = middle + lane * _LANE
    push = 0.5 * (aim - x) + _signed(now[34]) / 50  # cars drift to the outside of a bend
    plans = push_plans(push, "LEFTFIRE", "RIGHTFIRE", frame_skip)
    coasting = Plan("NOOP", frame_skip)
    if coasting in plans:
        plans[Plan("FIRE", frame_skip)] = plans.pop(coasting)
    clauses = [f"racer {round(x)} {racer_y(now)}"]
    for name, car in zip(("car", "next"), [*ahead[:2], None, None], strict=False):
        clauses.append(f"{name} {_clip(car.x, 159)} {_clip(car.y, 209)}" if car else f"no {name}")
    weight = 2.5 if ahead and ahead[0].y > 85 and abs(aim - x) > 5 else 1.0
    return Advice(f"{', '.join(clauses)}, aim {_clip(aim, 159)}", plans, weight)


def _danger(target: float, offset: float, now: Pixels, ahead: list[Car]) -> float:
    """The risk of driving from `offset` to `target`, in pixels right of the road's centre.

    A car approaches in proportion to its distance below the horizon, so the time until it is met
    is a logarithm. Cars that are met soon count most.
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


def _half_width(y: int) -> float:
    """Half of the road's width at a row."""
    return max(2.0, 49 - (152 - y) * 0.5)


def _signed(byte: int) -> int:
    return (int(byte) + 128) % 256 - 128


def _clip(value: float, most: int) -> int:
    return max(0, min(most, round(value)))


ENDURO = ExpertPolicy("enduro", advise_enduro)
