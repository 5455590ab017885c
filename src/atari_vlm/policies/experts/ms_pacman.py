"""Ms. Pacman: eat what is near, keep off ghosts that hunt, go after those that are afraid."""

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
from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True)
class PacmanTaste:
    """How the Ms. Pacman expert weighs things; found by playing full episodes.

    Distances are in steps from cell to cell, about 13 frames each. A dot is worth 1.
    """

    near: float = 0.75
    """The worth of a thing falls by this factor with every step to it."""
    pill: float = 3.0
    """Worth of a power pill."""
    prey: float = 20.0
    """Worth of a ghost that is afraid."""
    keep: float = 2.0
    """The way she faces is worth this many times more."""
    low: float = 0.4
    """A ghost that comes to a cell only this much later than she spoils the way there."""
    high: float = 2.5
    """A ghost that comes this much later does not matter."""
    turn: float = 1.5
    """What it costs a ghost to turn round."""
    reach: float = 30.0
    """How far she looks."""
    room: float = 12.0
    """Cells she wants to be able to reach; fewer count against a way."""
    early: float = 0.6
    """How far before a cell she presses the way she wants to leave it."""
    timer: int = 10
    """Counts of 5 frames that a ghost must stay afraid to be prey; it blinks before."""
    sharp: float = 6.0
    """A way's chance to be played goes with this power of its worth."""
    alarm: float = 5.0
    """Distance of a hunting ghost that makes a moment weighty."""


_TASTE = PacmanTaste()
_NEVER = 999.0

PILLS = {(1, 0): 5, (12, 0): 4, (1, 17): 3, (12, 17): 2}
"""Where a power pill lies, in every maze -> its bit of byte 117."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A ghost as memory has it."""

    place: Place
    way: str
    mood: Literal["hunting", "afraid", "home"]
    ends: Ends
    """Nothing while it is home."""


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
    before: Pixels | None, now: Pixels, longest: int, taste: PacmanTaste = _TASTE
) -> Advice:
    """Go where most lies near that she reaches before any hunting ghost; flee if nothing does.

    Bytes: 0 the maze, 10 and 16 her x and y, 5 the way she faces, 6 to 9 and 12 to 15 the ghosts'
    x and y, 1 to 4 the ways they go and whether they are afraid, 116 for how long they stay so, 59
    to 100 the dots, 117 the power pills. `aim` is the way she would go if no ghost hunted.
    """
    level = maze(int(now[0]) & 3)
    her, facing = (int(now[10]), int(now[16])), WAYS[int(now[5]) & 3]
    about = ghosts(level, now)
    choices = _choices(level, her, facing, taste)
    worth = _food(level, now, taste)
    prey = [ghost for ghost in about if ghost.mood == "afraid" and now[116] > taste.timer]

    def values(late: dict[Cell, float]) -> dict[str, float]:
        draws = {}
        for way, end in choices.items():
            walk = _explore(level, way, end, late, taste)
            draws[way] = {c: sure * math.pow(taste.near, far) for c, (far, sure) in walk.items()}
            for k, ghost in enumerate(prey):
                draws[way][-k, -1] = math.pow(taste.near, _to(ghost, walk, her, way, end[1]))
        return _values(draws, {**worth, **{(-k, -1): taste.prey for k in range(4)}}, facing, taste)

    late = _arrivals(level, about, taste)
    calm, wary = values({}), values(late)
    if not any(wary.values()):
        spare = {way: late.get(cell, _NEVER) - far for way, (cell, far) in choices.items()}
        wary = {way: float(spare[way] == max(spare.values())) for way in spare}
    aim = max(calm, key=lambda way: calm[way], default=facing)
    nearest = min(about, key=lambda ghost: _apart(level, choices, her, ghost))
    words = (
        f"pacman {_shown(her)} heading {facing}, "
        f"ghost {_shown(nearest.place)} {nearest.mood}, aim {aim}"
    )
    near = _apart(level, choices, her, nearest) < taste.alarm
    weight = 2.0 if near and nearest.mood == "hunting" else 1.0
    return Advice(words, _plans(wary or {facing: 1.0}, longest, taste), weight)


def _shown(place: Place) -> str:
    """The middle of a thing on the screen."""
    return f"{max(0, min(159, place[0] - 8))} {min(209, place[1] + 6)}"


def _choices(level: Maze, her: Place, facing: str, taste: PacmanTaste) -> Ends:
    """Ways she can press now: those out of the cell she comes to, if it is close, and back."""
    here = ends(level, her)
    if facing not in here or here[facing][1] > taste.early:
        return here
    cell, length = here[facing]
    found = {
        way: (near, length + more)
        for way, (near, more) in level.steps[cell].items()
        if way != OPPOSITE[facing]
    }
    return {**found, **{way: end for way, end in here.items() if way == OPPOSITE[facing]}}


def _arrivals(level: Maze, about: list[Ghost], taste: PacmanTaste) -> dict[Cell, float]:
    """How far every cell is for the first hunting ghost; they would rather not turn round."""
    found: dict[Cell, float] = {}
    for ghost in about:
        for way, (end, length) in ghost.ends.items() if ghost.mood == "hunting" else ():
            late = length + (taste.turn if way == OPPOSITE[ghost.way] else 0.0)
            for cell, more in level.apart[end].items():
                found[cell] = min(late + more, found.get(cell, _NEVER))
    return found


def _food(level: Maze, memory: Pixels, taste: PacmanTaste) -> dict[Cell, float]:
    """Worth of what lies on each cell."""
    pills = {cell: taste.pill for cell, bit in PILLS.items() if memory[117] >> bit & 1}
    dots = {cell: 1.0 for cell in level.steps if memory[dot(cell)[0]] >> dot(cell)[1] & 1}
    return {**dots, **pills}


def _explore(
    level: Maze, way: str, end: tuple[Cell, float], late: dict[Cell, float], taste: PacmanTaste
) -> dict[Cell, tuple[float, float]]:
    """Cells she can walk to if she sets out one way: distance, and how safe it is (0 to 1)."""

    def safe(cell: Cell, far: float) -> float:
        spare = late.get(cell, _NEVER) - far
        return min(1.0, max(0.0, (spare - taste.low) / (taste.high - taste.low)))

    found = {end[0]: (end[1], safe(*end))}
    todo, seen = [end[0]], 0
    while seen < len(todo):
        cell = todo[seen]
        seen += 1
        far, sure = found[cell]
        if sure == 0 or far > taste.reach:
            continue
        for turn, (near, more) in level.steps[cell].items():
            back = seen == 1 and turn == OPPOSITE[way]
            if not back and far + more < found.get(near, (_NEVER, 0.0))[0]:
                found[near] = (far + more, min(sure, safe(near, far + more)))
                todo.append(near)
    return found


def _values(
    draws: dict[str, dict[Cell, float]], worth: dict[Cell, float], facing: str, taste: PacmanTaste
) -> dict[str, float]:
    """What there is each way.

    Going on, by whatever way, is first weighed as a whole against turning round: if its branches
    were weighed one by one, she would turn round wherever the lane forks.
    """

    def value(draw: dict[Cell, float]) -> float:
        lies = sum(worth.get(cell, 0.0) * pull for cell, pull in draw.items())
        return lies * min(1.0, sum(pull > 0 for pull in draw.values()) / taste.room)

    onward: dict[Cell, float] = {}
    for way, draw in draws.items():
        if way != OPPOSITE[facing]:
            onward |= {cell: max(pull, onward.get(cell, 0.0)) for cell, pull in draw.items()}
    each = {way: value(draw) for way, draw in draws.items()}
    most = max((v for way, v in each.items() if way != OPPOSITE[facing]), default=0.0)
    scale = taste.keep * value(onward) / most if most else 0.0
    return {way: v if way == OPPOSITE[facing] else v * scale for way, v in each.items()}


def _to(
    ghost: Ghost, walk: dict[Cell, tuple[float, float]], her: Place, way: str, length: float
) -> float:
    """Steps to a ghost on a walk that sets out one way; many if the walk does not lead there."""
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


def _apart(level: Maze, choices: Ends, her: Place, ghost: Ghost) -> float:
    """Steps between her and a ghost; those at home come after all others."""
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


def _plans(
    values: dict[str, float], longest: int, taste: PacmanTaste
) -> dict[tuple[str, int], float]:
    """Press the best way; those nearly as good share its chance."""
    best = max(values.values())
    share = {way: (value / best) ** taste.sharp for way, value in values.items()}
    share = {way: part for way, part in share.items() if part >= 0.1}
    return {(way.upper(), longest): part / sum(share.values()) for way, part in share.items()}


MS_PACMAN = ExpertPolicy("ms_pacman", advise_ms_pacman)
