"""How Enduro is talked about."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.subjects.base import Subject
from atari_vlm.types import Pixels

_CLOCK, _SPEED, _SIDE = 49, 22, 46
_DAY_ENDS = 192
"""Byte 49 counts the day down from 255; it ends below this value."""


def _scatter(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Another hour of the day at times, another place on the road otherwise.

    Snow, dusk, night and fog come late in a day, and would else be rare.
    """
    if rng.random() < 0.25:
        return {_CLOCK: int(rng.integers(_DAY_ENDS + 4, 256))}
    return {_SIDE: int(rng.integers(-18, 19)) % 256}


ENDURO = Subject(
    game="enduro",
    answers=(
        "racer {racer_x:x} {racer_y:y}, car {car_x:x} {car_y:y}, next {next_x:x} {next_y:y}, "
        "aim {aim:x}: {plan:plan}",
        "racer {racer_x:x} {racer_y:y}, car {car_x:x} {car_y:y}, no next, aim {aim:x}: {plan:plan}",
        "racer {racer_x:x} {racer_y:y}, no car, no next, aim {aim:x}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("FIRE", "LEFTFIRE", "RIGHTFIRE"),
    axis=("LEFTFIRE", "RIGHTFIRE"),
    stress={"aim": 3.0, "plan": 2.0},
    scatter=_scatter,
    length=(400, 1500),
)
