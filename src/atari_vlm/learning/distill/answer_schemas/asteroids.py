"""The answers about Asteroids."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.policies.experts.asteroids import NOSES
from atari_vlm.types import Pixels

_HEADING, _SHIP_Y, _ROCKS_Y, _ROCKS_X, _NOTHING = 60, 74, 3, 21, 224
"""First byte of each changed property; the y of an absent object."""


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Turn the ship, and spread the rocks over the width of the screen.

    The y of the rocks stays: the game draws them in that order, which must not change.
    """
    if memory[_SHIP_Y] == _NOTHING:
        return {}
    changes = {_HEADING: int(memory[_HEADING]) & 240 | int(rng.integers(16))}
    for slot in range(18):
        if memory[_ROCKS_Y + slot] not in (0, _NOTHING) and memory[_ROCKS_X + slot]:
            fine = int(rng.integers(-7, 8)) % 16
            changes[_ROCKS_X + slot] = fine << 4 | int(rng.integers(2, 10))
    return changes


ASTEROIDS = AnswerSchema(
    game="asteroids",
    answers=(
        "nose {nose:nose}, target {target_x:x} {target_y:y}: {plan:plan}",
        "nose {nose:nose}, no target: {plan:plan}",
        "no ship: {plan:plan}",
        "{plan:plan}",
    ),
    kinds={"nose": NOSES},
    actions=("LEFT", "LEFTFIRE"),
    plan_frames=(2,),
    loss_weights={"nose": 2.0, "target_x": 1.5, "target_y": 1.5, "plan": 2.0},
    perturb=_perturb,
    episode_length=(300, 1500),
)
