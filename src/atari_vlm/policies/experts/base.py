"""What every scripted expert is made of: advice, how it is played, how a push is planned.

An expert looks at the memory before this decision and before the last one, and at nothing else:
whatever it says can be computed from the two pictures a student is shown. Where memory holds what
was found by watching the bytes while playing, and checked against the pixels of unpooled screens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.types import Decision, Observation, Pixels, Privilege, Step


@dataclass(frozen=True, slots=True)
class Advice:
    """What an expert sees and would play."""

    words: str
    """Objects in view, in pixels of the 160 x 210 screen: "ball 72 66 moving right 5 down 3"."""
    plans: dict[tuple[str, int], float]
    """Probability of each (action, frames) worth playing; they sum to 1."""
    weight: float = 1.0
    """How much hangs on this moment, relative to others of the game."""


Advise = Callable[[Pixels | None, Pixels, int], Advice]
"""(memory before the last decision, memory now, longest plan) -> advice."""


@dataclass(frozen=True)
class ExpertPolicy:
    """Plays what `advise` says; a stateless function of the memory now and one decision ago."""

    game: str
    advise: Advise
    name: str = "expert"
    privileges: frozenset[Privilege] = frozenset({"ram"})

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Draw a plan from the advice, and say in the note what was seen."""
        if observation.ram is None or observation.game != self.game:
            raise InvalidSetting(
                f"The {self.game} expert needs an observation of {self.game} with its memory."
            )
        before = history[-1].observation.ram if history else None
        advice = self.advise(before, observation.ram, observation.interval)
        action, frames = draw(advice, rng)
        return Decision(action=action, frames=frames, source="scripted", note=advice.words)


def draw(advice: Advice, rng: np.random.Generator) -> tuple[str, int]:
    """A plan, drawn with the advice's probabilities."""
    plans = list(advice.plans)
    return plans[int(rng.choice(len(plans), p=list(advice.plans.values())))]


def steer(push: float, negative: str, positive: str, longest: int) -> dict[tuple[str, int], float]:
    """Plans that push `push` frames on average: the two whole numbers around it.

    Drawing between the two, instead of rounding, keeps the mean exact and play out of loops.
    """
    push = max(-float(longest), min(float(longest), push))
    low = int(np.floor(push))
    plans: dict[tuple[str, int], float] = {}
    for frames, probability in ((low, low + 1 - push), (low + 1, push - low)):
        if probability > 0:
            plan = (
                (positive if frames > 0 else negative, abs(frames)) if frames else ("NOOP", longest)
            )
            plans[plan] = probability
    return plans


MOST_MOVED = 48
"""The longest displacement that is named, in pixels."""


def moving(dx: int, dy: int) -> str:
    """A displacement since the last decision in words: "moving right 5 down 3"."""
    return f"moving {across(dx)} {along(dy)}"


def across(dx: int) -> str:
    """A sideways displacement in words: "right 5", "straight"."""
    return f"{'right' if dx > 0 else 'left'} {min(abs(dx), MOST_MOVED)}" if dx else "straight"


def along(dy: int) -> str:
    """An upright displacement in words: "down 3", "level"."""
    return f"{'down' if dy > 0 else 'up'} {min(abs(dy), MOST_MOVED)}" if dy else "level"


def fold(value: float, low: float, high: float) -> float:
    """Where something that bounces between two walls ends up."""
    span = high - low
    value = (value - low) % (2 * span)
    return low + min(value, 2 * span - value)
