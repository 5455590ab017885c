"""How Breakout is talked about."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.subjects.base import Subject, within
from atari_vlm.types import Pixels

_BRICKS = range(36)
_MOVE = within({99: (57, 200), 72: (55, 191)})


def _scatter(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Move ball and paddle, and now and then take bricks away, as late in a game."""
    pokes = dict(_MOVE(memory, rng))
    if pokes and rng.random() < 0.3:
        kept = rng.random()
        for byte in _BRICKS:
            mask = int(np.packbits(rng.random(8) < kept)[0])
            pokes[byte] = int(memory[byte]) & mask
    return pokes


BREAKOUT = Subject(
    game="breakout",
    answers=(
        "ball {ball_x:x} {ball_y:y} moving {dx:across} {dy:along}, "
        "paddle {paddle:x}, aim {aim:x}: {plan:plan}",
        "ball {ball_x:x} {ball_y:y} new, paddle {paddle:x}, aim {aim:x}: {plan:plan}",
        "no ball, paddle {paddle:x}, aim {aim:x}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("FIRE", "LEFT", "RIGHT"),
    axis=("LEFT", "RIGHT"),
    stress={"aim": 3.0, "plan": 2.0},
    scatter=_scatter,
    length=(200, 2_000),
)
