"""The answers about Space Invaders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.types import Pixels


def perturb(memory: Pixels, rng: np.random.Generator) -> Mapping[int, int]:
    """Move player and bombs; at times leave fewer invaders, further down."""
    changes = {28: int(rng.integers(35, 118))}
    for bomb in (0, 1):
        if 20 < memory[81 + bomb] < 97:
            changes[81 + bomb] = int(rng.integers(60, 86))
            changes[83 + bomb] = int(rng.integers(35, 124))
    if memory[42] == 0 and rng.random() < 0.3:
        kept = float(rng.choice((0.1, 0.3, 0.6)))
        rows = [int(row) & _bits(rng, kept) for row in memory[18:24]]
        if any(rows):
            changes |= {18 + i: row for i, row in enumerate(rows)}
            changes[17] = sum(row.bit_count() for row in rows)
            lowest = next(i for i, row in enumerate(rows) if row)
            changes[16] = 5 * int(rng.integers(0, 4 + lowest))
    return changes


def _bits(rng: np.random.Generator, kept: float) -> int:
    return sum(1 << column for column in range(6) if rng.random() < kept)


_BOMBS = (
    "bomb {bomb_x:x} {bomb_y:y}, other {other_x:x} {other_y:y}",
    "bomb {bomb_x:x} {bomb_y:y}, no other",
    "no bomb, no other",
)
_TARGETS = ("target {target_x:x} {target_y:y}", "no target")

SPACE_INVADERS = AnswerSchema(
    game="space_invaders",
    answers=(
        *(
            f"player {{player:x}}, {bombs}, {target}, aim {{aim:x}}: {{plan:plan}}"
            for bombs in _BOMBS
            for target in _TARGETS
        ),
        "{plan:plan}",
    ),
    actions=("FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"),
    plan_frames=(4,),
    loss_weights={"aim": 3.0, "plan": 2.0},
    perturb=perturb,
    episode_length=(300, 1500),
)
