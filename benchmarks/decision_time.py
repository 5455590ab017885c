"""CPU time of a decision: the embedded model, a lookahead, and searches with as many frames.

    python benchmarks/decision_time.py [--frames 600] [--decisions 50]

Fifty decisions of an episode in each game, after ten that start consoles and caches.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from long_episode import NoLog
from think import GAMES

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.players import Options, resolve
from atari_vlm.rollout import steps
from atari_vlm.types import Limits

WARM = 10


async def milliseconds(game: str, name: str, decisions: int) -> float:
    """CPU time of a decision on average, with the frames of the game that it plays."""
    policy = resolve(game, name, Options()).policy
    env = AtariVLMEnvironment(game, resize_shape=None)
    limits = Limits(decisions=WARM + decisions, fallbacks=WARM)
    played, begun = 0, 0.0
    async for _ in steps(env, policy, NoLog(), seed=0, limits=limits):
        played += 1
        if played == WARM:
            begun = time.process_time()
    return 1000 * (time.process_time() - begun) / (played - WARM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600, help="simulated for a decision")
    parser.add_argument("--decisions", type=int, default=50, help="of an episode")
    asked = parser.parse_args()
    players = ["embedded", f"embedded+lookahead:{asked.frames}"]
    players += [f"{kind}-{asked.frames}" for kind in ("iw", "uct")]
    for game in GAMES:
        took = [asyncio.run(milliseconds(game, each, asked.decisions)) for each in players]
        each = ", ".join(f"{name} {ms:.0f}" for name, ms in zip(players, took, strict=True))
        print(f"{game}: {each} ms", flush=True)


if __name__ == "__main__":
    main()
