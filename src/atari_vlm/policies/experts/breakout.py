"""Breakout: be where the ball will land."""

from __future__ import annotations

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, fold, moving, steer
from atari_vlm.types import Pixels


def advise_breakout(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Be where the ball will land, a little off-centre; press FIRE when there is no ball.

    Bytes: 99 and 101 the ball's x and y (y is 0 while there is no ball), 72 the paddle's x.
    """
    paddle = int(now[72]) - 39
    if not now[101]:
        words = f"no ball, paddle {paddle}, aim {paddle}"
        return Advice(words, {("FIRE", min(2, longest)): 1.0})
    x, y = max(0, min(159, int(now[99]) - 47)), min(209, int(now[101]) + 11)
    target, words, weight = float(x), f"ball {x} {y} new", 1.0
    if before is not None and before[101]:
        dx, dy = int(now[99]) - int(before[99]), int(now[101]) - int(before[101])
        words = f"ball {x} {y} {moving(dx, dy)}"
        if dy > 0:
            target = fold(x + dx * max(0, 189 - y) / dy, 10, 153)
            weight = 2.0 if y < 120 else 3.0
    target = max(16.0, min(152.0, target + 2))
    coast = 0.0 if before is None else 0.5 * (int(now[72]) - int(before[72]))
    plans = steer((target - paddle - coast) / 6, "LEFT", "RIGHT", longest)
    return Advice(f"{words}, paddle {paddle}, aim {round(target)}", plans, weight)


BREAKOUT = ExpertPolicy("breakout", advise_breakout)
