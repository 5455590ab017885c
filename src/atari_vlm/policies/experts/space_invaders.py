"""Space Invaders: stand under the nearest invader of the lowest row, beside every bomb."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels

_FIRST, _LAST = 37, 119
"""Where the player's centre can be."""
_WALLS = 26, 137
"""The outermost invader's centre turns round here."""
_GUN_Y, _SHOT_SPEED = 178, 8
"""An invader whose middle is this low is hit at once; the pixels a shot flies in a decision."""
_WIDE = 4
"""A shot hits within this distance of an invader's centre."""
_BESIDE = 6
"""A bomb misses at this distance from the player's centre."""
_BLIND = 4
"""Drift, in pixels, that a shot forgives when the way the invaders go cannot be seen."""
_SPEEDS = ((1, 4.8), (2, 2.2), (3, 1.65), (4, 0.9), (7, 0.7), (18, 0.38), (36, 0.12))
"""(invaders left at most, pixels they walk in a decision on average)."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The lowest invader of a column."""

    x: int
    y: int
    hit: float
    """Where it will be when a shot fired now comes to it, as far as its way can be seen."""
    doubt: float
    """How far from there it may be, in pixels."""


def advise_space_invaders(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Stand under the nearest invader of the lowest row, but never under a bomb.

    Bytes: 28 the player's x; 81 and 82 the bombs' y, 83 and 84 their x; 18 to 23 the rows of
    invaders from the lowest up, a bit for each column; 26 and 16 where the invaders are.
    """
    player = int(now[28]) + 2
    targets = _targets(before, now)
    bombs = _bombs(now)
    words = [f"player {player}"]
    words += [f"{name} {x} {y}" for name, (x, y) in zip(("bomb", "other"), bombs, strict=False)]
    words += [f"no {name}" for name in ("bomb", "other")[len(bombs) :]]
    goal = float(player)
    if targets:
        best = min(targets, key=lambda target: (-target.y, abs(target.hit - player)))
        words.append(f"target {best.x} {best.y}")
        if best.doubt <= _BLIND or abs(best.hit - player) > best.doubt:
            goal = best.hit
    else:
        words.append("no target")
    aim = round(_beside(bombs, player, goal))
    fire = any(abs(t.hit - player) <= _WIDE and t.doubt <= _BLIND for t in targets)
    action = "LEFT" if aim < player - 1 else "RIGHT" if aim > player + 1 else ""
    plan = (action + "FIRE" * fire or "NOOP", longest)
    danger = any(abs(x - player) <= _BESIDE for x, _ in bombs)
    return Advice(", ".join([*words, f"aim {aim}"]), {plan: 1.0}, 3.0 if danger else 1.0)


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
    """How far the invaders get if they turn round at the walls."""
    low, high = _WALLS[0] - left, _WALLS[1] - right
    if drift < low:
        return 2 * low - drift
    return min(drift, 2 * high - drift)


def _bombs(now: Pixels) -> list[tuple[int, int]]:
    """Where the tips of the bombs are, the lowest first."""
    tips = [
        (int(now[83 + i]) - 2, 2 * int(now[81 + i]) + 9) for i in (0, 1) if 20 < now[81 + i] < 97
    ]
    return sorted(tips, key=lambda tip: -tip[1])


def _beside(bombs: list[tuple[int, int]], player: int, goal: float) -> float:
    """The place nearest to the goal that can be reached without passing under a bomb."""
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
