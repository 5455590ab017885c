"""Breakout: wait where the ball will land."""

from __future__ import annotations

from atari_vlm.policies.experts.base import (
    Advice,
    ExpertPolicy,
    describe_motion,
    push_plans,
    reflect,
)
from atari_vlm.types import Pixels, Plan


def advise_breakout(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Wait where the ball will land, a little off-centre; press FIRE when there is no ball.

    Bytes: 99 and 101 are the ball's x and y (y is 0 without a ball), 72 is the paddle's x.
    """
    paddle = int(now[72]) - 39
    if not now[101]:
        description = f"no ball, paddle {paddle}, aim {paddle}"
        return Advice(description, {Plan("FIRE", min(2, frame_skip)): 1.0})
    x, y = max(0, min(159, int(now[99]) - 47)), min(209, int(now[101]) + 11)
    target, description, weight = float(x), f"ball {x} {y} new", 1.0
    if before is not None and before[101]:
        dx, dy = int(now[99]) - int(before[99]), int(now[101]) - int(before[101])
        description = f"ball {x} {y} {describe_motion(dx, dy)}"
        if dy > 0:
            target = reflect(x + dx * max(0, 189 - y) / dy, 10, 153)
            weight = 2.0 if y < 120 else 3.0
    target = max(16.0, min(152.0, target + 2))
    coast = 0.0 if before is None else 0.5 * (int(now[72]) - int(before[72]))
    plans = push_plans((target - paddle - coast) / 6, "LEFT", "RIGHT", frame_skip)
    return Advice(f"{description}, paddle {paddle}, aim {round(target)}", plans, weight)


BREAKOUT = ExpertPolicy("breakout", advise_breakout)
