"""Lists of legal actions for the tests of parsers."""

from atari_vlm.replies.plan_parser import parse_plan

BREAKOUT = ("NOOP", "FIRE", "RIGHT", "LEFT")
PONG = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
FREEWAY = ("NOOP", "UP", "DOWN")
PACMAN = ("NOOP", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT")
FULL = (
    *("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT"),
    *("UPFIRE", "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE"),
    *("UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"),
)

GAMES = {
    "breakout": BREAKOUT,
    "pong": PONG,
    "freeway": FREEWAY,
    "ms_pacman": PACMAN,
    "seaquest": FULL,
}
"""Name -> legal actions of a game."""


def plan(text, legal=BREAKOUT, longest=4):
    parsed = parse_plan(text, legal, longest)
    assert (parsed.plan is None) == bool(parsed.fault)
    return parsed.plan
