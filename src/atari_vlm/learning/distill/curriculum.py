"""What is taught, game by game: the sentences an answer may be, and the plans that end it.

Growing to a new game means one entry here and an expert in `policies.experts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from atari_vlm.errors import unknown
from atari_vlm.policies.experts import MOST_MOVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """How answers about a game are worded."""

    game: str
    answers: tuple[str, ...]
    """Every sentence an answer may be; {name:kind} stands for a word of that kind."""
    actions: tuple[str, ...]
    """Actions a plan may hold for 1 to `LONGEST` frames."""
    axis: tuple[str, str] | None = None
    """Actions that push in opposite directions, so that plans between them can be averaged."""
    stress: Mapping[str, float] = field(default_factory=dict)
    """Name of a value -> how much its word counts in training; 1 where nothing is said."""
    scatter: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Byte of memory -> lowest and highest value it may be set to, to see what play rarely shows;
    left alone while it is 0, which means that there is nothing to move."""


LONGEST = 4
"""Emulator frames between two decisions, and so the longest plan."""

_PONG = (
    "ball {ball_x:x} {ball_y:y} moving {dx:across} {dy:along}, "
    "paddle {paddle:y}, aim {aim:y}: {plan:plan}",
    "ball {ball_x:x} {ball_y:y} new, paddle {paddle:y}, aim {aim:y}: {plan:plan}",
    "no ball, paddle {paddle:y}, aim {aim:y}: {plan:plan}",
    "{plan:plan}",
)

SUBJECTS: dict[str, Subject] = {
    subject.game: subject
    for subject in (
        Subject(
            game="pong",
            answers=_PONG,
            actions=("RIGHT", "LEFT"),
            axis=("RIGHT", "LEFT"),
            stress={"aim": 3.0, "plan": 2.0},
            scatter={54: (48, 203)},
        ),
    )
}


def get_subject(game: str) -> Subject:
    """The subject of a game, or an UnknownName that lists what can be taught."""
    if game not in SUBJECTS:
        raise unknown("game that can be taught", game, SUBJECTS)
    return SUBJECTS[game]


def plan_words(action: str, frames: int) -> str:
    """A plan as the answer words it: "LEFT for 3 frames"."""
    return f"{action} for {frames} frame{'s' if frames > 1 else ''}"


def plans(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Every plan of a game; resting is always for the whole interval."""
    held = [(action, n) for action in subject.actions for n in range(1, LONGEST + 1)]
    return (("NOOP", LONGEST), *held)


def kinds(subjects: tuple[Subject, ...]) -> dict[str, tuple[str, ...]]:
    """Kind -> its words in order, each with the space that precedes it in a sentence."""
    far = range(MOST_MOVED, 0, -1)
    every = {plan: None for subject in subjects for plan in plans(subject)}
    return {
        "x": tuple(f" {n}" for n in range(160)),
        "y": tuple(f" {n}" for n in range(210)),
        "across": (
            *(f" left {n}" for n in far),
            " straight",
            *(f" right {n}" for n in reversed(far)),
        ),
        "along": (*(f" up {n}" for n in far), " level", *(f" down {n}" for n in reversed(far))),
        "plan": tuple(plan_words(*plan) for plan in every),
    }
