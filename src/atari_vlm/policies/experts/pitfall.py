"""Pitfall!: run to the right, over holes, pits and crocodiles; treasures lie along the road.

Positions are Harry's x in memory; the screen shows his centre 4 pixels further right. Harry runs 2
pixels a decision, and a jump takes eight decisions and 16 pixels. The policy has no memory, so
Harry's position replaces it: he stays back from a pit until it opens, then stands at its edge until
it closes, and can use all of the time in which it is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy, describe_dx
from atari_vlm.types import Pixels, Plan

_MIDDLE, _FEET, _ROAD = 4, 82, 32
_BACK, _EDGE, _BRINK = 26, 41, 44
"""X at which Harry stays back from a pit, x at which its edge begins, the last safe x before it."""
_LADDER = 76
_FALLS = {"hole": ((73, 79),), "holes": ((45, 55), (73, 79), (97, 107))}
"""Ground -> the ranges of x in which Harry falls into a hole."""
_HEADS = 62, 78, 94
"""X at which Harry stands safely on each crocodile; a jump from one reaches the next."""
_SHORE = 106
"""X at which the road continues behind a pit."""
_SPACING = {1: (0, 16), 2: (0, 32), 3: (0, 32, 64), 5: (0, 32, 64)}
"""Object of a scene -> offsets of its logs from the first, in pixels."""
_STILL = 4
"""Objects from this number on do not move: logs, a fire, a snake."""
_ACTIONS = {
    "right": "RIGHT",
    "left": "LEFT",
    "jump": "RIGHTFIRE",
    "hop": "FIRE",
    "climb": "UP",
    "drop": "DOWN",
    "wait": "NOOP",
}


@dataclass(frozen=True, slots=True)
class _Scene:
    x: int
    y: int
    """32 on the road, less in the air, more in a hole."""
    ground: str
    vine: int | None
    """X of the vine's lower end; None without a vine."""
    swing: int
    """Displacement of the vine's end since the last decision."""
    gap: int | None
    """Distance from Harry to the nearest obstacle ahead; None without one."""
    still: bool
    """Whether the obstacles of the scene do not move."""
    hanging: bool
    """Whether Harry hangs on the vine."""


def advise_pitfall(before: Pixels | None, now: Pixels, frame_skip: int) -> Advice:
    """Run to the right; jump, wait, swing and climb as the ground requires.

    Bytes: 97 and 105 are Harry's x and y, 1 is the scene (bits 0 to 2 the object, 3 to 5 the
    ground), 98 the object's x, 92 and 93 the swing of the vine and its side, 46 shows whether jaws
    are open, 32 whether a pit is open, 103 counts the time that Harry is in the air.
    """
    seen = _look(before, now)
    aim = _aim(seen)
    x, y = min(159, seen.x + _MIDDLE), max(0, min(209, seen.y + _FEET))
    vine, threat = "no vine", "no threat"
    if seen.vine is not None:
        vine = f"vine {seen.vine} moving {describe_dx(seen.swing)}"
    if seen.gap is not None:
        threat = f"threat {max(0, min(159, x + seen.gap))}"
    description = f"harry {x} {y}, ground {seen.ground}, {vine}, {threat}, aim {aim}"
    weight = {"right": 1.0, "wait": 1.0}.get(aim, 2.5)
    return Advice(description, {Plan(_ACTIONS[aim], frame_skip): 1.0}, weight)


def _look(before: Pixels | None, now: Pixels) -> _Scene:
    x, y, scene = int(now[97]), int(now[105]), int(now[1])
    swings = (scene >> 3 & 7) in (2, 3, 6) or (scene >> 3 & 7 == 4 and bool(scene & 2))
    vine = _vine(now) if swings else None
    known = vine is not None and before is not None and before[1] == now[1]
    swing = _vine(now) - _vine(before) if known and before is not None else 0
    still = scene & 7 >= _STILL
    gaps = [place - x for place in _objects(now, scene)]
    near = [gap for gap in gaps if -6 < gap < 48]
    return _Scene(
        x=x,
        y=y,
        ground=_ground(now, scene),
        vine=vine,
        swing=swing,
        gap=min(near) if near else None,
        still=still,
        hanging=vine is not None and 18 <= y < 31 and not now[103],
    )


def _vine(memory: Pixels) -> int:
    side = 1 if memory[93] == 240 else -1
    return max(52, min(107, 79 + side * round(0.25 * int(memory[92]))))


def _objects(now: Pixels, scene: int) -> list[int]:
    kind = scene >> 3 & 7
    if kind in (4, 5):  # crocodiles come without other objects; a treasure is no threat
        return []
    return [(int(now[98]) + behind) % 160 for behind in _SPACING.get(scene & 7, (0,))]


def _ground(now: Pixels, scene: int) -> str:
    kind = scene >> 3 & 7
    if kind < 2:
        return ("hole", "holes")[kind]
    if kind == 4:
        return "jaws" if now[46] == 3 else "heads"
    if kind in (2, 3):
        return "pit"
    return "flat" if now[32] == 255 else "pit"


def _aim(seen: _Scene) -> str:
    if seen.y > 56:  # underground; only the ladder leads out
        x = seen.x
        return "right" if x < _LADDER - 1 else "left" if x > _LADDER + 2 else "climb"
    if seen.hanging:
        return "drop" if seen.x >= 103 else "wait"
    if seen.y > _ROAD:  # on the ladder; running leaves its top
        return "right" if seen.y <= 48 else "climb"
    if seen.y < _ROAD:  # in a jump, which needs no input; on heads, one step too far kills
        return "wait" if seen.ground in ("jaws", "heads") else "right"
    if seen.ground in _FALLS:
        return _past_holes(seen)
    if seen.x > _BRINK and seen.ground in ("jaws", "heads"):
        return _over_heads(seen)
    if seen.x > _BRINK:
        return _run(seen)
    if seen.vine is not None:
        return _to_vine(seen)
    return _to_gap(seen)


def _run(seen: _Scene) -> str:
    """Run, and jump over obstacles."""
    if seen.gap is None:
        return "right"
    low, high = (6, 13) if seen.still else (8, 22)
    return "jump" if low <= seen.gap <= high else "right"


def _past_holes(seen: _Scene) -> str:
    falls = _FALLS[seen.ground]
    ahead = [low - seen.x for low, _ in falls if low > seen.x]
    if ahead and ahead[0] <= 5:
        return "jump"
    aim = _run(seen)
    lands = seen.x + 17
    if aim == "jump" and any(low - 1 <= lands <= high + 1 for low, high in falls):
        rolling = seen.gap is not None and seen.gap <= 12 and not seen.still
        return "hop" if rolling else "right"
    return aim


def _to_vine(seen: _Scene) -> str:
    """Stay back, run to the edge as the vine leaves the far side, and jump as it comes near."""
    vine = seen.vine or 0
    if seen.x <= _BACK:
        leaves = seen.swing < 0 and vine > 84
        waits = not leaves and seen.x > _BACK - 4
        return _dodge(seen) if waits else _stroll(seen, _BACK)
    if seen.swing > 0:  # too late; wait for the next swing
        return "left"
    if seen.x < _EDGE - 2:
        return "right"
    # Harry cannot jump while a log touches him.
    held = seen.gap is not None and seen.gap < 8 and not seen.still
    return "jump" if seen.swing < 0 and 57 <= vine <= 84 and not held else _dodge(seen)


def _to_gap(seen: _Scene) -> str:
    """Stay back until the danger begins, go to the edge, and cross when the danger ends."""
    danger = seen.ground in ("jaws", "pit")
    if seen.x <= _BACK:
        waits = not danger and seen.x > _BACK - 4
        return _dodge(seen) if waits else _stroll(seen, _BACK)
    if danger:
        return "right" if seen.x < _EDGE else _dodge(seen)
    if seen.ground == "heads":
        return "right" if seen.x < _EDGE else "jump"
    return "right"


def _stroll(seen: _Scene, limit: int) -> str:
    """Run, but hop on the spot if a jump would pass the waiting position."""
    aim = _run(seen)
    if aim == "jump" and seen.x + 19 > limit:
        hop = _dodge(seen)
        return "right" if hop == "wait" else hop
    return aim


def _dodge(seen: _Scene) -> str:
    rolls = seen.gap is not None and not seen.still and 6 <= seen.gap <= 11
    return "hop" if rolls else "wait"


def _over_heads(seen: _Scene) -> str:
    """Jump from head to head; open jaws leave only a few pixels to stand on."""
    if seen.x >= _SHORE:
        return _run(seen)
    low = -2 if seen.ground == "heads" else 0
    high = 3 if seen.ground == "heads" else 1
    if any(head + low <= seen.x <= head + high for head in _HEADS):
        return "jump"
    return "left" if any(head < seen.x <= head + 4 for head in _HEADS) else _run(seen)


PITFALL = ExpertPolicy("pitfall", advise_pitfall)
