"""How Space Invaders is talked about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atari_vlm.learning.distill.subjects.base import Subject
from atari_vlm.types import Pixels


def scatter(memory: Pixels, rng: np.random.Generator) -> Mapping[int, int]:
    """Move player and bombs; sometimes leave fewer invaders, further down."""
    poked = {28: int(rng.integers(35, 118))}
    for bomb in (0, 1):
        if 20 < memory[81 + bomb] < 97:
            poked[81 + bomb] = int(rng.integers(60, 86))
            poked[83 + bomb] = int(rng.integers(35, 124))
    if memory[42] == 0 and rng.random() < 0.3:
        kept = float(rng.choice((0.1, 0.3, 0.6)))
        rows = [int(row) & _bits(rng, kept) for row in memory[18:24]]
        if any(rows):
            poked |= {18 + i: row for i, row in enumerate(rows)}
            poked[17] = sum(row.bit_count() for row in rows)
            lowest = next(i for i, row in enumerate(rows) if row)
            poked[16] = 5 * int(rng.integers(0, 4 + lowest))
    return poked


def _bits(rng: np.random.Generator, kept: float) -> int:
    return sum(1 << column for column in range(6) if rng.random() < kept)


_BOMBS = (
    "bomb {bomb_x:x} {bomb_y:y}, other {other_x:x} {other_y:y}",
    "bomb {bomb_x:x} {bomb_y:y}, no other",
    "no bomb, no other",
)
_TARGETS = ("target {target_x:x} {target_y:y}", "no target")

SPACE_INVADERS = Subject(
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
    lengths=(4,),
    stress={"aim": 3.0, "plan": 2.0},
    scatter=scatter,
    length=(300, 1500),
)
