"""The four mazes of Ms. Pacman: walls, lanes and distances.

Walls were read from the screen in blocks of 4 x 12 pixels, 40 across and 14 down; the right half
mirrors the left. Lanes run along the centres of 18 columns and 14 rows, and a cell is a crossing of
two lanes. Distances are in steps: a step to the next cell takes about 13 frames, both across (8
pixels) and down (12 pixels). The middle columns are 1.5 steps apart, and a side tunnel takes 2.5.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

WALLS = (
    (
        "#.........#.........",
        "#...###...#...######",
        "#...................",
        "###...#...###...####",
        "......#.............",
        "###...#######...####",
        "..#.............#...",
        "###...#######...####",
        "......#.............",
        "###...#...#...#...##",
        "#.........#...#.....",
        "#...###...#.......##",
        "#...###...#####...##",
        "#...................",
    ),
    (
        "#...................",
        "#...#######...#####.",
        "#.....#.......#.....",
        "###...#...#...#...##",
        "###...#...#.........",
        "..........###...####",
        "#...###.........#...",
        "#...###...###...####",
        "#...###...#.........",
        "#.............######",
        "#####...###...#.....",
        "#.........#.......#.",
        "#...###...#...#####.",
        "..........#.........",
    ),
    (
        "#.............#.....",
        "#...###...#.......##",
        "#.........#...#.....",
        "#####...###...#####.",
        "#...................",
        "#...###...###...####",
        "#...#.......#...#...",
        "#...#...#...#...####",
        "........#...........",
        "#####...###...#...##",
        "#.............#.....",
        "#...#...###.......##",
        "#...#...###...#...##",
        "#.............#.....",
    ),
    (
        "#...................",
        "#...#...###...######",
        "#...#.........#.....",
        "#...###...#...#...##",
        "#.........#.........",
        "###...#...###...####",
        "......#.........#...",
        "#######...###...####",
        "......#...#.........",
        "###...#...#...#...##",
        "#.............#.....",
        "#...#...###...#####.",
        "#...#...###...#.....",
        "#.................##",
    ),
)
"""Left half of each maze, row by row from the top; # is wall."""

ROWS, COLUMNS = 14, 18
WAYS = ("up", "right", "down", "left")
"""The directions, in the order of their codes in memory."""
OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}
_START = (8, 8)

Cell = tuple[int, int]
"""(row, column) of a crossing of two lanes."""
Place = tuple[int, int]
"""X and y of an object in memory; the screen shows its centre at x - 8, y + 6."""
Ends = dict[str, tuple[Cell, float]]
"""Direction -> the first cell in that direction, and its distance."""


@dataclass(frozen=True)
class Maze:
    """The lanes of one maze."""

    steps: dict[Cell, Ends]
    """Cell -> direction -> the next cell in that direction, and its distance."""
    apart: dict[Cell, dict[Cell, float]]
    """Distance between two cells."""


@lru_cache(maxsize=len(WALLS))
def maze(number: int) -> Maze:
    """One of the four mazes, with distances; computed once, in about 0.2 s."""
    walls = [half + half[::-1] for half in WALLS[number]]
    steps: dict[Cell, Ends] = {}
    todo = [_START]
    while todo:
        cell = todo.pop()
        steps[cell] = _ways(walls, cell)
        todo += [near for near, _ in steps[cell].values() if near not in steps]
    return Maze(steps, {cell: _distances(steps, cell) for cell in steps})


def block(column: int) -> int:
    """Index of a column among the 40 blocks of a row.

    >>> [block(column) for column in (0, 8, 9, 17)]
    [2, 18, 21, 37]
    """
    return 2 + 2 * column + (column > 8)


def _ways(walls: list[str], cell: Cell) -> Ends:
    row, column = cell
    found: Ends = {}
    for way, near in (("up", row - 1), ("down", row + 1)):
        if 0 <= near < ROWS and "#" not in walls[near][block(column) - 1 : block(column) + 2]:
            found[way] = ((near, column), 1.0)
    for way, to in (("left", column - 1), ("right", column + 1)):
        tunnel = not 0 <= to < COLUMNS
        low, high = sorted((block(column), (40 if to >= COLUMNS else -1) if tunnel else block(to)))
        if "#" not in walls[row][max(0, low) : high + 1]:
            length = 2.5 if tunnel else 1.5 if {column, to} == {8, 9} else 1.0
            found[way] = ((row, to % COLUMNS), length)
    return found


def _distances(steps: dict[Cell, Ends], start: Cell) -> dict[Cell, float]:
    found, todo = {start: 0.0}, deque([start])
    while todo:
        cell = todo.popleft()
        for near, length in steps[cell].values():
            if found[cell] + length < found.get(near, 999.0):
                found[near] = found[cell] + length
                todo.append(near)
    return found


def column_x(column: int) -> int:
    """The x byte of an object in the centre of a column's lane.

    >>> [column_x(column) for column in (0, 8, 9, 17)]
    [18, 82, 94, 158]
    """
    return 18 + 8 * column + 4 * (column > 8)


def ends(level: Maze, place: Place) -> Ends:
    """The first cells in each direction from a place; empty off the lanes."""
    x, y = place
    column = min(range(COLUMNS), key=lambda c: abs(column_x(c) - x))
    row, rest = divmod(y - 2, 12)
    if rest == 0:
        return _along_row(level, (row, column), x)
    over, under = (row, column), (row + 1, column)
    if under not in level.steps or level.steps[under].get("up", (None, 0))[0] != over:
        return {}
    return {"up": (over, rest / 12), "down": (under, 1 - rest / 12)}


def _along_row(level: Maze, cell: Cell, x: int) -> Ends:
    off = x - column_x(cell[1])
    if cell not in level.steps:
        return {}
    way = "right" if off > 0 else "left"
    if off == 0 or way not in level.steps[cell]:
        return level.steps[cell]
    near, length = level.steps[cell][way]
    part = abs(off) / 8
    return {way: (near, max(0.0, length - part)), OPPOSITE[way]: (cell, part)}


@lru_cache(maxsize=ROWS * COLUMNS)
def dot(cell: Cell) -> tuple[int, int]:
    """The byte and the bit of a cell's dot; a row has three bytes.

    >>> dot((0, 0)), dot((0, 1)), dot((0, 16)), dot((13, 8))
    ((59, 6), (60, 7), (61, 7), (100, 6))
    """
    row, column = cell
    first = 59 + 3 * row
    if column in (0, 17):
        return first, 6 if column == 0 else 4
    left = min(column, 17 - column)
    byte, bit = (1, 9 - 2 * left) if left < 5 else (2, 2 * left - 10)
    return first + (byte if column < 9 else 3 - byte), bit
