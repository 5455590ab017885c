"""Pong: meet the ball where it will cross the paddle's line."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, fold, moving, steer
from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True)
class PongAim:
    """Where the Pong expert puts its paddle; found by playing full episodes."""

    offset: float = 2.5
    """The paddle's centre goes this far below the ball's, for returns that are hard to reach."""
    contact: int = 143
    """Ball x at which heights are compared: behind the paddle's edge, which is at 140."""
    push: float = 6.0
    """Pixels the paddle moves for each frame it is pushed."""


_AIM = PongAim()
_PONG_TOP, _PONG_BOTTOM, _PONG_CENTRE = 32, 195, 120


def advise_pong(before: Pixels | None, now: Pixels, longest: int, aim: PongAim = _AIM) -> Advice:
    """Meet the ball where it will cross the paddle's line; wait in the middle otherwise.

    Bytes: 49 and 54 the ball's x and y (y is 0 while there is no ball), 51 the paddle's y.
    """
    paddle = int(now[51]) - 5
    target, words, weight = float(_PONG_CENTRE), "no ball", 0.5
    if now[54]:
        x, y = int(now[49]) - 48, int(now[54]) - 12
        words = f"ball {max(0, min(159, x))} {y} new"
        if before is not None and before[54]:
            dx, dy = x - (int(before[49]) - 48), y - (int(before[54]) - 12)
            words = f"ball {max(0, min(159, x))} {y} {moving(dx, dy)}"
            if dx > 0:
                flight = max(0, aim.contact - x) / dx
                target = fold(y + dy * flight, _PONG_TOP, _PONG_BOTTOM) + aim.offset
                weight = 2.0 if x < 70 else 3.0
    push = (target - paddle) / aim.push
    plans = steer(push, "RIGHT", "LEFT", longest)
    words += f", paddle {paddle}, aim {round(target)}"
    return Advice(words, plans, weight)


PONG = ExpertPolicy("pong", advise_pong)
