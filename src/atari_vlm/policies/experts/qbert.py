"""Q*bert: hop to the nearest cube without its colour, and avoid dangerous cubes.

A cube is (row, column): rows 0 to 5 from the top, columns in half cubes, so that every hop changes
row and column by one. Memory was compared with the pixels of unpooled screens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

Cube = tuple[int, int]

HOPS = {"DOWN": (1, -1), "RIGHT": (1, 1), "LEFT": (-1, -1), "UP": (-1, 1)}
"""Action -> its change of row and column; the order breaks ties."""
COLOURS: dict[Cube, int] = {
    (row, 5 - row + 2 * place): byte
    for row, places in enumerate(
        (
            (21,),
            (52, 54),
            (83, 85, 87),
            (98, 100, 102, 104),
            (1, 3, 5, 7, 9),
            (32, 34, 36, 38, 40, 42),
        )
    )
    for place, byte in enumerate(places)
}
"""Cube -> the byte with the colour of its top."""
_WANTED = (26, 148, 4, 26, 214, 26, 26, 86, 162, 10, 26, 148, 148, 26, 10, 152, 148, 100)
"""The target colour of each round, also the colour of the score; byte 99 counts rounds."""
_COLUMN_X = (18, 30, 42, 54, 66, 78, 94, 106, 118, 130, 142)
_TOP_Y = (36, 64, 93, 122, 151, 180)
"""Y of the tops of the cubes in each row; objects on them end five pixels higher."""
_SHAPES = (91, 92, 93, 94, 96, 95)
"""The byte with the shape in each row; of the enemies, only Coily reaches row 0."""
_BALLS = {17: 20, 0: 8}
"""Shape of a ball -> pixels from the cube up to its centre, in flight and at rest."""
_NOTHING, _CURSE, _GREEN = 7, 166, 196
_DISCS = {(4, 1): (112, "LEFT", (16, 138)), (4, 9): (122, "UP", (144, 138))}
"""Cube beside a disc -> the byte that is 0 without the disc, the hop onto it, its pixel."""


@dataclass(frozen=True, slots=True)
class _Enemy:
    cube: Cube
    snake: bool
    above: int = 14
    """Pixels from the top of the cube up to the enemy's centre."""

    @property
    def pixel(self) -> tuple[int, int]:
        """Screen x and y of its centre."""
        row, column = self.cube
        return _COLUMN_X[column], _TOP_Y[row] - self.above

    def reach(self) -> set[Cube]:
        """Its cube and those it may hop to: a ball only falls, the snake goes anywhere."""
        row, column = self.cube
        ways = HOPS.values() if self.snake else ((1, -1), (1, 1))
        return {self.cube, *((row + down, column + right) for down, right in ways)}


def advise_qbert(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Hop to the nearest cube without its colour, or away from an enemy.

    Bytes: 43 and 67 are Q*bert's x and y, 35 is his column, 55 is not 0 while he hops, 59 not 0
    while he falls; 39 and 69 are the snake's row (255 without a snake) and column; 75 to 79 are the
    columns and 107 to 111 the colours of the objects in rows 1 to 5.
    """
    x, y = min(159, int(now[43])), int(now[67])
    if not 14 <= y <= 190 or now[59]:
        return Advice("no qbert", {Plan("NOOP", frame_skip): 1.0}, 0.3)
    here = ((y - 25) // 28, int(now[35]))
    hopping = now[55] or (y - 25) % 28 or here not in COLOURS
    cursing = any(now[byte] == _CURSE for byte in _SHAPES)
    if cursing or hopping or _celebrating(now):
        return Advice(f"qbert {x} {y} busy", {Plan("NOOP", frame_skip): 1.0}, 0.5)
    enemies = sorted(_enemies(now), key=lambda enemy: _hops(here, enemy.cube))
    action, aim = _choose(now, here, enemies)
    threat = "no enemy"
    if enemies:
        kind = "snake" if enemies[0].snake else "ball"
        threat = "enemy {} {} ".format(*enemies[0].pixel) + kind
    near = bool(enemies) and _hops(here, enemies[0].cube) <= 2
    description = f"qbert {x} {y}, {threat}, aim {aim[0]} {aim[1]}"
    return Advice(description, {Plan(action, frame_skip): 1.0}, 3.0 if near else 2.0)


def _choose(now: Pixels, here: Cube, enemies: list[_Enemy]) -> tuple[str, tuple[int, int]]:
    """The hop, and the pixel of its goal: a cube to colour, a safe cube, or a disc."""
    wanted = _WANTED[int(now[99]) % len(_WANTED)]
    todo = {cube for cube, byte in COLOURS.items() if now[byte] != wanted}
    danger = set().union(*(enemy.reach() for enemy in enemies))
    if here in _DISCS and here in danger and any(enemy.snake for enemy in enemies):
        byte, action, place = _DISCS[here]
        if now[byte]:
            return action, place
    hop = _nearest(here, todo - {here}, danger)
    if hop is None and here in danger:
        hop = _escape(here, enemies, danger)
    action, (row, column) = hop or ("NOOP", here)
    return action, (_COLUMN_X[column], _TOP_Y[row])


def _escape(here: Cube, enemies: list[_Enemy], danger: set[Cube]) -> tuple[str, Cube]:
    """The hop that leads farthest from the enemies that can reach this cube, and its target."""
    threats = [enemy.cube for enemy in enemies if here in enemy.reach()]
    return max(
        ((action, (here[0] + down, here[1] + right)) for action, (down, right) in HOPS.items()),
        key=lambda hop: (
            hop[1] in COLOURS,
            min(_hops(hop[1], threat) for threat in threats),
            hop[1] not in danger,
        ),
    )


def _nearest(here: Cube, goals: set[Cube], closed: set[Cube]) -> tuple[str, Cube] | None:
    """The first hop of a shortest path to a goal, and the goal."""
    first: dict[Cube, str] = {here: ""}
    queue = deque([here])
    while queue:
        cube = queue.popleft()
        if cube in goals:
            return first[cube], cube
        for action, (down, right) in HOPS.items():
            there = (cube[0] + down, cube[1] + right)
            if there in COLOURS and there not in first and there not in closed:
                first[there] = first[cube] or action
                queue.append(there)
    return None


def _hops(one: Cube, other: Cube) -> int:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _celebrating(now: Pixels) -> bool:
    """Whether a round was just won: all cubes flash in one colour, and Q*bert is not at the top."""
    return len({int(now[byte]) for byte in COLOURS.values()}) == 1 and now[67] != 25


def _enemies(now: Pixels) -> list[_Enemy]:
    """Every object in view that kills; green ones do not."""
    found = []
    snake = (int(now[39]), int(now[69]))
    if snake in COLOURS and (snake[0] == 0 or now[_SHAPES[snake[0]]] != _NOTHING):
        found.append(_Enemy(snake, True))
    for row in range(1, 6):
        shape, cube = int(now[_SHAPES[row]]), (row, int(now[74 + row]))
        if shape in _BALLS and now[106 + row] != _GREEN and cube in COLOURS:
            found.append(_Enemy(cube, False, _BALLS[shape]))
    return found


QBERT = ExpertPolicy("qbert", advise_qbert)
