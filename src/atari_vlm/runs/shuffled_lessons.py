"""A control: lessons that are as long as those that were learned, and say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numpy.random import Generator

from atari_vlm.protocols import Learner, Study
from atari_vlm.types import Lessons, Trajectory


def shuffled(lessons: Lessons, rng: Generator) -> Lessons:
    """The lessons with the words of each text in random order, and screens at other examples.

    Words and pictures are the same, so that only what they say together is lost. A player that does
    as well with these was not helped by what it learned, but by having more in its prompt.
    """
    screens = [(example.frame, example.later) for example in lessons.examples]
    turn = 1 + int(rng.integers(max(1, len(screens) - 1)))  # no screen stays where it was
    examples = tuple(
        replace(
            example,
            text=_mixed(example.text, rng),
            frame=screens[(place + turn) % len(screens)][0],
            later=screens[(place + turn) % len(screens)][1],
        )
        for place, example in enumerate(lessons.examples)
    )
    advice = tuple(_mixed(words, rng) for words in lessons.advice)
    return replace(lessons, examples=examples, advice=advice)


def _mixed(text: str, rng: Generator) -> str:
    words = text.split()
    return " ".join(words[place] for place in rng.permutation(len(words)))


@dataclass(frozen=True)
class ShuffledLearner:
    """Learns what another learner does, and shuffles it."""

    learner: Learner

    @property
    def name(self) -> str:
        """That of the learner inside, which it is beside its lessons."""
        return self.learner.name

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons of the learner inside, shuffled."""
        return shuffled(await self.learner.learn(trajectories, study), study.rng)
