"""Asteroids: keep turning left, and fire when the shot would hit a rock.

The ship does not move. Only two shots can be in flight at once, so a shot that misses costs the
most time; a full turn takes only 16 decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.policies.experts.base import Advice, ExpertPolicy
from atari_vlm.types import Pixels, Plan

NOSES = (
    *("north", "northnorthwest", "northwest", "westnorthwest"),
    *("west", "westsouthwest", "southwest", "southsouthwest"),
    *("south", "southsoutheast", "southeast", "eastsoutheast"),
    *("east", "eastnortheast", "northeast", "northnortheast"),
)
"""Directions of the ship's nose, in the order of a turn to the left."""


@dataclass(frozen=True, slots=True)
class AsteroidsAim:
    """When the Asteroids expert fires; tuned by playing full episodes."""

    slack: float = 2.0
    """Pixels by which a shot may miss a rock and still be fired."""
    range: int = 7
    """Decisions that a shot stays in flight, at most."""


@dataclass(frozen=True, slots=True)
class Rock:
    """A rock on the screen, and its displacement since the last decision."""

    x: float
    """Of its centre."""
    y: float
    """Of its centre."""
    dx: float
    dy: float
    width: int
    height: int


_AIM = AsteroidsAim()
_NOTHING, _ROWS = 224, 256
"""The y byte of an absent object; the y at which bytes wrap around."""
_SIZES = ((16, 28), (16, 28), (8, 14), (4, 8))
_QUARTER = ((0, -16), (-2, -12), (-6, -12), (-8, -4), (-8, 0))
"""Pixels that a shot flies in a decision, for a ship that points north to west."""


def advise_asteroids(
    before: Pixels | None, now: Pixels, frame_skip: int, aim: AsteroidsAim = _AIM
) -> Advice:
    """Turn left all the time; fire where a shot will hit a rock.

    Bytes: the lower half of 60 is the ship's heading, 73 and 74 are its x and y (224 without a
    ship). The ship turns and the shot leaves on the second frame of a decision, so the shot flies
    in the new direction.
    """
    turn, fire = Plan("LEFT", min(2, frame_skip)), Plan("LEFTFIRE", min(2, frame_skip))
    if now[74] == _NOTHING:
        return Advice("no ship", {turn: 1.0}, 0.3)
    heading = int(now[60]) & 15
    description = f"nose {NOSES[heading]}"
    hit = target(before, now, shot((heading + 1) % 16), aim)
    if hit is None:
        return Advice(f"{description}, no target", {turn: 1.0})
    description += f", target {_clip(hit.x, 159)} {_clip(hit.y, 209)}"
    return Advice(description, {fire: 1.0}, 1.5)


def target(
    before: Pixels | None, now: Pixels, flight: tuple[int, int], aim: AsteroidsAim = _AIM
) -> Rock | None:
    """The first rock that a shot fired now would hit."""
    x, y = left_pixel(int(now[73])) + 3.5, 2 * int(now[74]) + 23.0
    seen = rocks(before, now)
    for half in range(1, 2 * aim.range):
        time = half / 2
        for rock in seen:
            side = abs(_wrapped(x + flight[0] * time - rock.x - rock.dx * time))
            height = abs(y + flight[1] * time - rock.y - rock.dy * time)
            if side <= rock.width / 2 + aim.slack and height <= rock.height / 2 + aim.slack:
                return rock
    return None


def rocks(before: Pixels | None, now: Pixels) -> list[Rock]:
    """The rocks in view.

    Bytes, for nine rocks that fly up and then nine that fly down: 3 to 20 are their y, 21 to 38
    their x, 39 to 56 their size and colour. A rock that crosses the upper edge is listed twice.
    """
    found = []
    for slot in range(18):
        rock = _rock(now, slot)
        if rock is None:
            continue
        last = None if before is None else _rock(before, slot)
        dx, dy = 0.0, -4.0 if slot < 9 else 4.0
        if last is not None and last.width == rock.width:
            moved = _wrapped(rock.x - last.x), rock.y - last.y
            if abs(moved[0]) <= 6 and abs(moved[1]) <= 10:
                dx, dy = moved
        found.append(Rock(rock.x, rock.y, dx, dy, rock.width, rock.height))
    return found


def _rock(memory: Pixels, slot: int) -> Rock | None:
    y, side, kind = int(memory[3 + slot]), int(memory[21 + slot]), int(memory[39 + slot])
    if y == _NOTHING or not (y or side or kind):
        return None
    width, height = _SIZES[kind >> 4 & 3]
    top = 2 * (y - _ROWS if y >= _ROWS // 2 else y) + 23
    return Rock(left_pixel(side) + width / 2, top + height / 2, 0.0, 0.0, width, height)


def left_pixel(byte: int) -> float:
    """The leftmost pixel of an object, from the byte of its horizontal position.

    The lower half counts steps of 15 pixels, odd values before even ones. The upper half shifts by
    up to 8 pixels to either side.
    """
    coarse, fine = byte & 15, byte >> 4
    start = 7.5 * coarse + (-13.5 if coarse % 2 else 81.0)
    return start - (fine - 16 if fine > 7 else fine)


def shot(heading: int) -> tuple[int, int]:
    """Pixels to the right and down that a shot flies in a decision."""
    turn = heading % 16
    if turn > 8:
        dx, dy = shot(16 - turn)
        return -dx, dy
    if turn > 4:
        dx, dy = _QUARTER[8 - turn]
        return dx, -dy
    return _QUARTER[turn]


def _wrapped(distance: float) -> float:
    """A horizontal distance on a screen that wraps around."""
    return (distance + 80) % 160 - 80


def _clip(value: float, most: int) -> int:
    return max(0, min(most, round(value)))


ASTEROIDS = ExpertPolicy("asteroids", advise_asteroids)
