"""Seaquest: line up with the nearest diver or enemy, shoot along the lane, surface for air."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels

_ROWS = (142, 118, 94, 70)
"""The player's centre y when it is in line with each lane, the lowest lane first."""
_SURFACE, _CENTRE = 51, 85
_ABOVE, _BELOW = 10, 12
"""So far above and below a lane's row the player still touches what swims there."""
_HULLS = 12
"""Centres of two hulls that touch are at most this far apart sideways."""
_LOW, _LAST = 24, 10
"""Oxygen at which to go for air, and at which to go although the patrol is near; 64 is full."""
_FULL = 6
"""Divers aboard with which surfacing earns the bonus."""
_STOP, _FLEE, _DODGE = 40, 4, 36
"""Gaps in pixels: hold still and shoot, give way, leave a missile's lane."""
_IN_LINE = 2
"""A shot fired this close to a lane's row hits."""
_LEFT_EDGE, _RIGHT_EDGE = 48, 107
"""Enemies come in from the sides, so stay between."""


@dataclass(frozen=True, slots=True)
class _Thing:
    """A diver, an enemy or a missile."""

    lane: int
    x: int
    """Centre."""
    speed: float
    """Pixels a frame, to the right."""


@dataclass(frozen=True, slots=True)
class _Sea:
    """What is on the screen; the player's x and y are those of its centre."""

    x: int
    y: int
    left: bool
    oxygen: int
    aboard: int
    patrol: int
    """Centre x of the boat on the surface; 0 where there is none."""
    divers: tuple[_Thing, ...]
    enemies: tuple[_Thing, ...]
    missiles: tuple[_Thing, ...]

    @property
    def lane(self) -> int | None:
        """The lane whose enemies can touch the player."""
        inside = (i for i, row in enumerate(_ROWS) if row - _ABOVE <= self.y <= row + _BELOW)
        return next(inside, None)

    @property
    def threat(self) -> _Thing | None:
        """What comes first in the player's own lane, missiles before enemies."""
        lane = self.lane
        shots = [m for m in self.missiles if m.lane == lane and self._is_coming(m)]
        own = shots or [e for e in self.enemies if e.lane == lane]
        return min(own, key=self.gap, default=None)

    def gap(self, thing: _Thing) -> int:
        """Pixels between the player's hull and another."""
        return abs(thing.x - self.x) - _HULLS

    def is_clear(self, lane: int, after: int) -> bool:
        """Whether a lane, entered after so many frames, stays free above or below the player."""
        return all(
            abs(thing.x + thing.speed * (after + wait) - self.x) >= _HULLS + 8
            for thing in self.enemies + self.missiles
            if thing.lane == lane
            for wait in (0, 10, 20)
        )

    def _is_coming(self, shot: _Thing) -> bool:
        towards = (shot.x > self.x) == (shot.speed < 0)
        level = -9 <= self.y - _ROWS[shot.lane] <= 6
        return towards and level and self.gap(shot) < _DODGE


def advise_seaquest(before: Pixels | None, now: Pixels, longest: int) -> Advice:
    """Fight in the lane of the nearest enemy or diver; surface when air is low or with six divers.

    Bytes: 70 and 97 the player's x and y, 86 is 8 when it faces left; 102 oxygen, 62 divers aboard;
    30 to 33 where the enemies of a lane are, 40 to 43 a bit for each of them on screen, 89 to 92
    their kind (4 is set for submarines); 71 to 74 the lane's diver or missile, 113 to 116 are 1
    with a diver; 118 the patrol's x.
    """
    sea = _look(before, now)
    target = _target(sea)
    threat = sea.threat
    aim = _aim(sea, target, threat)
    arrived = abs(aim - sea.y) <= (0 if aim == _SURFACE else _IN_LINE)
    up_or_down = "" if arrived else "DOWN" if aim > sea.y else "UP"
    sideways, fire = _sideways(sea, target, threat, up_or_down)
    action = f"{sideways}FIRE" if fire else up_or_down + sideways
    words = [f"player {sea.x} {sea.y}", f"oxygen {48 + sea.oxygen}"]
    name = "diver" if target in sea.divers else "enemy"
    words.append(_named(name, target))
    words.append(_named("threat", threat))
    near = threat is not None and sea.gap(threat) < _STOP
    weight = 2.0 if near or aim == _SURFACE else 1.0
    return Advice(", ".join([*words, f"aim {aim}"]), {(action or "NOOP", longest): 1.0}, weight)


def _named(name: str, thing: _Thing | None) -> str:
    if thing is None:
        return f"no {name}"
    return f"{name} {max(0, min(159, thing.x))} {_ROWS[thing.lane]}"


def _look(before: Pixels | None, now: Pixels) -> _Sea:
    then = now if before is None else before
    divers, enemies, missiles = [], [], []
    for lane in range(4):
        speed = _moved(then[30 + lane], now[30 + lane])
        for bit, offset in ((4, 0), (2, 16), (1, 32)):
            if now[40 + lane] & bit:
                x = (int(now[30 + lane]) + offset) % 256
                enemies.append(_Thing(lane, (x if x <= 200 else x - 256) + 4, speed))
        x = int(now[71 + lane])
        thing = _Thing(lane, x + 4, _moved(then[71 + lane], x) if then[71 + lane] else 0.0)
        if x and now[89 + lane] & 4:
            missiles.append(thing)
        elif x and now[113 + lane] == 1:
            divers.append(thing)
    patrol = int(now[118])
    return _Sea(
        int(now[70]) + 8,
        int(now[97]) + 38,
        bool(now[86]),
        int(now[102]),
        int(now[62]),
        patrol + 4 if 0 < patrol < 200 else 0,
        tuple(divers),
        tuple(enemies),
        tuple(missiles),
    )


def _moved(then: int, now: int) -> float:
    """Pixels a frame, from two places 4 frames apart on a circle of 256; 0 after a jump."""
    step = (int(now) - int(then) + 128) % 256 - 128
    return step / 4 if abs(step) <= 12 else 0.0


def _target(sea: _Sea) -> _Thing | None:
    """The diver or enemy that is soonest in line, divers first."""

    def cost(thing: _Thing) -> float:
        away = abs(_ROWS[thing.lane] - sea.y)
        if thing in sea.divers:
            return away + abs(thing.x - sea.x) / 4 - 60
        return away + abs(sea.gap(thing)) / 4

    divers = sea.divers if sea.aboard < _FULL else ()
    return min(divers + sea.enemies, key=cost, default=None)


def _aim(sea: _Sea, target: _Thing | None, threat: _Thing | None) -> int:
    """The height to go to now."""
    lane = sea.lane
    if threat is not None and lane is not None:
        if threat in sea.missiles:
            return _beside(sea, lane)
        in_line = abs(sea.y - _ROWS[lane]) <= _IN_LINE
        faced = (threat.x <= sea.x) == sea.left
        if in_line and sea.gap(threat) < _STOP and (faced or sea.gap(threat) >= _FLEE):
            return _ROWS[lane]
    goal = _ROWS[target.lane] if target is not None else _ROWS[2]
    if _needs_air(sea):
        goal = _SURFACE
    if _is_open(sea, goal):
        return goal
    if threat is not None and sea.gap(threat) < _FLEE and lane is not None:
        return sea.y - 24 if sea.y <= _ROWS[lane] + 1 else sea.y + 24
    return sea.y if lane is None else _ROWS[lane]


def _needs_air(sea: _Sea) -> bool:
    """Whether to surface: with six divers, or with one while air is low; not before the patrol."""
    patrolled = sea.patrol > sea.x - 20 and sea.patrol - sea.x < 86 and sea.patrol > 0
    if patrolled and sea.oxygen > _LAST:
        return False
    return sea.aboard >= _FULL or (sea.oxygen < _LOW and sea.aboard > 0)


def _is_open(sea: _Sea, goal: int) -> bool:
    """Whether the next lane on the way to a height can be entered."""
    step = 1 if goal > sea.y else -1
    for frames in range(1, min(abs(goal - sea.y), 23) + 1):
        y = sea.y + step * frames
        for lane, row in enumerate(_ROWS):
            if row - _ABOVE <= y <= row + _BELOW and lane != sea.lane:
                return sea.is_clear(lane, frames)
    return True


def _beside(sea: _Sea, lane: int) -> int:
    """A height out of a missile's lane: the nearer side, or the other one if that is taken."""
    ways = (-1, 1) if sea.y <= _ROWS[lane] else (1, -1)
    for way in ways:
        if way > 0 and lane == 0:
            continue
        if lane - way > 3 or sea.is_clear(lane - way, 12):
            return max(_SURFACE, sea.y + 24 * way)
    return sea.y


def _sideways(
    sea: _Sea, target: _Thing | None, threat: _Thing | None, up_or_down: str
) -> tuple[str, bool]:
    """The way to press, and whether to fire."""
    if threat in sea.missiles:
        return "", False
    if threat is not None:
        side = "LEFT" if threat.x <= sea.x else "RIGHT"
        faced = (side == "LEFT") == sea.left
        push = "" if faced and sea.gap(threat) < _STOP else side
        return push, not up_or_down and abs(sea.y - _ROWS[threat.lane]) <= _IN_LINE
    if target in sea.divers and not _needs_air(sea):
        away = target.x - sea.x if target is not None else 0
        return ("LEFT" if away < 0 else "RIGHT") if abs(away) > 4 else "", False
    return _turn(sea, target), False


def _turn(sea: _Sea, target: _Thing | None) -> str:
    """Keep away from the sides, and face the enemy that is gone for."""
    if _needs_air(sea):
        return ""
    if sea.x < _LEFT_EDGE:
        return "RIGHT"
    if sea.x > _RIGHT_EDGE:
        return "LEFT"
    if target is None or (target.x <= sea.x) == sea.left:
        return ""
    return "LEFT" if target.x <= sea.x else "RIGHT"


SEAQUEST = ExpertPolicy("seaquest", advise_seaquest)
