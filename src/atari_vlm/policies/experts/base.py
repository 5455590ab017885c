"""The parts that scripted experts share: their advice, the policy that plays it, and its wording.

An expert reads the memory at this decision and at the last one, and nothing else. A student that
is shown the same two screens can therefore learn everything the expert describes. The addresses in
memory were found by watching bytes during play and were checked against the pixels of unpooled
screens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.types import Decision, Observation, Pixels, Plan, Privilege, Step


@dataclass(frozen=True, slots=True)
class Advice:
    """What an expert sees, and the plans it would play."""

    description: str
    """Objects in view, in pixels of the 160 x 210 screen: "ball 72 66 moving right 5 down 3"."""
    plans: dict[Plan, float]
    """Probability of each plan worth playing; the probabilities sum to 1."""
    weight: float = 1.0
    """Importance of this moment, relative to other moments of the game."""


Advise = Callable[[Pixels | None, Pixels, int], Advice]
"""(memory at the last decision, memory now, frame_skip) -> advice. No plan is longer than
frame_skip."""


@dataclass(frozen=True)
class ExpertPolicy:
    """Plays the plans of `advise`, a stateless function of the memory now and one decision ago."""

    game: str
    advise: Advise
    name: str = "expert"
    privileges: frozenset[Privilege] = frozenset({"ram"})

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Draw a plan from the advice; the reason of the decision is the advice's description.

        Raises:
            InvalidSetting: the observation is of another game or has no memory.
        """
        if observation.ram is None or observation.game != self.game:
            raise InvalidSetting(
                f"The {self.game} expert needs an observation of {self.game} with its memory."
            )
        before = history[-1].observation.ram if history else None
        advice = self.advise(before, observation.ram, observation.interval)
        action, frames = sample_plan(advice, rng)
        return Decision(action=action, frames=frames, source="scripted", reason=advice.description)


def sample_plan(advice: Advice, rng: np.random.Generator) -> Plan:
    """Draw a plan with the advice's probabilities."""
    plans = list(advice.plans)
    return plans[int(rng.choice(len(plans), p=list(advice.plans.values())))]


def push_plans(push: float, negative: str, positive: str, frame_skip: int) -> dict[Plan, float]:
    """Plans that push for `push` frames on average: the two whole numbers around it.

    Drawing one of the two keeps the mean exact, and unlike rounding it keeps play out of loops.

    Args:
        push: frames; negative for the action `negative`. It is clipped to +-frame_skip.
        negative: action that pushes in the negative direction.
        positive: action that pushes in the positive direction.
        frame_skip: the longest push.
    """
    push = max(-float(frame_skip), min(float(frame_skip), push))
    low = int(np.floor(push))
    plans: dict[Plan, float] = {}
    for frames, probability in ((low, low + 1 - push), (low + 1, push - low)):
        if probability > 0:
            action = positive if frames > 0 else negative
            plans[Plan(action, abs(frames)) if frames else Plan("NOOP", frame_skip)] = probability
    return plans


MAX_DISPLACEMENT = 48
"""The largest displacement that has words of its own, in pixels."""


def describe_motion(dx: int, dy: int) -> str:
    """A displacement since the last decision in words: "moving right 5 down 3"."""
    return f"moving {describe_dx(dx)} {describe_dy(dy)}"


def describe_dx(dx: int) -> str:
    """A horizontal displacement in words: "right 5", "straight"."""
    return f"{'right' if dx > 0 else 'left'} {min(abs(dx), MAX_DISPLACEMENT)}" if dx else "straight"


def describe_dy(dy: int) -> str:
    """A vertical displacement in words: "down 3", "level"."""
    return f"{'down' if dy > 0 else 'up'} {min(abs(dy), MAX_DISPLACEMENT)}" if dy else "level"


def reflect(value: float, low: float, high: float) -> float:
    """Fold a coordinate into [low, high] as if it bounced off two walls."""
    span = high - low
    value = (value - low) % (2 * span)
    return low + min(value, 2 * span - value)
