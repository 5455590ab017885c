"""The loop. Read this first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from numpy.random import default_rng

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import RunInvalid
from atari_vlm.types import Decision, Limits, Observation, Policy, Step

PICTURES = 64
"""Steps of `history` that keep their frames and prompts; the store has those of older ones."""

POLICY = 1
"""Sets the policy's randomness apart from the emulator's, which comes from the seed alone."""


class Log(Protocol):
    """Where an episode is written down; `store.EpisodeLog` is the real one."""

    def decided(self, observation: Observation, decision: Decision) -> None:
        """Commit a decision; called before its reward is asked for."""
        ...

    def rewarded(self, step: Step) -> None:
        """Note what the decision earned."""
        ...


async def steps(
    env: AtariVLMEnvironment,
    policy: Policy,
    log: Log,
    *,
    seed: int,
    episode: int = 0,
    limits: Limits,
) -> AsyncIterator[Step]:
    """Play one episode, yielding each step as it happens.

    Raises:
        RunInvalid: the model fell back `limits.fallbacks` times in a row, or in a whole episode.
        ModelUnusable: the model cannot answer at all; what was played is in the log.
    """
    env.begin(seed=seed, episode=episode)
    history: list[Step] = []
    fallbacks = 0
    done = False
    while not done:
        observation = env.observe(policy.privileges)
        rng = default_rng([seed, len(history), POLICY])
        decision = await policy.decide(observation, history, rng)
        log.decided(observation, decision)
        reward = env.advance(observation.legal.index(decision.action), decision.frames)
        terminated = env.emulator.over
        out_of_time = env.emulator.truncated or len(history) + 1 == limits.decisions
        step = Step(
            observation=observation,
            decision=decision,
            reward=reward,
            terminated=terminated,
            truncated=out_of_time and not terminated,
        )
        log.rewarded(step)
        history.append(step)
        if len(history) > PICTURES:
            history[-PICTURES - 1] = history[-PICTURES - 1].without_frames()
        yield step
        done = terminated or step.truncated
        fallbacks = fallbacks + 1 if decision.source == "fallback" else 0
        if fallbacks >= limits.fallbacks or (done and fallbacks == len(history)):
            raise RunInvalid(
                f"The model named no legal action {fallbacks} times in a row, so this is not its "
                f"score. The last reason: {decision.reason}"
            )
