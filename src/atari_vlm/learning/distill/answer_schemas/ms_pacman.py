"""The answers about Ms. Pacman."""

from __future__ import annotations

import numpy as np

from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema
from atari_vlm.policies.experts.ms_pacman import PILLS
from atari_vlm.policies.experts.ms_pacman_mazes import Cell, Maze, column_x, dot, maze
from atari_vlm.types import Pixels

_EATEN, _LEVEL = 119, 123


def _perturb(memory: Pixels, rng: np.random.Generator) -> dict[int, int]:
    """Move her, remove dots as later in a level, or almost end the level."""
    level = maze(int(memory[0]) & 3)
    total, eaten = len(level.steps), int(memory[_EATEN])
    if not 1 <= eaten < total - 1:
        return {}  # between levels
    chance = rng.random()
    if chance < 0.5:
        cells = list(level.steps)
        row, column = cells[int(rng.integers(len(cells)))]
        return {10: column_x(column), 16: 2 + 12 * row}
    if chance < 0.85:
        return _dots(memory, level, rng)
    if chance < 0.95:
        return {_EATEN: total - 1}
    # Choose the next level among those that lead through all four mazes.
    lives = int(memory[_LEVEL]) & 15
    return {_EATEN: total - 1, _LEVEL: int(rng.integers(6)) << 4 | lives}


def _dots(memory: Pixels, level: Maze, rng: np.random.Generator) -> dict[int, int]:
    """Remove dots unevenly, and set the count of eaten dots to match."""
    changes: dict[int, int] = {}
    rows, columns = rng.random(14), rng.random(18)
    bare = rng.random() * 2
    left = 0

    def put(byte: int, bit: int, there: bool) -> None:
        value = changes.get(byte, int(memory[byte]))
        changes[byte] = value | 1 << bit if there else value & ~(1 << bit)

    def there(cell: Cell) -> bool:
        return bool(rows[cell[0]] + columns[cell[1]] > bare)

    for cell in level.steps:
        if cell in PILLS:
            left += memory[117] >> PILLS[cell] & 1
        else:
            put(*dot(cell), there(cell))
            left += there(cell)
    changes[_EATEN] = len(level.steps) - max(2, int(left))
    return changes


MS_PACMAN = AnswerSchema(
    game="ms_pacman",
    answers=(
        "pacman {x:x} {y:y} heading {heading:way}, "
        "ghost {ghost_x:x} {ghost_y:y} {mood:mood}, aim {aim:way}: {plan:plan}",
        "{plan:plan}",
    ),
    actions=("UP", "RIGHT", "LEFT", "DOWN"),
    plan_frames=(4,),
    kinds={"way": ("up", "right", "down", "left"), "mood": ("hunting", "afraid", "home")},
    loss_weights={"aim": 3.0, "plan": 3.0},
    perturb=_perturb,
    episode_length=(300, 3_000),
)
