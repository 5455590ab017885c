"""Seaquest: line up with the nearest diver or enemy, shoot along the lane, surface for air."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

_ROWS = (142, 118, 94, 70)
"""Y of the player's centre in line with each lane, the lowest lane first."""
_SURFACE, _CENTRE = 51, 85
_ABOVE, _BELOW = 10, 12
"""Pixels above and below a lane's row within which the player touches its objects."""
_HULLS = 12
"""Largest horizontal distance between the centres of two hulls that touch."""
_LOW, _LAST = 24, 10
"""Oxygen at which to surface, and at which to surface despite the patrol; 64 is full."""
_FULL = 6
"""Divers aboard that earn the bonus for surfacing."""
_STOP, _FLEE, _DODGE = 40, 4, 36
"""Gaps in pixels at which to: hold still and shoot, give way, leave a missile's lane."""
_IN_LINE = 2
"""Largest distance in pixels from a lane's row at which a shot hits."""
_LEFT_EDGE, _RIGHT_EDGE = 48, 107
"""The range of x to stay in, because enemies appear at the sides."""


@dataclass(frozen=True, slots=True)
class _Thing:
    """A diver, an enemy or a missile."""

    lane: int
    x: int
    """Of the centre."""
    speed: float
    """Pixels a frame to the right."""


@dataclass(frozen=True, slots=True)
class _Sea:
    """The objects on the screen; x and y are the centre of the player."""

    x: int
    y: int
    left: bool
    oxygen: int
    aboard: int
    patrol: int
    """X of the patrol's centre on the surface; 0 without a patrol."""
    divers: tuple[_Thing, ...]
    enemies: tuple[_Thing, ...]
    missiles: tuple[_Thing, ...]

    @property
    def lane(self) -> int | None:
        """The lane whose enemies can touch the player; None between lanes."""
        inside = (i for i, row in enumerate(_ROWS) if row - _ABOVE <= self.y <= row + _BELOW)
        return next(inside, None)

    @property
    def threat(self) -> _Thing | None:
        """The nearest object in the player's lane, missiles before enemies."""
        lane = self.lane
        shots = [m for m in self.missiles if m.lane == lane and self._is_coming(m)]
        own = shots or [e for e in self.enemies if e.lane == lane]
        return min(own, key=self.gap, default=None)

    def gap(self, thing: _Thing) -> int:
        """Pixels between the player's hull and another."""
        return abs(thing.x - self.x) - _HULLS

    def is_clear(self, lane: int, after: int) -> bool:
        """Whether a lane is free above or below the player for 20 frames after `after` frames."""
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


def advise_seaquest(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Fight in the lane of the nearest enemy or diver; surface when air is low or with six divers.

    Bytes: 70 and 97 are the player's x and y, 86 is 8 when it faces left, 102 is the oxygen, 62 the
    number of divers aboard. Of each lane: 30 to 33 are the x of its enemies, 40 to 43 have a bit
    for each of them on screen, 89 to 92 are their kind (bit 2 for submarines), 71 to 74 are the x
    of its diver or missile, 113 to 116 are 1 with a diver. 118 is the patrol's x.
    """
    sea = _look(before, now)
    target = _target(sea)
    threat = sea.threat
    aim = _aim(sea, target, threat)
    arrived = abs(aim - sea.y) <= (0 if aim == _SURFACE else _IN_LINE)
    up_or_down = "" if arrived else "DOWN" if aim > sea.y else "UP"
    sideways, fire = _sideways(sea, target, threat, up_or_down)
    action = f"{sideways}FIRE" if fire else up_or_down + sideways
    clauses = [f"player {sea.x} {sea.y}", f"oxygen {48 + sea.oxygen}"]
    name = "diver" if target in sea.divers else "enemy"
    clauses.append(_clause(name, target))
    clauses.append(_clause("threat", threat))
    near = threat is not None and sea.gap(threat) < _STOP
    weight = 2.0 if near or aim == _SURFACE else 1.0
    plan = Plan(action or "NOOP", frame_skip)
    return Advice(", ".join([*clauses, f"aim {aim}"]), {plan: 1.0}, weight)


def _clause(name: str, thing: _Thing | None) -> str:
    if thing is None:
        return f"no {name}"
    return f"{name} {max(0, min(159, thing.x))} {_ROWS[thing.lane]}"


def _look(before: Pixels | None, now: Pixels) -> _Sea:
    then = now if before is None else before
    divers, enemies, missiles = [], [], []
    for lane in range(4):
        speed = _speed(then[30 + lane], now[30 + lane])
        for bit, offset in ((4, 0), (2, 16), (1, 32)):
            if now[40 + lane] & bit:
                x = (int(now[30 + lane]) + offset) % 256
                enemies.append(_Thing(lane, (x if x <= 200 else x - 256) + 4, speed))
        x = int(now[71 + lane])
        thing = _Thing(lane, x + 4, _speed(then[71 + lane], x) if then[71 + lane] else 0.0)
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


def _speed(then: int, now: int) -> float:
    """Pixels a frame, from two positions 4 frames apart modulo 256; 0 after a jump."""
    step = (int(now) - int(then) + 128) % 256 - 128
    return step / 4 if abs(step) <= 12 else 0.0


def _target(sea: _Sea) -> _Thing | None:
    """The diver or enemy that takes least time to reach, divers first."""

    def cost(thing: _Thing) -> float:
        away = abs(_ROWS[thing.lane] - sea.y)
        if thing in sea.divers:
            return away + abs(thing.x - sea.x) / 4 - 60
        return away + abs(sea.gap(thing)) / 4

    divers = sea.divers if sea.aboard < _FULL else ()
    return min(divers + sea.enemies, key=cost, default=None)


def _aim(sea: _Sea, target: _Thing | None, threat: _Thing | None) -> int:
    """The y to go to now."""
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
    """Whether to surface: with six divers, or with one while air is low; not near the patrol."""
    patrolled = sea.patrol > sea.x - 20 and sea.patrol - sea.x < 86 and sea.patrol > 0
    if patrolled and sea.oxygen > _LAST:
        return False
    return sea.aboard >= _FULL or (sea.oxygen < _LOW and sea.aboard > 0)


def _is_open(sea: _Sea, goal: int) -> bool:
    """Whether the next lane on the way to a y is free to enter."""
    step = 1 if goal > sea.y else -1
    for frames in range(1, min(abs(goal - sea.y), 23) + 1):
        y = sea.y + step * frames
        for lane, row in enumerate(_ROWS):
            if row - _ABOVE <= y <= row + _BELOW and lane != sea.lane:
                return sea.is_clear(lane, frames)
    return True


def _beside(sea: _Sea, lane: int) -> int:
    """A y outside a missile's lane: on the nearer side, or on the other if that is not free."""
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
    """The horizontal direction, and whether to fire."""
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
    """Keep away from the sides, and face the target."""
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
