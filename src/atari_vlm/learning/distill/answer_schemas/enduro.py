"""The answers about Enduro."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.types import Pixels

_CLOCK, _SPEED, _SIDE = 49, 22, 46
_DAY_ENDS = 192
"""Byte 49 counts the day down from 255; it ends below this value."""


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Set another hour of the day at times, and otherwise move the car across the road.

    Snow, dusk, night and fog come late in a day and are rare in short episodes.
    """
    if rng.random() < 0.25:
        return {_CLOCK: int(rng.integers(_DAY_ENDS + 4, 256))}
    return {_SIDE: int(rng.integers(-18, 19)) % 256}


ENDURO = AnswerSchema(
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
    loss_weights={"aim": 3.0, "plan": 2.0},
    perturb=_perturb,
    episode_length=(400, 1500),
)
