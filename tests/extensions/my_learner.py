"""A learner as a user writes it: asks the model what it makes of the scores so far."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm import Lessons, Message, Prompt


@dataclass(frozen=True)
class Reflect:
    """Keeps the model's answer as advice."""

    words: int = 20
    name: str = "reflect"
    version: str = "1"

    async def learn(self, trajectories, study):
        if not trajectories:
            return Lessons()
        scores = ", ".join(f"{trajectory.score:g}" for trajectory in trajectories)
        decisions = sum(len(trajectory.steps) for trajectory in trajectories)
        last = study.frame(trajectories[-1].episode, len(trajectories[-1].steps) - 1)
        text = f"Scores: {scores} in {decisions} decisions. Advise in {self.words} words."
        prompt = Prompt(messages=(Message("user", (last, text)),), legal=(), longest=1)
        reply = await study.model.answer(prompt, seed=int(study.rng.integers(2**63)))
        return Lessons(advice=(reply.text,), episodes=len(trajectories))
