"""What a decision of a local model costs, in ratios measured side by side on tiny checkpoints.

Run: python benchmarks/local_decisions.py [FAMILY]. The checkpoint is random and has 0.2 million
parameters, so the figures say what the harness and the number of forward passes cost; a model of
seven billion on a GPU gains the same passes. Both sides of a line take turns, and the medians of
their processor time are compared, so that a busy machine changes nothing.

- one_pass: 18 labels of one token each, rated in a single forward pass (as the project's own
  checkpoints score their plans), against writing 60 tokens to the same prompt; both sides have
  looked at its picture before;
- named_answers: Pong's 24 answers ("ACTION: LEFT x3"), rated exactly on one reading of the prompt,
  against writing 60 tokens, likewise;
- eight_games, eight_scored: eight prompts answered (24 tokens each), or scored, in one batch,
  against one after the other;
- newest_frame: four screens, three of them seen before, against looking at all four.
"""

from __future__ import annotations

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
Work: TypeAlias = Callable[[int], Coroutine[Any, Any, Any]]
LEGAL = tuple(Emulator(get_game("pong")).legal)


def main() -> None:
    family = sys.argv[1] if len(sys.argv) > 1 else "idefics3"
    frames = _frames(4 * ROUNDS + 12)
    with TemporaryDirectory() as place:
        folder = checkpoints.family(family, Path(place) / family)
        asyncio.run(_all(family, str(folder), frames))


async def _all(family: str, folder: str, frames: list[Frame]) -> None:
    model, alone = await _endless(folder), await _endless(folder, together=1)
    blind = await _endless(folder, cache_features=False)
    ratios = {}
    for name, (fast, slow) in {**_one(model, frames), **_many(model, alone, blind, frames)}.items():
        quick, long = await _side_by_side(fast, slow)
        ratios[name] = long / quick
        print(f"{family}, {name}: {quick:.2f} ms against {long:.2f} ms", flush=True)
    for name, ratio in ratios.items():
        print(f"local_decisions_{name}: {ratio:.2f} x")


def _one(model: LocalModel, frames: list[Frame]) -> dict[str, tuple[Work, Work]]:
    """One prompt, whose picture is known: probabilities against words."""
    backend = model._backend
    assert isinstance(backend, TransformersBackend)
    assert isinstance(model._format, InstructionFormat)
    prompt_format = model._format
    labels = [backend.tokenizer(letter)["input_ids"][-1] for letter in "ABCDEFGHIJKLMNOPQR"]
    one_token = build_candidates(tuple((label,) for label in labels))

    def talk(k: int) -> Conversation:
        return prompt_format.conversation(backend, _prompt(frames[k % 2 : k % 2 + 1]))

    async def one_pass(k: int) -> None:
        (rated,) = backend.score_candidates([talk(k)], one_token)
        assert len(rated) == 18

    async def sixty(k: int) -> None:
        (written,) = backend.generate([GenerationRequest(conversation=talk(k), max_new_tokens=60)])
        assert written.output_tokens == 60

    async def named(k: int) -> None:
        assert len(await model.score(_prompt(frames[k % 2 : k % 2 + 1]))) == 24

    return {"one_pass": (one_pass, sixty), "named_answers": (named, sixty)}


def _many(
    model: LocalModel, alone: LocalModel, blind: LocalModel, frames: list[Frame]
) -> dict[str, tuple[Work, Work]]:
    """Eight prompts, and one of four screens."""

    def prompts(k: int) -> list[Prompt]:
        return [_prompt(frames[4 * k + n : 4 * k + n + 1]) for n in range(8)]

    async def answered(player: LocalModel, k: int) -> None:
        await asyncio.gather(*(player.answer(prompt, seed=0) for prompt in prompts(k)))

    async def scored(player: LocalModel, k: int) -> None:
        await asyncio.gather(*(player.score(prompt) for prompt in prompts(k)))

    async def four(player: LocalModel, k: int) -> None:
        await player.score(_prompt(frames[k : k + 4]))

    return {
        "eight_games": (lambda k: answered(model, k), lambda k: answered(alone, k)),
        "eight_scored": (lambda k: scored(model, k), lambda k: scored(alone, k)),
        "newest_frame": (lambda k: four(model, k), lambda k: four(blind, k)),
    }


async def _endless(folder: str, *, cache_features: bool = True, **settings: Any) -> LocalModel:
    """A model whose answers go on to their longest: random weights would end them anywhere."""
    model = LocalModel(folder, settings=LocalSettings(max_tokens=24, **settings))
    model._format.policy = replace(model.policy, cache_features=cache_features)
    await model.score(_prompt(_frames(1)))
    backend = model._backend
    assert isinstance(backend, TransformersBackend)
    backend.eos_token_ids.clear()
    backend.model.generation_config.eos_token_id = None
    return model


async def _side_by_side(fast: Work, slow: Work) -> tuple[float, float]:
    """Median milliseconds of processor time of both, taking turns, after a few to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for k in range(ROUNDS):
        for work, spent in zip((fast, slow), times, strict=True):
            start = time.process_time()
            await work(k)
            spent.append((time.process_time() - start) * 1e3)
    return statistics.median(times[0][2:]), statistics.median(times[1][2:])


def _prompt(frames: list[Frame]) -> Prompt:
    words = "You play Pong. Answer with one line only: ACTION: <name> x<frames>."
    return Prompt(messages=(Message("user", (*frames, words)),), legal=LEGAL, longest=4)


def _frames(count: int) -> list[Frame]:
    emulator, rng = Emulator(get_game("pong")), np.random.default_rng(0)
    emulator.reset(seed=0)
    shown = []
    for step in range(count):
        emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
        shown.append(Frame(emulator.screen(), step=step))
    return shown


if __name__ == "__main__":
    main()
