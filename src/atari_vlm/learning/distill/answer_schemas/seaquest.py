"""The answers about Seaquest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.types import Pixels


def perturb(memory: Pixels, rng: np.random.Generator) -> Mapping[int, int]:
    """Move the player, and at times change the oxygen and the number of divers aboard."""
    if memory[105] or memory[97] < 20:  # sinking, or taking air at the surface
        return {}
    changes = {70: int(rng.integers(21, 135)), 97: int(rng.integers(24, 109))}
    if rng.random() < 0.4:
        changes[102] = int(rng.integers(8, 65))
    if rng.random() < 0.3:
        changes[62] = int(rng.integers(0, 7))
    return changes


_TARGETS = ("diver {target_x:x} {target_y:y}", "enemy {target_x:x} {target_y:y}", "no enemy")
_THREATS = ("threat {threat_x:x} {threat_y:y}", "no threat")

SEAQUEST = AnswerSchema(
    game="seaquest",
    answers=(
        *(
            f"player {{player_x:x}} {{player_y:y}}, oxygen {{oxygen:x}}, {target}, {threat}, "
            "aim {aim:y}: {plan:plan}"
            for target in _TARGETS
            for threat in _THREATS
        ),
        "{plan:plan}",
    ),
    actions=(
        "FIRE",
        "UP",
        "RIGHT",
        "LEFT",
        "DOWN",
        "UPRIGHT",
        "UPLEFT",
        "DOWNRIGHT",
        "DOWNLEFT",
        "RIGHTFIRE",
        "LEFTFIRE",
    ),
    plan_frames=(4,),
    loss_weights={"aim": 3.0, "plan": 2.0},
    perturb=perturb,
    episode_length=(400, 2500),
)
