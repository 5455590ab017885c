"""Private Eye: fetch the money, then the gun, then the thief, and return each.

The city is a ring of 32 places with alleys between 1 and 19 and between 25 and 29, and with closed
fences in 15 and 28. The stage of the case follows from the item in the corner of the screen and
from the score; the route follows from the stage and the place.
"""

from __future__ import annotations

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

_POLICE, _ALLEY, _GUN, _FENCE, _THIEF, _PARK, _SHOP, _BACK, _MONEY, _EXIT = (
    *(0, 1, 14, 15, 16, 19, 23, 25, 28, 29),
)
_CARRIED = {20: "gun", 24: "money", 28: "thief"}
_SUSPECTS = (20, 24, 30, 31)
"""Suspects that may appear in a window: the gun, the money, and two faces."""
_JUMPS = {9: (22, 38), 10: (22, 38), 16: (22, 38), 17: (22, 38), 29: (34, 44), 32: (34, 56)}
"""Hazard -> the distances ahead, in pixels, at which a jump clears it: hydrant, hole, rat (two
images), thug, and the thug's dagger."""
_CATCH = 26, 38
"""The distances ahead, in pixels, at which a jump reaches a window."""
_TURN = 76
"""Car x at the entrance of an alley."""
_HIDING = 87
"""Car x at which the thief jumps out of the bushes."""


def advise_private_eye(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Drive towards the next goal, jump over hazards and up at suspects in windows.

    Bytes: 92 is the place, 60 the carried item, 63 the car's x, 86 its height (19 on the road), 72
    to 74 the score, 41 the hazard and 47 its x, 43 the suspect in a top window and 49 its x.
    """
    place, car = int(now[92]), max(0, min(159, int(now[63]) + 4))
    stage = _stage(now)
    hazard = int(now[47]) + 18 if int(now[41]) in _JUMPS and now[38] < 20 else None
    suspect = int(now[49]) + 18 if int(now[43]) in _SUSPECTS else None
    flying = int(now[86]) >= 23
    wanted = stage in ("new", "banked") and (place in (_GUN, _MONEY) or int(now[43]) in (20, 24))
    way = _way(place, stage, car, suspect if wanted else None, flying)
    hop = not flying and _hop(now, way, car, hazard, suspect)
    description = (
        f"place {place}, stage {stage}, car {car}, "
        f"{_clause('hazard', hazard)}, {_clause('suspect', suspect)}, "
        f"aim {way} {'jump' if hop else 'drive'}"
    )
    if way == "wait":
        return Advice(description, {Plan("NOOP", frame_skip): 1.0})
    if hop:
        # The button works again only after a release, so a jump is shorter than the decision.
        return Advice(description, {Plan(f"{way.upper()}FIRE", min(2, frame_skip)): 1.0}, 3.0)
    action = "UP" if way == "enter" else way.upper()
    weight = 2.0 if place in (_ALLEY, _GUN, _PARK, _BACK, _MONEY) else 1.0
    return Advice(description, {Plan(action, frame_skip): 1.0}, weight)


def _clause(thing: str, x: int | None) -> str:
    return f"no {thing}" if x is None else f"{thing} {max(0, min(159, x))}"


def _stage(now: Pixels) -> str:
    """The stage of the case: the carried item, or the progress that the score shows."""
    if int(now[60]) in _CARRIED:
        return _CARRIED[int(now[60])]
    tens = int(now[72])
    thousands = 10 * (tens >> 4) + (tens & 15)
    score = 10 * thousands + (int(now[73]) >> 4)
    return "new" if score < 10 else "banked" if score < 45 else "solved"


def _way(place: int, stage: str, car: int, wanted: int | None, flying: bool) -> str:
    """The next move: "left", "right", "enter" an alley, or "wait"."""
    if place == _FENCE:
        return "left" if car < 100 else "right"
    if wanted is not None:
        return _approach(car, wanted, flying)
    if place == _THIEF and stage == "solved":
        return "left" if car > _HIDING + 8 else "right" if car < _HIDING - 8 else "wait"
    way = _ROUTES[stage][place]
    if way == "enter":
        x = car - 4
        return "right" if x < _TURN - 10 else "left" if x > _TURN + 10 else "enter"
    return way


def _approach(car: int, suspect: int, flying: bool) -> str:
    """Drive to the distance of a jump from the window, on the side with more road, then at it."""
    towards, away = ("left", "right") if suspect < 60 else ("right", "left")
    return (
        towards
        if flying or (abs(suspect - car) >= _CATCH[0] and (car < suspect) == (towards == "right"))
        else away
    )


def _hop(now: Pixels, way: str, car: int, hazard: int | None, suspect: int | None) -> bool:
    if way not in ("left", "right"):
        return False
    side = 1 if way == "right" else -1
    if hazard is not None:
        low, high = _JUMPS[int(now[41])]
        if low <= side * (hazard - car) <= high:
            return True
    thug = int(now[41]) in (29, 32)
    low, high = _CATCH
    wanted = suspect is not None and not now[60] and not thug
    return wanted and low <= side * ((suspect or 0) - car) <= high


def _route(default: str, *changes: tuple[range, str]) -> tuple[str, ...]:
    route = [default] * 32
    for places, way in changes:
        for place in places:
            route[place] = way
    return tuple(route)


def _only(place: int) -> range:
    return range(place, place + 1)


_STREET, _WOODS = range(2, _FENCE), range(_THIEF, _PARK)
_HOME = (range(_PARK + 1, _MONEY + 1), "left"), (_only(_PARK), "enter")
_ROUTES = {
    "new": _route("right", (_only(_ALLEY), "enter")),
    "money": _route("right", (range(_BACK + 1, _MONEY + 1), "left"), (_only(_BACK), "enter")),
    "banked": _route("right", *_HOME, (_only(_BACK), "enter"), (_only(_MONEY), "left")),
    "gun": _route("right", (_STREET, "left"), (_only(_ALLEY), "enter")),
    "solved": _route("left", (range(_EXIT, 32), "right"), (_only(0), "right"), (_only(1), "enter")),
    "thief": _route(
        "left", (_WOODS, "right"), (_only(_PARK), "enter"), (range(_EXIT, 32), "right")
    ),
}
"""Stage -> the way out of each place, by number."""

PRIVATE_EYE = ExpertPolicy("private_eye", advise_private_eye)
