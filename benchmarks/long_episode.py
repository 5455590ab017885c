"""Milliseconds and megabytes of a decision at the beginning and at the end of one long episode.

Run: python benchmarks/long_episode.py [decisions], 100,000 without a number. Montezuma's Revenge
never ends for a player that stands still, so one episode is as long as it is asked to be. The model
is a script, so that what is measured is ours: loop, history, prompts, parsing, wrappers, emulator.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.baselines import ConstantPolicy
from atari_vlm.policies.registry import WRAPPERS
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.protocols import Policy
from atari_vlm.rollout import steps
from atari_vlm.types import Decision, Limits, Observation, Step

GAME, WINDOW = "montezuma_revenge", 1000


class NoLog:
    """The record is left out: its file grows with the episode, by design."""

    def decided(self, observation: Observation, decision: Decision, latency: float) -> None:
        """Nothing."""

    def rewarded(self, step: Step) -> None:
        """Nothing."""


def asked(prompt: str = "basic", chunk_size: int = 1) -> VLMPolicy:
    words = "I wait and look. ACTION: NOOP" if chunk_size == 1 else "NOOP, NOOP, NOOP, NOOP"
    settings = PromptSettings(chunk_size=chunk_size)
    return VLMPolicy(ScriptedModel(lambda prompt: words), get_strategy(prompt, settings))


PLAYERS: dict[str, Callable[[], Policy]] = {
    "noop": ConstantPolicy,
    "basic": asked,
    "adaptive": lambda: asked("adaptive"),
    "4 decisions a call": lambda: asked(chunk_size=4),
    **{f"+{name}": lambda name=name: WRAPPERS[name](asked(), GAME) for name in WRAPPERS},
}


def megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


async def measure(name: str, decisions: int) -> None:
    env = AtariVLMEnvironment(GAME, frame_stack=1, resize_shape=None, frame_skip=1, max_frames=None)
    tenth, number, spent, start = decisions // 10, 0, {}, 0.0
    async for _ in steps(env, PLAYERS[name](), NoLog(), seed=0, limits=Limits(decisions=decisions)):
        number += 1
        if number in (tenth - WINDOW, decisions - WINDOW):
            start = time.process_time()
        if number in (tenth, decisions):
            spent[number] = 1e3 * (time.process_time() - start) / WINDOW, megabytes()
    assert number == decisions
    (early, small), (late, large) = spent[tenth], spent[decisions]
    print(
        f"{name}: {early:.2f} ms and {small:.0f} MB at {tenth:,}, {late:.2f} ms and {large:.0f} MB "
        f"at {decisions:,}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("decisions", type=int, nargs="?", default=100_000, help="default: 100000")
    asked = parser.parse_args()
    for player in PLAYERS:
        asyncio.run(measure(player, asked.decisions))
