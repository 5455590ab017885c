"""The answers about Private Eye."""

from __future__ import annotations

import itertools

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.types import Pixels

_STAGES = {
    "new": (0, (0x00, 0x10)),
    "money": (24, (0x01, 0x60)),
    "banked": (0, (0x03, 0x60)),
    "gun": (20, (0x04, 0x10)),
    "solved": (0, (0x05, 0x10)),
    "thief": (28, (0x07, 0x60)),
}
"""Stage of the case -> byte 60, the carried item, and bytes 72 and 73, the score."""
_PLACES = 32


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """At times, move the car to another place at another stage of the case.

    The car is moved beyond the edge of the screen, and so enters the next place at once.
    """
    if memory[86] >= 23 or rng.random() < 0.7:
        return {}
    place, right = int(rng.integers(_PLACES)), bool(rng.random() < 0.5)
    item, (high, low) = _STAGES[str(rng.choice(tuple(_STAGES)))]
    edge = int(rng.integers(151, 158) if right else rng.integers(8, 13))
    return {92: place, 63: edge, 60: item, 72: high, 73: low}


PRIVATE_EYE = AnswerSchema(
    game="private_eye",
    answers=(
        *(
            f"place {{place:x}}, stage {{stage:stage}}, car {{car:x}}, {hazard}, {suspect}, "
            "aim {way:way} {deed:deed}: {plan:plan}"
            for hazard, suspect in itertools.product(
                ("hazard {hazard:x}", "no hazard"), ("suspect {suspect:x}", "no suspect")
            )
        ),
        "{plan:plan}",
    ),
    kinds={
        "stage": tuple(_STAGES),
        "way": ("left", "right", "enter", "wait"),
        "deed": ("drive", "jump"),
    },
    actions=("RIGHT", "LEFT", "UP", "RIGHTFIRE", "LEFTFIRE"),
    plan_frames=(2, 4),
    loss_weights={"stage": 2.0, "way": 3.0, "deed": 3.0, "plan": 2.0},
    perturb=_perturb,
    episode_length=(300, 2_600),
)
