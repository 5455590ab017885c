"""Montezuma's Revenge: fetch the first key, open the left door, and take two jewels behind it.

A fall costs a life but not the key, and puts Joe back at the top. With a life to spare, falling is
the short way from the key to the doors. A beast that kills Joe disappears. Memory was compared
with the pixels of unpooled screens.
"""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

TOP, LEDGE, GROUND = 235, 192, 148
"""Joe's y (byte 43) on the top floor, on the ledges and the belt, and on the ground."""
LEFT_LADDER, LADDER, RIGHT_LADDER, ROPE = 21, 77, 133, 109
"""Joe's x (byte 42) on each of them."""
FIRST, BEAMS, SPIDER, PIT = 1, 0, 4, 10
"""Numbers of the rooms along the route."""
_KEY, _LOST = 2, (22, 26, 30)
"""The bit of byte 65 for a carried key; byte 53 while Joe is crushed or burns."""
_BEAM_WAITS = ((144, 148, 151), (124, 128, 131), (48, 53, 56))
"""For each row of beams: x at its edge, and the range of x in which Joe waits for a gap."""
_ELSEWHERE = ("LEFT", "RIGHT", "UP", "DOWN")

Move = tuple[str, tuple[int, int]]
"""An action, and the (x, y) that it leads to, as bytes 42 and 43."""


@dataclass(frozen=True, slots=True)
class _Joe:
    x: int
    y: int
    fetched: bool
    """Whether Joe has the key or has used it."""
    beast: int | None
    """Distance of the skull or spider to the right of Joe; None without one."""

    def climbs(self, ladder: int) -> bool:
        """Whether Joe's x is that of a ladder or rope."""
        return abs(self.x - ladder) <= 1


def advise_montezuma_revenge(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Follow the route to the key, back to the top, through the left door and to the jewels.

    Bytes: 3 is the room, 42 and 43 are Joe's x and height, 53 is his pose, 44 the spider's x and 47
    the skull's, 58 the lives, 65 the things Joe carries, 66 the things left in the room (bit 0 the
    treasure, 1 the skull of the first room, 3 its left door). 37 is 253 while beams or floors are
    gone.
    """
    room, x, y, left = int(now[3]), int(now[42]), int(now[43]), int(now[66])
    where = f"joe {_screen_x(x)} {_screen_y(y)}"
    if now[53] in _LOST:
        return Advice(f"{where} lost", {Plan("NOOP", frame_skip): 1.0}, 0.3)
    gone, was_gone = (int(memory[37]) == 253 for memory in (now, now if before is None else before))
    if room == FIRST:
        skull = int(now[47]) + 33 if left & 2 else None
        key = "taken" if now[65] & _KEY else "there" if left & 1 else "used"
        joe = _Joe(x, y, key != "there", None if skull is None else skull - x)
        objects = f"{_clause('skull', skull)}, key {key}"
        move = _first_room(joe, key, bool(left & 8), now[58] > 0)
    elif room == BEAMS:
        beams = ("vanished" if not was_gone else "off") if gone else "on"
        objects = f"beams {beams}, jewel {'there' if left & 1 else 'taken'}"
        move = _beam_room(_Joe(x, y, False, None), beams, bool(left & 1))
    elif room == SPIDER:
        spider = int(now[44]) if left & 1 else None
        objects = _clause("spider", spider)
        move = _spider_room(_Joe(x, y, False, None if spider is None else spider - x))
    elif room == PIT:
        floor = "gone" if gone else "new" if was_gone else "there"
        objects = f"floor {floor}, jewel {'there' if left & 1 else 'taken'}"
        move = _pit_room(_Joe(x, y, False, None), floor, bool(left & 1))
    else:
        anywhere = {Plan(action, frame_skip): 1 / len(_ELSEWHERE) for action in _ELSEWHERE}
        return Advice(f"{where} elsewhere", anywhere, 0.3)
    action, aim = move
    description = f"{where}, {objects}, aim {_screen_x(aim[0])} {_screen_y(aim[1])}"
    jump = "FIRE" in action
    # The button works again only after a release, so a jump is shorter than the decision.
    plan = Plan(action, min(2, frame_skip) if jump else frame_skip)
    return Advice(description, {plan: 1.0}, 3.0 if jump else 1.0)


def _screen_x(x: int) -> int:
    """Screen x of the centre, from byte 42, 44, or 47 plus 33."""
    return max(0, min(159, x + 3))


def _screen_y(y: int) -> int:
    """Screen y of the chest, from byte 43."""
    return max(0, min(209, 318 - y))


def _clause(name: str, x: int | None) -> str:
    return f"no {name}" if x is None else f"{name} {_screen_x(x)}"


def _walk(joe: _Joe, x: int) -> Move:
    return ("LEFT" if joe.x > x else "RIGHT"), (x, joe.y)


def _first_room(joe: _Joe, key: str, left_door: bool, spare: bool) -> Move:
    if joe.y >= TOP - 2:
        return _top(joe, key, left_door)
    if joe.y == LEDGE:
        return _ledges(joe, spare)
    if joe.y == GROUND:
        return _ground(joe)
    if joe.climbs(LADDER) and joe.y > LEDGE:
        return ("UP", (LADDER, TOP)) if joe.fetched else ("DOWN", (LADDER, LEDGE))
    if joe.climbs(ROPE) and joe.y > LEDGE - 12:
        if joe.y > 208:
            return "DOWN", (ROPE, 200)
        return ("LEFTFIRE", (90, LEDGE)) if joe.fetched else ("RIGHTFIRE", (131, LEDGE))
    for ladder, way in ((LEFT_LADDER, not joe.fetched), (RIGHT_LADDER, joe.fetched)):
        if joe.climbs(ladder) and GROUND < joe.y < LEDGE:
            return ("UP", (ladder, LEDGE)) if way else ("DOWN", (ladder, GROUND))
    return "NOOP", (joe.x, joe.y)


def _top(joe: _Joe, key: str, left_door: bool) -> Move:
    """Go down the ladder for the key; with it, or with a door open, leave the room."""
    goal = 9 if joe.fetched else LADDER
    if key == "used" and left_door:  # the key opened the right door instead
        goal = 148
    if not joe.fetched and abs(joe.x - goal) <= 3:
        return "DOWN", (LADDER, LEDGE)
    action, aim = _walk(joe, goal)
    # The floor has gaps from 54 to 66 and from 91 to 102.
    spans = ((64, 71), (98, 104)) if action == "LEFT" else ((45, 52), (82, 88))
    if any(low <= joe.x <= high for low, high in spans):
        action += "FIRE"
    return action, aim


def _ledges(joe: _Joe, spare: bool) -> Move:
    if joe.x < 45:
        if not joe.fetched:
            return "LEFTFIRE", (LEFT_LADDER - 6, LEDGE)
        if spare:
            return "RIGHT", (48, GROUND)
        return ("DOWN", (LEFT_LADDER, GROUND)) if abs(joe.x - 21) <= 3 else _walk(joe, LEFT_LADDER)
    if joe.x < 115:
        if joe.fetched:
            return ("UP", (LADDER, TOP)) if abs(joe.x - 79) <= 4 else _walk(joe, LADDER)
        return ("RIGHTFIRE" if joe.x >= 88 else "RIGHT"), (ROPE, 200)
    if joe.fetched:
        return ("LEFTFIRE" if joe.x <= 132 else "LEFT"), (ROPE, 200)
    if abs(joe.x - RIGHT_LADDER) <= 3:
        return "DOWN", (RIGHT_LADDER, GROUND)
    return _walk(joe, RIGHT_LADDER)


def _ground(joe: _Joe) -> Move:
    """Go to the other ladder; let the skull come near and jump over it."""
    ladder = RIGHT_LADDER if joe.fetched else LEFT_LADDER
    if abs(joe.x - ladder) <= 3:
        return "UP", (ladder, LEDGE)
    action, aim = _walk(joe, ladder)
    ahead = 99 if joe.beast is None else joe.beast if action == "RIGHT" else -joe.beast
    if 0 <= ahead < 12:
        return ("LEFT" if action == "RIGHT" else "RIGHT"), aim
    if 12 <= ahead <= 15:
        return action + "FIRE", aim
    if 15 < ahead <= 24:
        return "NOOP", aim
    return action, aim


def _beam_room(joe: _Joe, beams: str, jewel: bool) -> Move:
    """Cross each row of beams as soon as it vanishes, jump for the jewel, go down the ladder."""
    if joe.y < TOP - 2 and joe.climbs(LADDER):
        return "DOWN", (LADDER, 100)
    if not jewel and abs(joe.x - LADDER) <= 3:
        return "DOWN", (LADDER, 100)
    if jewel and 21 <= joe.x <= 27:
        return "FIRE", (26, TOP)
    action, aim = _walk(joe, 26 if jewel else LADDER)
    for edge, low, high in _BEAM_WAITS:
        if action == "LEFT" and edge <= joe.x <= high:
            return _cross("LEFT", "RIGHT", joe.x >= low, beams), aim
    if action == "RIGHT" and 23 <= joe.x <= 31:
        return _cross("RIGHT", "LEFT", joe.x <= 26, beams), aim
    return action, aim


def _cross(forward: str, back: str, waits: bool, beams: str) -> str:
    """Start when the beams vanish and do not stop; keep off the edge while they burn."""
    if beams == "vanished":
        return forward
    if waits:
        return "NOOP"
    return back if beams == "on" else forward


def _spider_room(joe: _Joe) -> Move:
    """Go down the ladder, unless the spider is close to it."""
    if joe.y == TOP and not joe.climbs(LADDER):
        return _walk(joe, LADDER)
    near = joe.beast is not None and abs(joe.beast) < 22
    return ("NOOP" if near and joe.y >= 242 else "DOWN"), (LADDER, 100)


def _pit_room(joe: _Joe, floor: str, jewel: bool) -> Move:
    """Go down the ladder, left to solid ground while the floor is there, and jump for the jewel."""
    if not jewel:
        if joe.y > TOP + 2:
            return "DOWN", (LADDER, TOP)
        return "RIGHT", (126, TOP)
    if joe.climbs(LADDER) and joe.y > TOP:
        waits = floor == "gone" if joe.y < 239 else floor != "new" and joe.y <= 244
        return ("NOOP" if waits else "DOWN"), (LADDER, TOP)
    return ("FIRE", (16, TOP)) if joe.x <= 20 else ("LEFT", (16, TOP))


MONTEZUMA_REVENGE = ExpertPolicy("montezuma_revenge", advise_montezuma_revenge)
