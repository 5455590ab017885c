"""The prompt of the embedded model: two frames, and one of the requests of its training."""

from __future__ import annotations

from collections.abc import Sequence

from atari_vlm.types import Lessons, Message, Observation, Prompt, Step

SEE = "Play {game}. Say what you see, then your plan."
"""Request for the objects in view, the point to aim at, and a plan."""
ACT = "Play {game}. Say only your plan."
"""Request for a plan alone, which takes a single forward pass."""
LOOK = "Look at {game}. Where is the {thing}?"
"""Request for one object: "ball 72 66 moving right 5 down 3", or "no ball"."""


def embedded_prompt(observation: Observation, history: Sequence[Step], lessons: Lessons) -> Prompt:
    """The frame of the last decision, the current frame, and the request `SEE`.

    Lessons are ignored, because the model is too small to read them.
    """
    now = observation.frames[-1]
    before = observation.frames[-2] if len(observation.frames) > 1 else None
    if before is None:
        before = history[-1].observation.frames[-1] if history else now
    return Prompt(
        messages=(Message("user", (before, now, SEE.format(game=observation.game))),),
        legal=observation.legal,
        longest=observation.interval,
        plans=True,
    )
