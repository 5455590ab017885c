"""How long before a reward or a loss it is settled: nothing that is played in between changes it.

A shot flies, a ball returns, a dying figure falls: an example that showed only these frames would
teach nothing. `python benchmarks/settled_moments.py` prints the table: it plays other actions from
states before each event, and finds the earliest from which all of them meet the same event. It saw
2 to 32 rewards and 2 to 22 losses a game (of Freeway none), so these are rough numbers.
"""

from __future__ import annotations

SETTLED: dict[str, tuple[int, int]] = {
    "pong": (120, 80),
    "breakout": (72, 48),
    "space_invaders": (32, 120),
    "freeway": (0, 0),
    "asteroids": (12, 40),
    "ms_pacman": (2, 80),
    "qbert": (24, 32),
    "seaquest": (4, 80),
    "enduro": (16, 24),
    "montezuma_revenge": (4, 16),
    "pitfall": (0, 32),
    "private_eye": (0, 0),
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
