"""The answers about Montezuma's Revenge, and the positions to which Joe is moved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.policies.experts.montezuma_revenge import BEAMS, FIRST, PIT, SPIDER
from atari_vlm.types import Pixels

_STANDS, _CLIMBS, _HANGS = 8, 10, 4
_PLACES: Mapping[int, tuple[tuple[int, int, int, int, int], ...]] = {
    FIRST: (
        (20, 50, 235, 235, _STANDS),
        (68, 88, 235, 235, _STANDS),
        (68, 88, 235, 235, _STANDS),
        (104, 130, 235, 235, _STANDS),
        (77, 77, 198, 230, _CLIMBS),
        (58, 96, 192, 192, _STANDS),
        (109, 109, 188, 211, _HANGS),
        (122, 142, 192, 192, _STANDS),
        (133, 133, 154, 188, _CLIMBS),
        (18, 136, 148, 148, _STANDS),
        (18, 136, 148, 148, _STANDS),
        (21, 21, 154, 188, _CLIMBS),
        (12, 34, 192, 192, _STANDS),
    ),
    BEAMS: (
        (20, 30, 235, 235, _STANDS),
        (52, 104, 235, 235, _STANDS),
        (127, 133, 235, 235, _STANDS),
        (146, 150, 235, 235, _STANDS),
        (77, 77, 120, 230, _CLIMBS),
    ),
    SPIDER: ((77, 77, 120, 204, _CLIMBS), (77, 77, 244, 253, _CLIMBS)),
    PIT: ((77, 77, 242, 252, _CLIMBS), (15, 30, 235, 235, _STANDS)),
}
"""Room -> (lowest x, highest x, lowest y, highest y, pose) of its places: bytes 42, 43 and 53."""
_CALM = (_STANDS, 18, _CLIMBS, _HANGS, 14, 0)


def perturb_montezuma_revenge(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Move Joe and the beast within the room, at times with the key."""
    room = int(memory[3])
    opened = room == FIRST and not memory[66] & 1 and not memory[65] & 2
    if memory[53] not in _CALM or room not in _PLACES or opened:
        return {}
    places = _PLACES[room]
    left, right, low, high, does = places[int(rng.integers(len(places)))]
    x, y = int(rng.integers(left, right + 1)), int(rng.integers(low, high + 1))
    changes = {42: x, 43: y, 53: does}
    if room == FIRST:
        skull = int(rng.integers(23, 72))
        if abs(skull + 33 - x) > 18:
            changes[47] = skull
        elif y == 148:
            return {}
        if memory[66] & 1 and not memory[65] and rng.random() < 0.3:
            changes |= {65: 2, 66: int(memory[66]) & ~1, 67: int(memory[67]) & ~1, 49: 0}
            changes[101] = int(memory[101]) + 1  # number of things that Joe carries
    if room == SPIDER and memory[66] & 1:
        changes[44] = int(rng.integers(8, 120))
    return changes


_AIM = "aim {aim_x:x} {aim_y:y}: {plan:plan}"

MONTEZUMA_REVENGE = AnswerSchema(
    game="montezuma_revenge",
    answers=(
        f"joe {{x:x}} {{y:y}}, skull {{skull:x}}, key {{key:key}}, {_AIM}",
        f"joe {{x:x}} {{y:y}}, no skull, key {{key:key}}, {_AIM}",
        f"joe {{x:x}} {{y:y}}, beams {{beams:beams}}, jewel {{jewel:jewel}}, {_AIM}",
        f"joe {{x:x}} {{y:y}}, spider {{spider:x}}, {_AIM}",
        f"joe {{x:x}} {{y:y}}, no spider, {_AIM}",
        f"joe {{x:x}} {{y:y}}, floor {{floor:floor}}, jewel {{jewel:jewel}}, {_AIM}",
        "joe {x:x} {y:y} lost: {plan:plan}",
        "joe {x:x} {y:y} elsewhere: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("FIRE", "UP", "RIGHT", "LEFT", "DOWN", "RIGHTFIRE", "LEFTFIRE"),
    plan_frames=(2, 4),
    kinds={
        "key": ("there", "taken", "used"),
        "beams": ("on", "vanished", "off"),
        "jewel": ("there", "taken"),
        "floor": ("there", "new", "gone"),
    },
    loss_weights={"aim_x": 3.0, "aim_y": 3.0, "plan": 2.0},
    perturb=perturb_montezuma_revenge,
    episode_length=(300, 900),
)
