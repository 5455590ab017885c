"""How Asteroids is talked about."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.subjects.base import Subject
from atari_vlm.policies.experts.asteroids import NOSES
from atari_vlm.types import Pixels

_HEADING, _SHIP_Y, _ROCKS_Y, _ROCKS_X, _NOTHING = 60, 74, 3, 21, 224
"""First bytes of what is moved; the y of what is not there."""


def _scatter(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Turn the ship, and spread the rocks over the width of the picture.

    Their heights stay: the console draws them in that order, which must not change.
    """
    if memory[_SHIP_Y] == _NOTHING:
        return {}
    moved = {_HEADING: int(memory[_HEADING]) & 240 | int(rng.integers(16))}
    for slot in range(18):
        if memory[_ROCKS_Y + slot] not in (0, _NOTHING) and memory[_ROCKS_X + slot]:
            fine = int(rng.integers(-7, 8)) % 16
            moved[_ROCKS_X + slot] = fine << 4 | int(rng.integers(2, 10))
    return moved


ASTEROIDS = Subject(
    game="asteroids",
    answers=(
        "nose {nose:nose}, target {target_x:x} {target_y:y}: {plan:plan}",
        "nose {nose:nose}, no target: {plan:plan}",
        "no ship: {plan:plan}",
        "{plan:plan}",
    ),
    kinds={"nose": NOSES},
    actions=("LEFT", "LEFTFIRE"),
    lengths=(2,),
    stress={"nose": 2.0, "target_x": 1.5, "target_y": 1.5, "plan": 2.0},
    scatter=_scatter,
    length=(300, 1500),
)
