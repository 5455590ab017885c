"""Models whose answers are given in order, by the prompt and the number of the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.types import Frame, Observation, Prompt, Reply, Usage

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")


class Answers:
    """Answers in the order of the calls, the last one again and again.

    Args:
        texts: the answers; or (text, log_probabilities).
        name: of the model.
    """

    prompt_type = "basic"

    def __init__(self, texts: Sequence[str | tuple[str, tuple[float, ...]]], name="answers"):
        self.texts, self.name = list(texts), name
        self.prompts: list[Prompt] = []
        self.seeds: list[int] = []

    async def answer(self, prompt, *, seed):
        said = self.texts[min(len(self.prompts), len(self.texts) - 1)]
        self.prompts.append(prompt)
        self.seeds.append(seed)
        await asyncio.sleep(0)
        text, logs = said if isinstance(said, tuple) else (said, ())
        usage = Usage(calls=1, input_tokens=100, output_tokens=10, dollars=0.01)
        ids = tuple(range(len(logs)))
        return Reply(text=text, usage=usage, token_ids=ids, log_probabilities=logs)

    async def close(self):
        pass


class BySeed:
    """Answers by the seed of the call, as a model with a temperature does."""

    prompt_type = "basic"

    def __init__(self, text: Callable[[Prompt, int], str], name="by-seed"):
        self.text, self.name, self.calls = text, name, 0

    async def answer(self, prompt, *, seed):
        self.calls += 1
        await asyncio.sleep(0)
        usage = Usage(calls=1, input_tokens=100, output_tokens=10)
        return Reply(text=self.text(prompt, seed), usage=usage)

    async def close(self):
        pass


def observation(**changed) -> Observation:
    return replace(_opening(), **changed)


@lru_cache(maxsize=1)
def _opening() -> Observation:
    emulator = Emulator(get_game("breakout"))
    emulator.reset(seed=0)
    frames = (Frame(emulator.screen()),)
    legal = emulator.legal
    return Observation(game="breakout", frames=frames, legal=legal, interval=4, lives=5)


def asked(model, prompt="basic", **settings) -> VLMPolicy:
    return VLMPolicy(model, get_strategy(prompt, PromptSettings(**settings)))


def decide(policy, seen=None, history=(), seed=0):
    rng = np.random.default_rng(seed)
    return asyncio.run(policy.decide(seen or observation(), history, rng))
