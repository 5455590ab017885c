"""What a decision of a local model costs, in ratios measured side by side on tiny checkpoints.

Run: python benchmarks/local_decisions.py [FAMILY]. The checkpoint is random and has 0.2 million
parameters, so the figures say what the harness and the number of forward passes cost; a model of
seven billion on a GPU gains the same passes. Both sides of a line take turns, and the medians of
their processor time are compared, so that a busy machine changes nothing.

- one_pass: the project's own architecture, whose plans are one token each, scores them in a single
  forward pass, against writing 60 tokens to the same prompt;
- named_answers: 72 answers of several tokens ("ACTION: LEFT x3"), rated exactly on one reading of
  the prompt, against writing 60 tokens;
- eight_games: eight prompts in one batch, against one after the other;
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

from atari_vlm.emulator import Emulator
from atari_vlm.games import get_game
from atari_vlm.models.local import LocalModel, LocalSettings
from atari_vlm.models.network import Network, Wish
from atari_vlm.prompts.specialist import SEE
from atari_vlm.types import Frame, Message, Prompt
from tests import checkpoints

ROUNDS = 14
Work: TypeAlias = Callable[[int], Coroutine[Any, Any, Any]]
LEGAL = tuple(Emulator(get_game("boxing")).legal)
"""All 18 actions."""


def main() -> None:
    family = sys.argv[1] if len(sys.argv) > 1 else "idefics3"
    frames = _frames(4 * ROUNDS + 12)
    with TemporaryDirectory() as place:
        folder = checkpoints.family(family, Path(place) / family)
        own = checkpoints.own(Path(place) / "own")
        asyncio.run(_all(family, str(folder), str(own), frames))


async def _all(family: str, folder: str, own: str, frames: list[Frame]) -> None:
    model, ours = await _endless(folder), await _endless(own)
    alone, blind = _model(folder, together=1), _model(folder, once=False)

    def one(k: int) -> Prompt:
        return _prompt(frames[k : k + 1])

    def four(k: int) -> Prompt:
        return _prompt(frames[k : k + 4])

    def two(k: int) -> Prompt:
        request = SEE.format(game="pong")
        return Prompt(
            messages=(Message("user", (*frames[k : k + 2], request)),), legal=LEGAL, longest=4
        )

    async def sixty(player: LocalModel, prompt: Prompt) -> None:
        network = player._network
        assert isinstance(network, Network)
        if player.prompt_type == "specialist":  # without its sentences, which end early
            answers = player._own
            assert answers is not None
            talk = player._motion(answers, prompt, SEE.format(game="pong"))
        else:
            talk = player._conversation(network, prompt)
        (written,) = network.write([Wish(conversation=talk, longest=60)])
        assert written.written == 60

    async def eight(player: LocalModel, k: int) -> None:
        await asyncio.gather(*(player.score(one(k + n)) for n in range(8)))

    pairs: dict[str, tuple[Work, Work]] = {
        "one_pass": (lambda k: ours.score(two(k)), lambda k: sixty(ours, two(k))),
        "named_answers": (lambda k: model.score(one(k)), lambda k: sixty(model, one(k))),
        "eight_games": (lambda k: eight(model, 4 * k), lambda k: eight(alone, 4 * k)),
        "newest_frame": (lambda k: model.score(four(k)), lambda k: blind.score(four(k))),
    }
    ratios = {}
    for name, (fast, slow) in pairs.items():
        quick, long = await _side_by_side(fast, slow)
        ratios[name] = long / quick
        print(f"{family}, {name}: {quick:.2f} ms against {long:.2f} ms", flush=True)
    for name, ratio in ratios.items():
        print(f"local_decisions_{name}: {ratio:.2f} x")


async def _endless(folder: str) -> LocalModel:
    """A model whose answers go on to their longest: random weights would end them anywhere."""
    model = _model(folder)
    prompt = _prompt(_frames(2))
    if model.prompt_type == "specialist":
        words = Message("user", (*prompt.frames, SEE.format(game="pong")))
        prompt = replace(prompt, messages=(words,))
    await model.score(prompt)
    network = model._network
    assert isinstance(network, Network)
    network.ends.clear()
    network.model.generation_config.eos_token_id = None
    return model


def _model(folder: str, *, once: bool = True, **settings: Any) -> LocalModel:
    model = LocalModel(folder, settings=LocalSettings(**settings))
    model.policy = replace(model.policy, once=once)
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
