"""Pong: meet the ball where it will cross the paddle's line."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import (
    Advice,
    ExpertPolicy,
    describe_motion,
    push_plans,
    reflect,
)
from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True)
class PongAim:
    """Where the Pong expert puts its paddle; tuned by playing full episodes."""

    offset: float = 2.5
    """Pixels from the ball's centre down to the paddle's; returns then are hard to reach."""
    contact: int = 143
    """Ball x at which heights are compared. The paddle's edge is at 140."""
    push: float = 6.0
    """Pixels the paddle moves in each frame of a push."""


_AIM = PongAim()
_PONG_TOP, _PONG_BOTTOM, _PONG_CENTRE = 32, 195, 120


def advise_pong(before: Pixels | None, now: Pixels, frame_skip: int, aim: PongAim = _AIM) -> Advice:
    """Meet the ball where it will cross the paddle's line; wait in the middle otherwise.

    Bytes: 49 and 54 are the ball's x and y (y is 0 without a ball), 51 is the paddle's y.
    """
    paddle = int(now[51]) - 5
    target, description, weight = float(_PONG_CENTRE), "no ball", 0.5
    if now[54]:
        x, y = int(now[49]) - 48, int(now[54]) - 12
        description = f"ball {max(0, min(159, x))} {y} new"
        if before is not None and before[54]:
            dx, dy = x - (int(before[49]) - 48), y - (int(before[54]) - 12)
            description = f"ball {max(0, min(159, x))} {y} {describe_motion(dx, dy)}"
            if dx > 0:
                flight = max(0, aim.contact - x) / dx
                target = reflect(y + dy * flight, _PONG_TOP, _PONG_BOTTOM) + aim.offset
                weight = 2.0 if x < 70 else 3.0
    push = (target - paddle) / aim.push
    plans = push_plans(push, "RIGHT", "LEFT", frame_skip)
    description += f", paddle {paddle}, aim {round(target)}"
    return Advice(description, plans, weight)


PONG = ExpertPolicy("pong", advise_pong)
