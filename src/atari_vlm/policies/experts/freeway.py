"""Freeway: walk up, and wait or step back for a car that would hit the chicken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, describe_dx
from atari_vlm.types import Pixels, Plan

_LANES = 27 + 16 * np.arange(10)
_CHICKEN_LEFT, _CHICKEN_RIGHT = 43, 52


def advise_freeway(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Walk up; wait or step back if a car would hit the chicken first.

    Bytes: 14 is the chicken's height above the kerb, 108 to 117 are the cars' x, bottom lane first.
    The chicken walks 1 pixel a frame. The description names the car in its lane and the one in the
    lane above.
    """
    y = 193 - int(now[14])
    cars = _cars(now)
    speed = np.zeros(10) if before is None else _wrapped(cars - _cars(before)) / frame_skip
    free = {
        action: _frames_until_hit(y, step, cars, speed, frame_skip)
        for action, step in (("UP", -1), ("NOOP", 0), ("DOWN", 1))
    }
    best = "UP" if free["UP"] > frame_skip + 3 else max(free, key=lambda action: free[action])
    lane = int(np.clip((y + 8 - 27) // 16, 0, 9))
    moved = np.rint(speed * frame_skip).astype(int)
    description = f"chicken {y}"
    for name, number in (("car", lane), ("next", max(0, lane - 1))):
        description += f", {name} {int(cars[number]) % 160} {describe_dx(int(moved[number]))}"
    return Advice(description, {Plan(best, frame_skip): 1.0}, 1.0 if best == "UP" else 2.0)


def _cars(memory: Pixels) -> NDArray[np.int64]:
    return memory[117:107:-1].astype(np.int64) - 3


def _wrapped(moved: NDArray[np.int64]) -> NDArray[np.int64]:
    return (moved + 80) % 160 - 80


def _frames_until_hit(
    y: int, step: int, cars: NDArray[np.int64], speed: NDArray[np.float64], frame_skip: int
) -> int:
    """Frames until a car touches the chicken if it walks for `frame_skip` frames and then stops."""
    for frame in range(1, frame_skip + 9):
        at = min(187, y + step * min(frame, frame_skip))
        x = (cars + speed * frame) % 160
        level = (at + 8 > _LANES - 1) & (at < _LANES + 11)
        if (level & (x + 9 >= _CHICKEN_LEFT) & (x <= _CHICKEN_RIGHT)).any():
            return frame
    return 999


FREEWAY = ExpertPolicy("freeway", advise_freeway)
