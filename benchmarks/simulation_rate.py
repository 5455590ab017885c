"""Emulator frames that a search simulates in a second of CPU time, in each suggested game.

    python benchmarks/simulation_rate.py

The estimates of time (`advice.simulation.RATES`) rest on it: `uct-600` and `iw-600` from a moment
of each game, all their own work included.
"""

from __future__ import annotations

import asyncio
import time

from numpy.random import default_rng

from atari_vlm.atari.games import SUGGESTED
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.policies.registry import get_policy

SEARCHES = ("uct-600", "iw-600")
DECISIONS = 3


def moment(game: str) -> AtariVLMEnvironment:
    """A game after 20 decisions at random."""
    env, rng = AtariVLMEnvironment(game, resize_shape=None), default_rng(0)
    env.begin(seed=0)
    for _ in range(20):
        env.advance(int(rng.integers(len(env.legal))), 4)
    return env


def rate(game: str, player: str) -> float:
    """Frames a second of CPU time; the first decision, which starts a console, does not count."""
    policy, seen = get_policy(player, game), moment(game).observe(frozenset({"emulator"}))
    asyncio.run(policy.decide(seen, [], default_rng(0)))
    frames, begun = 0, time.process_time()
    for seed in range(DECISIONS):
        reason = asyncio.run(policy.decide(seen, [], default_rng(seed))).reason
        frames += int(reason.split("; ")[-1].split()[0])
    return frames / (time.process_time() - begun)


if __name__ == "__main__":
    for name in SUGGESTED:
        print(f"{name}: " + ", ".join(f"{each} {rate(name, each):,.0f}" for each in SEARCHES))
