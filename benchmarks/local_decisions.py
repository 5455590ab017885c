"""Ratios of processor time between ways to decide with a local model, on a tiny checkpoint.

Run: python benchmarks/local_decisions.py [FAMILY]. The checkpoint is random and has 0.2 million
parameters, so the ratios reflect the number of forward passes and the work around them. The two
sides of a ratio take turns, and the medians of their processor time are compared, so that other
load on the machine cancels out.

- one_pass: scoring 18 answers of one token in a single forward pass, as embedded checkpoints score
  their plans, against generating 60 tokens; both sides have the image in the cache;
- named_answers: scoring Pong's 24 answers ("ACTION: LEFT x3") exactly after reading the prompt
  once, against generating 60 tokens, likewise;
- eight_games, eight_scored: eight prompts answered (24 tokens each), or scored, in one batch,
  against one after the other;
- newest_frame: four screens, three of them in the cache, against encoding all four.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.models.local.conversation import Conversation
from atari_vlm.models.local.generation import GenerationRequest
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.models.local.prompt_format import InstructionFormat
from atari_vlm.models.local.scoring import build_candidates
from atari_vlm.models.local.transformers_backend import TransformersBackend
from atari_vlm.types import Frame, Message, Prompt
from tests import checkpoints

ROUNDS = 14
Call: TypeAlias = Callable[[int], Coroutine[Any, Any, Any]]
"""One round of a side, by its number."""
LEGAL = tuple(Emulator(get_game("pong")).legal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="?", default="idefics3", help="default: idefics3")
    family = parser.parse_args().family
    frames = _frames(4 * ROUNDS + 12)
    with TemporaryDirectory() as place:
        folder = checkpoints.family(family, Path(place) / family)
        asyncio.run(_compare_all(family, str(folder), frames))


async def _compare_all(family: str, folder: str, frames: list[Frame]) -> None:
    model, unbatched = await _load(folder), await _load(folder, together=1)
    uncached = await _load(folder, cache_features=False)
    sides = {**_scoring(model, frames), **_batching_and_caching(model, unbatched, uncached, frames)}
    ratios = {}
    for name, (fast, slow) in sides.items():
        fast_ms, slow_ms = await _time(fast, slow)
        ratios[name] = slow_ms / fast_ms
        print(f"{family}, {name}: {fast_ms:.2f} ms against {slow_ms:.2f} ms", flush=True)
    for name, ratio in ratios.items():
        print(f"local_decisions_{name}: {ratio:.2f} x")


def _scoring(model: LocalModel, frames: list[Frame]) -> dict[str, tuple[Call, Call]]:
    """Scoring against generation, for one prompt whose image is in the cache."""
    backend, prompt_format = model._backend, model._format
    assert isinstance(backend, TransformersBackend)
    assert isinstance(prompt_format, InstructionFormat)
    labels = [backend.tokenizer(letter)["input_ids"][-1] for letter in "ABCDEFGHIJKLMNOPQR"]
    one_token = build_candidates(tuple((label,) for label in labels))

    def conversation(k: int) -> Conversation:
        return prompt_format.conversation(backend, _prompt(frames[k % 2 : k % 2 + 1]))

    async def one_pass(k: int) -> None:
        (scores,) = backend.score_candidates([conversation(k)], one_token)
        assert len(scores) == 18

    async def sixty_tokens(k: int) -> None:
        request = GenerationRequest(conversation=conversation(k), max_new_tokens=60)
        (generation,) = backend.generate([request])
        assert generation.output_tokens == 60

    async def named_answers(k: int) -> None:
        assert len(await model.score(_prompt(frames[k % 2 : k % 2 + 1]))) == 24

    return {"one_pass": (one_pass, sixty_tokens), "named_answers": (named_answers, sixty_tokens)}


def _batching_and_caching(
    model: LocalModel, unbatched: LocalModel, uncached: LocalModel, frames: list[Frame]
) -> dict[str, tuple[Call, Call]]:
    """Eight prompts in a batch, and one prompt of four screens."""

    def prompts(k: int) -> list[Prompt]:
        return [_prompt(frames[4 * k + n : 4 * k + n + 1]) for n in range(8)]

    async def answer(player: LocalModel, k: int) -> None:
        await asyncio.gather(*(player.answer(prompt, seed=0) for prompt in prompts(k)))

    async def score(player: LocalModel, k: int) -> None:
        await asyncio.gather(*(player.score(prompt) for prompt in prompts(k)))

    async def score_four_screens(player: LocalModel, k: int) -> None:
        await player.score(_prompt(frames[k : k + 4]))

    return {
        "eight_games": (lambda k: answer(model, k), lambda k: answer(unbatched, k)),
        "eight_scored": (lambda k: score(model, k), lambda k: score(unbatched, k)),
        "newest_frame": (
            lambda k: score_four_screens(model, k),
            lambda k: score_four_screens(uncached, k),
        ),
    }


async def _load(folder: str, *, cache_features: bool = True, **settings: Any) -> LocalModel:
    """A loaded model without EOS tokens, because random weights would end answers anywhere."""
    model = LocalModel(folder, settings=LocalSettings(max_tokens=24, **settings))
    model._format.policy = replace(model.policy, cache_features=cache_features)
    await model.score(_prompt(_frames(1)))
    backend = model._backend
    assert isinstance(backend, TransformersBackend)
    backend.eos_token_ids.clear()
    backend.model.generation_config.eos_token_id = None
    return model


async def _time(fast: Call, slow: Call) -> tuple[float, float]:
    """Median milliseconds of processor time of both sides, without the first two rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for k in range(ROUNDS):
        for call, spent in zip((fast, slow), times, strict=True):
            start = time.process_time()
            await call(k)
            spent.append((time.process_time() - start) * 1e3)
    return statistics.median(times[0][2:]), statistics.median(times[1][2:])


def _prompt(frames: list[Frame]) -> Prompt:
    text = "You play Pong. Answer with one line only: ACTION: <name> x<frames>."
    return Prompt(messages=(Message("user", (*frames, text)),), legal=LEGAL, longest=4)


def _frames(count: int) -> list[Frame]:
    emulator, rng = Emulator(get_game("pong")), np.random.default_rng(0)
    emulator.reset(seed=0)
    frames = []
    for step in range(count):
        emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
        frames.append(Frame(emulator.screen(), step=step))
    return frames


if __name__ == "__main__":
    main()
