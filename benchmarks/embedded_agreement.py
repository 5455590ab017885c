"""Share of equal plans between the ONNX graphs and the transformers checkpoint.

Run: python benchmarks/embedded_agreement.py [states]. The embedded model plays all of its games.
The states of this play are then given to both: the runtime with its likeliest plan, and the same
folder loaded by path through the local-model backend.
"""

from __future__ import annotations

import argparse
import asyncio

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Message, Plan, Prompt

INTERVAL = 7
"""Decisions between two states that are compared."""


def main(states: int) -> None:
    playing, likeliest = EmbeddedModel(), EmbeddedModel(draw=False)
    folders = {game: checkpoint(game) for game in playing.games}
    same = words = total = 0
    for game, folder in folders.items():
        local = LocalModel(str(folder), settings=LocalSettings(draw=False))
        prompts = _play(game, playing, states // len(folders) + 1)
        both = [(_answer(likeliest, prompt), _answer(local, prompt)) for prompt in prompts]
        equal = sum(_plan(a, p) == _plan(b, p) for (a, b), p in zip(both, prompts, strict=True))
        same, total = same + equal, total + len(both)
        words += sum(a == b for a, b in both)
        print(f"{game}: {equal} of {len(both)} plans equal")
    print(f"whole answers equal, word for word: {100 * words / total:.2f} %")
    print(f"embedded_agreement: {100 * same / total:.2f} % of {total} plans")


def _play(game: str, model: EmbeddedModel, count: int) -> list[Prompt]:
    """Prompts about states of the model's own play."""
    emulator = Emulator(get_game(game))
    emulator.reset(seed=77)
    before = now = emulator.screen()
    prompts: list[Prompt] = []
    step = 0
    while len(prompts) < count:
        if emulator.terminated or emulator.truncated:
            emulator.reset(seed=step)
            before = now = emulator.screen()
        ask = f"Play {game}. Say what you see, then your plan."
        prompt = Prompt(
            messages=(Message("user", (Frame(before), Frame(now), ask)),),
            legal=emulator.legal,
            longest=4,
        )
        if step % INTERVAL == 0:
            prompts.append(prompt)
        plan = parse_plan(_answer(model, prompt, step), emulator.legal, 4).plan
        assert plan is not None
        emulator.play(emulator.legal.index(plan.action), plan.frames, 4)
        before, now = now, emulator.screen()
        step += 1
    return prompts


def _answer(model: EmbeddedModel | LocalModel, prompt: Prompt, seed: int = 0) -> str:
    return asyncio.run(model.answer(prompt, seed=seed)).text


def _plan(text: str, prompt: Prompt) -> Plan | None:
    return parse_plan(text, prompt.legal, prompt.longest).plan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("states", type=int, nargs="?", default=2_000, help="default: 2000")
    main(parser.parse_args().states)
