"""A prompt as a user writes it: one screen, a few words, and the advice of a learner."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm import Message, Prompt


@dataclass(frozen=True)
class Terse:
    """Asks for one action."""

    polite: bool = False
    name: str = "terse"
    version: str = "1"

    def __call__(self, observation, history, lessons):
        please = "Please choose" if self.polite else "Choose"
        words = [f"{please} one of {', '.join(observation.legal)}.", *lessons.advice]
        return Prompt(
            messages=(Message("user", (observation.frames[-1], "\n".join(words))),),
            legal=observation.legal,
            longest=observation.interval,
        )
