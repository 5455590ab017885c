"""How long before a reward or a loss it is settled: nothing that is played in between changes it.

A shot flies, a ball returns, a dying figure falls: an example that showed only these frames would
teach nothing. `python benchmarks/settled_moments.py` measures it: it plays other actions from saved
states before each event, and finds the earliest from which all of them meet the same event.
"""

from __future__ import annotations

SETTLED: dict[str, tuple[int, int]] = {
    "pong": (120, 32),
    "breakout": (56, 32),
    "space_invaders": (32, 120),
    "freeway": (0, 0),
    "asteroids": (8, 48),
    "ms_pacman": (0, 72),
    "qbert": (24, 32),
    "seaquest": (4, 80),
    "enduro": (12, 16),
    "montezuma_revenge": (4, 32),
    "pitfall": (0, 32),
    "private_eye": (4, 0),
}
"""Game -> median emulator frames from the last decision that matters to (a reward, a loss)."""

_UNKNOWN = (24, 48)


def settled_frames(game: str, *, loss: bool) -> int:
    """Emulator frames (60 a second) between the last decision that matters and the event.

    Args:
        game: name in the catalogue; for one that is not measured, a middling number.
        loss: of a life or of points, instead of a reward.
    """
    return SETTLED.get(game, _UNKNOWN)[loss]
