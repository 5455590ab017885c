"""Ms. Pacman: eat nearby dots, avoid hunting ghosts, chase frightened ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.policies.experts.ms_pacman_mazes import (
    OPPOSITE,
    WAYS,
    Cell,
    Ends,
    Maze,
    Place,
    dot,
    ends,
    maze,
)
from atari_vlm.types import Pixels, Plan


@dataclass(frozen=True, slots=True)
class PacmanWeights:
    """The values of the Ms. Pacman expert; tuned by playing full episodes.

    Distances are in steps from cell to cell, about 13 frames each. A dot is cell_values 1.
    """

    near: float = 0.75
    """Discount of an object's value with every step to it."""
    pill: float = 3.0
    """Value of a power pill."""
    prey: float = 20.0
    """Value of a frightened ghost."""
    keep: float = 2.0
    """Factor on the value of every direction but that of turning round."""
    low: float = 0.4
    """A cell has no value if a ghost arrives at most this many steps after her."""
    high: float = 2.5
    """A cell has its full value if every ghost arrives at least this many steps after her."""
    turn: float = 1.5
    """Steps that it costs a ghost to turn round."""
    reach: float = 30.0
    """Largest distance that is searched, in steps."""
    room: float = 12.0
    """Number of reachable cells below which a direction loses value."""
    early: float = 0.6
    """Distance from a cell at which she presses the direction to leave it."""
    timer: int = 10
    """Counts of 5 frames that a ghost must stay frightened to be chased; it blinks before."""
    sharp: float = 6.0
    """Exponent: the probability of a direction grows with this power of its value."""
    alarm: float = 5.0
    """Distance of a hunting ghost below which a moment gets more weight."""


_WEIGHTS = PacmanWeights()
_NEVER = 999.0

PILLS = {(1, 0): 5, (12, 0): 4, (1, 17): 3, (12, 17): 2}
"""Cell of a power pill, the same in every maze -> its bit of byte 117."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A ghost, from memory."""

    place: Place
    way: str
    mood: Literal["hunting", "afraid", "home"]
    ends: Ends
    """Empty while it is home."""


def ghosts(level: Maze, memory: Pixels) -> list[Ghost]:
    """The four ghosts."""
    found = []
    for k in range(4):
        x, y, state = int(memory[6 + k]), int(memory[12 + k]), int(memory[1 + k])
        way = WAYS[state & 3]
        if 82 <= x <= 94 and 51 < y < 83:
            found.append(Ghost((x, y), way, "home", {}))
        else:
            mood: Literal["hunting", "afraid"] = "afraid" if state & 128 else "hunting"
            found.append(Ghost((x, y), way, mood, ends(level, (x, y))))
    return found


def advise_ms_pacman(
    before: Pixels | None, now: Pixels, frame_skip: int, weights: PacmanWeights = _WEIGHTS
) -> Advice:
    """Go in the direction of most value that she reaches before a hunting ghost; else flee.

    Bytes: 0 is the maze, 10 and 16 are her x and y, 5 the direction she faces, 6 to 9 and 12 to 15
    the ghosts' x and y, 1 to 4 their directions and whether they are frightened, 116 the time that
    they stay frightened, 59 to 100 the dots, 117 the power pills. In the description, `aim` is the
    best direction without hunting ghosts.
    """
    level = maze(int(now[0]) & 3)
    her, facing = (int(now[10]), int(now[16])), WAYS[int(now[5]) & 3]
    about = ghosts(level, now)
    choices = _choices(level, her, facing, weights)
    cell_values = _cell_values(level, now, weights)
    prey = [ghost for ghost in about if ghost.mood == "afraid" and now[116] > weights.timer]

    def values(late: dict[Cell, float]) -> dict[str, float]:
        found = {}
        for way, end in choices.items():
            walk = _explore(level, way, end, late, weights)
            steps = [_steps_to(ghost, walk, her, way, end[1]) for ghost in prey]
            found[way] = {
                **{cell: safe * math.pow(weights.near, far) for cell, (far, safe) in walk.items()},
                **{(-k, -1): math.pow(weights.near, far) for k, far in enumerate(steps)},
            }
        prey_values = {(-k, -1): weights.prey for k in range(4)}
        return _values(found, {**cell_values, **prey_values}, facing, weights)

    late = _arrivals(level, about, weights)
    calm, wary = values({}), values(late)
    if not any(wary.values()):
        spare = {way: late.get(cell, _NEVER) - far for way, (cell, far) in choices.items()}
        wary = {way: float(spare[way] == max(spare.values())) for way in spare}
    aim = max(calm, key=lambda way: calm[way], default=facing)
    nearest = min(about, key=lambda ghost: _ghost_distance(level, choices, her, ghost))
    description = (
        f"pacman {_screen_xy(her)} heading {facing}, "
        f"ghost {_screen_xy(nearest.place)} {nearest.mood}, aim {aim}"
    )
    near = _ghost_distance(level, choices, her, nearest) < weights.alarm
    weight = 2.0 if near and nearest.mood == "hunting" else 1.0
    return Advice(description, _plans(wary or {facing: 1.0}, frame_skip, weights), weight)


def _screen_xy(place: Place) -> str:
    """Screen x and y of an object's centre."""
    return f"{max(0, min(159, place[0] - 8))} {min(209, place[1] + 6)}"


def _choices(level: Maze, her: Place, facing: str, weights: PacmanWeights) -> Ends:
    """Directions she can press now: out of the next cell, if it is close, and back."""
    here = ends(level, her)
    if facing not in here or here[facing][1] > weights.early:
        return here
    cell, length = here[facing]
    found = {
        way: (near, length + more)
        for way, (near, more) in level.steps[cell].items()
        if way != OPPOSITE[facing]
    }
    return {**found, **{way: end for way, end in here.items() if way == OPPOSITE[facing]}}


def _arrivals(level: Maze, about: list[Ghost], weights: PacmanWeights) -> dict[Cell, float]:
    """Steps of the nearest hunting ghost to every cell; turning round costs extra steps."""
    found: dict[Cell, float] = {}
    for ghost in about:
        for way, (end, length) in ghost.ends.items() if ghost.mood == "hunting" else ():
            late = length + (weights.turn if way == OPPOSITE[ghost.way] else 0.0)
            for cell, more in level.apart[end].items():
                found[cell] = min(late + more, found.get(cell, _NEVER))
    return found


def _cell_values(level: Maze, memory: Pixels, weights: PacmanWeights) -> dict[Cell, float]:
    """Value of the dot or pill on each cell."""
    pills = {cell: weights.pill for cell, bit in PILLS.items() if memory[117] >> bit & 1}
    dots = {cell: 1.0 for cell in level.steps if memory[dot(cell)[0]] >> dot(cell)[1] & 1}
    return {**dots, **pills}


def _explore(
    level: Maze, way: str, end: tuple[Cell, float], late: dict[Cell, float], weights: PacmanWeights
) -> dict[Cell, tuple[float, float]]:
    """Cells she reaches in one direction -> distance, and safety from 0 to 1."""

    def safe(cell: Cell, far: float) -> float:
        spare = late.get(cell, _NEVER) - far
        return min(1.0, max(0.0, (spare - weights.low) / (weights.high - weights.low)))

    found = {end[0]: (end[1], safe(*end))}
    todo, seen = [end[0]], 0
    while seen < len(todo):
        cell = todo[seen]
        seen += 1
        far, sure = found[cell]
        if sure == 0 or far > weights.reach:
            continue
        for turn, (near, more) in level.steps[cell].items():
            back = seen == 1 and turn == OPPOSITE[way]
            if not back and far + more < found.get(near, (_NEVER, 0.0))[0]:
                found[near] = (far + more, min(sure, safe(near, far + more)))
                todo.append(near)
    return found


def _values(
    discounts: dict[str, dict[Cell, float]],
    cell_values: dict[Cell, float],
    facing: str,
    weights: PacmanWeights,
) -> dict[str, float]:
    """The value of each direction.

    The directions that do not turn round are first compared as a whole with turning round.
    Compared one by one, she would turn round wherever the lane forks.
    """

    def value(factors: dict[Cell, float]) -> float:
        total = sum(cell_values.get(cell, 0.0) * factor for cell, factor in factors.items())
        return total * min(1.0, sum(factor > 0 for factor in factors.values()) / weights.room)

    onward: dict[Cell, float] = {}
    for way, factors in discounts.items():
        if way != OPPOSITE[facing]:
            onward |= {cell: max(f, onward.get(cell, 0.0)) for cell, f in factors.items()}
    each = {way: value(factors) for way, factors in discounts.items()}
    most = max((v for way, v in each.items() if way != OPPOSITE[facing]), default=0.0)
    scale = weights.keep * value(onward) / most if most else 0.0
    return {way: v if way == OPPOSITE[facing] else v * scale for way, v in each.items()}


def _steps_to(
    ghost: Ghost, walk: dict[Cell, tuple[float, float]], her: Place, way: str, length: float
) -> float:
    """Steps to a ghost in one direction; 999 if that direction does not lead to it."""
    right, down = ghost.place[0] - her[0], ghost.place[1] - her[1]
    forward, aside = {
        "left": (-right / 8, down),
        "right": (right / 8, down),
        "up": (-down / 12, right),
        "down": (down / 12, right),
    }[way]
    if abs(aside) <= 1 and 0 <= forward <= length:
        return forward
    return min(
        (walk[cell][0] + more for cell, more in ghost.ends.values() if cell in walk),
        default=_NEVER,
    )


def _ghost_distance(level: Maze, choices: Ends, her: Place, ghost: Ghost) -> float:
    """Steps between her and a ghost; ghosts at home come after all others."""
    right, down = abs(ghost.place[0] - her[0]) / 8, abs(ghost.place[1] - her[1]) / 12
    if not ghost.ends:
        return 100.0 + right + down
    if min(right, down) < 0.2 and right + down < 1:
        return right + down
    return min(
        (
            far + level.apart[cell][end] + more
            for cell, far in choices.values()
            for end, more in ghost.ends.values()
        ),
        default=right + down,
    )


def _plans(values: dict[str, float], frame_skip: int, weights: PacmanWeights) -> dict[Plan, float]:
    """The best direction, and those nearly as good with a share of its probability."""
    best = max(values.values())
    share = {way: (value / best) ** weights.sharp for way, value in values.items()}
    share = {way: part for way, part in share.items() if part >= 0.1}
    return {
        Plan(way.upper(), frame_skip): part / sum(share.values()) for way, part in share.items()
    }


MS_PACMAN = ExpertPolicy("ms_pacman", advise_ms_pacman)
