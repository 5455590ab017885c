"""Space Invaders: stand under the nearest invader of the lowest row, and avoid bombs."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

_FIRST, _LAST = 37, 119
"""The range of x of the player's centre."""
_WALLS = 26, 137
"""X of the outermost invader's centre where the invaders turn round."""
_GUN_Y, _SHOT_SPEED = 178, 8
"""Y of the gun; a shot hits an invader at this y at once. Pixels a shot flies in a decision."""
_WIDE = 4
"""Distance from an invader's centre within which a shot hits, in pixels."""
_BESIDE = 6
"""Distance from the player's centre at which a bomb misses, in pixels."""
_BLIND = 4
"""Drift in pixels up to which to fire although the invaders' direction is unknown."""
_SPEEDS = ((1, 4.8), (2, 2.2), (3, 1.65), (4, 0.9), (7, 0.7), (18, 0.38), (36, 0.12))
"""(largest number of invaders, pixels that they walk in a decision on average)."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The lowest invader of a column."""

    x: int
    y: int
    hit: float
    """Expected x when a shot fired now arrives."""
    doubt: float
    """Largest distance from `hit`, in pixels; above 0 if the direction is unknown."""


def advise_space_invaders(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Stand under the nearest invader of the lowest row, but never under a bomb.

    Bytes: 28 is the player's x; 81 and 82 are the bombs' y, 83 and 84 their x; 18 to 23 are the
    rows of invaders from the lowest up, with a bit for each column; 26 and 16 are the invaders' x
    and y.
    """
    player = int(now[28]) + 2
    targets = _targets(before, now)
    bombs = _bombs(now)
    clauses = [f"player {player}"]
    clauses += [f"{name} {x} {y}" for name, (x, y) in zip(("bomb", "other"), bombs, strict=False)]
    clauses += [f"no {name}" for name in ("bomb", "other")[len(bombs) :]]
    goal = float(player)
    if targets:
        best = min(targets, key=lambda target: (-target.y, abs(target.hit - player)))
        clauses.append(f"target {best.x} {best.y}")
        if best.doubt <= _BLIND or abs(best.hit - player) > best.doubt:
            goal = best.hit
    else:
        clauses.append("no target")
    aim = round(_beside(bombs, player, goal))
    fire = any(abs(t.hit - player) <= _WIDE and t.doubt <= _BLIND for t in targets)
    action = "LEFT" if aim < player - 1 else "RIGHT" if aim > player + 1 else ""
    plan = Plan(action + "FIRE" * fire or "NOOP", frame_skip)
    danger = any(abs(x - player) <= _BESIDE for x, _ in bombs)
    return Advice(", ".join([*clauses, f"aim {aim}"]), {plan: 1.0}, 3.0 if danger else 1.0)


def _targets(before: Pixels | None, now: Pixels) -> list[_Target]:
    """The lowest invader of every column, from left to right."""
    count = sum(int(row).bit_count() for row in now[18:24])
    walked = 0 if before is None else int(now[26]) - int(before[26])
    walked = 0 if abs(walked) > 8 else walked
    speed = next((speed for most, speed in _SPEEDS if count <= most), 0.0)
    lowest: list[tuple[int, int]] = []
    for column in range(6):
        rows = [row for row in range(6) if now[18 + row] >> column & 1]
        if rows:
            lowest.append((int(now[26]) + 3 + 16 * column, 126 + 2 * int(now[16]) - 18 * rows[0]))
    targets = []
    for x, y in lowest:
        drift = speed * max(0.0, (_GUN_Y - y) / _SHOT_SPEED)
        hit = float(x)
        if walked:
            hit += _turned(drift if walked > 0 else -drift, lowest[0][0], lowest[-1][0])
        targets.append(_Target(x, min(y, 209), hit, 0.0 if walked else drift))
    return targets


def _turned(drift: float, left: int, right: int) -> float:
    """The drift of the invaders if they turn round at the walls."""
    low, high = _WALLS[0] - left, _WALLS[1] - right
    if drift < low:
        return 2 * low - drift
    return min(drift, 2 * high - drift)


def _bombs(now: Pixels) -> list[tuple[int, int]]:
    """Screen x and y of the tips of the bombs, the lowest first."""
    tips = [
        (int(now[83 + i]) - 2, 2 * int(now[81 + i]) + 9) for i in (0, 1) if 20 < now[81 + i] < 97
    ]
    return sorted(tips, key=lambda tip: -tip[1])


def _beside(bombs: list[tuple[int, int]], player: int, goal: float) -> float:
    """The x nearest to the goal that the player reaches without passing under a bomb."""
    low, high = float(_FIRST), float(_LAST)
    for x, y in bombs:
        if y < 130:
            continue
        left, right = x - _BESIDE, x + _BESIDE
        rightwards = x <= player if left >= _FIRST and right <= _LAST else left < _FIRST
        if rightwards and right <= high:
            low = max(low, right)
        elif not rightwards and left >= low:
            high = min(high, left)
    return max(low, min(high, goal))


SPACE_INVADERS = ExpertPolicy("space_invaders", advise_space_invaders)
