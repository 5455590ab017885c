"""The answers about Pitfall!."""

from __future__ import annotations

import itertools

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.types import Pixels

_SCENES = 60
"""Number of scenes to the right of the first to which Harry may be moved."""
_ROAD = 32


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """At times, move Harry to another scene or within this one.

    The game shows the next scene at once if Harry is beyond the right edge.
    """
    if memory[105] != _ROAD or rng.random() < 0.6:
        return {}
    if rng.random() < 0.4:
        return {97: int(rng.integers(9, 44))}
    scene = int(memory[1])
    for _ in range(int(rng.integers(_SCENES))):
        scene = _next(scene)
    return {1: scene, 97: 150}


def _next(scene: int) -> int:
    """The scene to the right: the next state of the game's shift register."""
    bit = (scene >> 3 ^ scene >> 4 ^ scene >> 5 ^ scene >> 7) & 1
    return (scene << 1 | bit) & 255


PITFALL = AnswerSchema(
    game="pitfall",
    answers=(
        *(
            f"harry {{x:x}} {{y:y}}, ground {{ground:ground}}, {vine}, {threat}, "
            "aim {aim:way}: {plan:plan}"
            for vine, threat in itertools.product(
                ("vine {vine:x} moving {swing:across}", "no vine"),
                ("threat {threat:x}", "no threat"),
            )
        ),
        "{plan:plan}",
    ),
    kinds={
        "ground": ("hole", "holes", "pit", "flat", "jaws", "heads"),
        "way": ("right", "left", "jump", "hop", "climb", "drop", "wait"),
    },
    actions=("RIGHT", "LEFT", "RIGHTFIRE", "FIRE", "UP", "DOWN"),
    plan_frames=(4,),
    loss_weights={"aim": 3.0, "x": 2.0, "plan": 2.0},
    perturb=_perturb,
    episode_length=(300, 2_500),
)
