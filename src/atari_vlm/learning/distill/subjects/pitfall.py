"""How Pitfall! is talked about."""

from __future__ import annotations

import itertools

import numpy as np

from atari_vlm.learning.distill.subjects.base import Subject
from atari_vlm.types import Pixels

_SCENES = 60
"""Scenes to the right of the first that Harry is put into."""
_ROAD = 32


def _move(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Now and then run into another scene, or to another place of this one.

    Where Harry is put beyond the right edge, the game shows the next scene at once.
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
    """The scene to the right, which a shift register makes of this one."""
    bit = (scene >> 3 ^ scene >> 4 ^ scene >> 5 ^ scene >> 7) & 1
    return (scene << 1 | bit) & 255


PITFALL = Subject(
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
    lengths=(4,),
    stress={"aim": 3.0, "x": 2.0, "plan": 2.0},
    scatter=_move,
    length=(300, 2_500),
)
