"""The answers about Breakout."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema, within
from atari_vlm.types import Pixels

_BRICKS = range(36)
_MOVE = within({99: (57, 200), 72: (55, 191)})


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Move ball and paddle, and at times remove bricks, as late in a game."""
    changes = dict(_MOVE(memory, rng))
    if changes and rng.random() < 0.3:
        kept = rng.random()
        for byte in _BRICKS:
            mask = int(np.packbits(rng.random(8) < kept)[0])
            changes[byte] = int(memory[byte]) & mask
    return changes


BREAKOUT = AnswerSchema(
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
    loss_weights={"aim": 3.0, "plan": 2.0},
    perturb=_perturb,
    episode_length=(200, 2_000),
)
