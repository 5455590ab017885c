"""Decisions planned ahead: several plans from one answer, played one a decision.

A policy keeps no memory, so what is left of an answer travels as the note of each decision: the
next one reads it from the history, plays its first plan and notes the rest. A resumed run and a
parallel worker therefore go on exactly as an uninterrupted one does. A plan is dropped, and the
model asked again, when a life has been lost since it was made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from atari_vlm.types import Decision, Observation, Step

Plan = tuple[str, int]
"""(legal action, frames to hold it)."""

_PLAN = "[A-Z]+ x[0-9]+"
_NOTE = re.compile(
    rf"Planned at decision ([0-9]+), ([0-9]+) to ([0-9]+) of \3: ({_PLAN}(?:, {_PLAN})*)"
)


def planned(observation: Observation, history: Sequence[Step]) -> Decision | None:
    """What an earlier answer planned for now; None where the model is to be asked.

    It costs nothing: the answer it comes from is counted where it was given.
    """
    if not history or observation.lives < history[-1].observation.lives:
        return None
    found = _NOTE.fullmatch(history[-1].decision.note)
    if found is None:
        return None
    made, place, count = (int(number) for number in found.groups()[:3])
    plans = [words.split(" x") for words in found[4].split(", ")]
    (action, frames), *rest = [(name, int(held)) for name, held in plans]
    if action not in observation.legal or frames > observation.interval:
        return None  # a note of somebody else's
    return Decision(
        action=action,
        frames=frames,
        source="parsed",
        reason=f"Plan {place} of {count}, made at decision {made}.",
        note=remaining(rest, made=made, count=count),
    )


def remaining(plans: Sequence[Plan], *, made: int, count: int) -> str:
    """The note that hands on what is left to play; empty when nothing is.

    Args:
        plans: what is left.
        made: number of the decision at which the model was asked.
        count: how many plans it gave then.
    """
    if not plans:
        return ""
    left = ", ".join(f"{action} x{frames}" for action, frames in plans)
    return f"Planned at decision {made}, {count - len(plans) + 1} to {count} of {count}: {left}"
