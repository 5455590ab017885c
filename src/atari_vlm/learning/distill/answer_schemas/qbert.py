"""The answers about Q*bert, and changes of the pyramid."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.policies.experts.qbert import COLOURS
from atari_vlm.types import Pixels

_ROUNDS = ((148, 26), (26, 148), (10, 4), (152, 26), (26, 148, 214))
"""Colours of the cubes in the first rounds; the last one is the target."""
_ROW_HEIGHT, _HALF_CUBE = 28, 12


def perturb_qbert(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Set another round with random colours, and put Q*bert on a random cube."""
    height = int(memory[67]) - 25
    standing = height >= 0 and not height % _ROW_HEIGHT and not memory[55] and not memory[59]
    colours = {int(memory[byte]) for byte in COLOURS.values()}
    here = (height // _ROW_HEIGHT, int(memory[35]))
    # Byte 115 is 1 after the first hop. Only then does the score have the target colour.
    if memory[115] != 1 or not standing or here not in COLOURS or len(colours) == 1:
        return {}
    number = int(rng.integers(len(_ROUNDS)))
    painted = rng.random()
    changes = {99: number}
    for byte in COLOURS.values():
        step = int(rng.integers(1, len(_ROUNDS[number]))) if rng.random() < painted else 0
        changes[byte] = _ROUNDS[number][step]
    # A pyramid without a cube to colour would never end the round.
    for bare in rng.choice(list(COLOURS.values()), 2, replace=False):
        changes[int(bare)] = _ROUNDS[number][0]
    row, column = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    fall = row * _ROW_HEIGHT - height
    x = 17 + _HALF_CUBE * column + 4 * (column > 5)
    moved = {35: column, 43: x}
    moved.update({byte: (int(memory[byte]) + fall) % 256 for byte in (33, 67, 68)})
    return {**changes, **moved}


QBERT = AnswerSchema(
    game="qbert",
    answers=(
        "qbert {x:x} {y:y}, enemy {enemy_x:x} {enemy_y:y} snake, "
        "aim {aim_x:x} {aim_y:y}: {plan:plan}",
        "qbert {x:x} {y:y}, enemy {enemy_x:x} {enemy_y:y} ball, "
        "aim {aim_x:x} {aim_y:y}: {plan:plan}",
        "qbert {x:x} {y:y}, no enemy, aim {aim_x:x} {aim_y:y}: {plan:plan}",
        "qbert {x:x} {y:y} busy: {plan:plan}",
        "no qbert: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("UP", "RIGHT", "LEFT", "DOWN"),
    plan_frames=(4,),
    loss_weights={"aim_x": 3.0, "aim_y": 3.0, "plan": 2.0},
    perturb=perturb_qbert,
    episode_length=(200, 1_200),
)
