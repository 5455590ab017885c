"""The loop. Read this first."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Protocol

from numpy.random import default_rng

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import RunInvalid
from atari_vlm.policies.checking import checked
from atari_vlm.policies.history import History
from atari_vlm.protocols import Policy, awaitable, privileges_of
from atari_vlm.stats import times
from atari_vlm.types import Decision, Limits, Observation, Step

POLICY = 1
"""Separates the policy's randomness from the emulator's, which comes from the seed alone."""


class Log(Protocol):
    """Where an episode is written down; `runs.episode_log.EpisodeLog` is the real one."""

    def decided(self, observation: Observation, decision: Decision, latency: float) -> None:
        """Commit a decision and the seconds it took; called before its reward is asked for."""
        ...

    def rewarded(self, step: Step) -> None:
        """Note the reward of the decision."""
        ...


async def steps(
    env: AtariVLMEnvironment,
    policy: Policy,
    log: Log,
    *,
    seed: int,
    episode: int = 0,
    limits: Limits,
) -> AsyncGenerator[Step, None]:
    """Play one episode, yielding each step as it happens; close it, if it is left before its end.

    Raises:
        RunInvalid: the model fell back `limits.fallbacks` times in a row, or in a whole episode.
        ModelUnusable: the model cannot answer at all; what was played is in the log.
        IllegalAction: the policy returned something that cannot be played; it is not in the log.
    """
    env.begin(seed=seed, episode=episode)
    env.emulator.park()
    privileges = privileges_of(policy)
    history = History()
    fallbacks = 0
    done = False
    while not done:
        observation = env.observe(privileges)
        rng = default_rng([seed, len(history), POLICY])
        start = time.perf_counter()
        deciding = awaitable(policy.decide(observation, history, rng), policy, "decide")
        decision = checked(await deciding, policy, observation)
        log.decided(observation, decision, time.perf_counter() - start)
        reward = env.advance(observation.legal.index(decision.action), decision.frames)
        terminated = env.emulator.terminated
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
        env.emulator.park()  # other games may have its console until it is this one's turn again
        yield step
        done = terminated or step.truncated
        fallbacks = fallbacks + 1 if decision.source == "fallback" else 0
        if fallbacks >= limits.fallbacks or (done and fallbacks == len(history)):
            often = times(fallbacks) + " in a row" * (fallbacks > 1)
            raise RunInvalid(
                f"The model named no legal action {often}, so this is not its score. The last "
                f"reason: {decision.reason}",
                reply=decision.reply,
            )
