"""Milliseconds of one embedded decision on one core: two frames in, a sentence with a plan out.

Run: python benchmarks/embedded_decision.py [decisions a game]. The frames come from the model's
games, and every part is timed on the same moments. The benchmark prints medians; the last line has
the median of all decisions and that of the slowest game.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Message, Prompt

Times = dict[str, list[float]]


def main(decisions: int) -> None:
    model = EmbeddedModel()
    parts: Times = {}
    whole: Times = {}
    loop = asyncio.Runner()  # as in play, one event loop for all decisions
    for game in model.games:
        whole[game] = _play(game, model, loop, decisions, parts)
        print(f"{game}: {statistics.median(whole[game]):.2f} ms")
    loop.close()
    for name, each in sorted(parts.items()):
        print(f"{name}: {statistics.median(each):.2f} ms")
    slowest = max(whole, key=lambda game: statistics.median(whole[game]))
    middle = statistics.median(ms for each in whole.values() for ms in each)
    worst = statistics.median(whole[slowest])
    print(f"embedded_decision: {middle:.2f} ms; {worst:.2f} ms in {slowest}, the slowest")


def _play(
    game: str, model: EmbeddedModel, loop: asyncio.Runner, decisions: int, parts: Times
) -> list[float]:
    """Play a game; returns the milliseconds of each decision and adds those of its parts."""
    runtime = EmbeddedRuntime(checkpoint(game))
    rng = np.random.default_rng(0)
    times: Times = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = work()
        times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)
        return result

    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    before = now = Frame(emulator.screen())
    for step in range(decisions):
        # As in play, the current frame is also the earlier frame of the next decision.
        prompt = _prompt(game, before, now, emulator.legal)
        reply = timed("whole decision", lambda p=prompt, s=step: loop.run(_answer(model, p, s)))
        picture = timed("two frames to one picture, once more", lambda p=prompt: motion(*p.frames))
        timed("picture to a plan alone", lambda x=picture: runtime.probabilities(x, game))
        timed("picture to the whole answer", lambda x=picture: runtime.plan(x, game, rng))
        plan = parse_plan(str(reply), emulator.legal, 4).plan
        assert plan is not None
        emulator.play(emulator.legal.index(plan.action), plan.frames, 4)
        before, now = now, Frame(emulator.screen())
        if emulator.terminated:
            emulator.reset(seed=step)
    for name, each in times.items():
        parts.setdefault(name, []).extend(each)
    return times["whole decision"]


async def _answer(model: EmbeddedModel, prompt: Prompt, seed: int) -> str:
    return (await model.answer(prompt, seed=seed)).text


def _prompt(game: str, before: Frame, now: Frame, legal: tuple[str, ...]) -> Prompt:
    parts = (before, now, f"Play {game}. Say what you see, then your plan.")
    return Prompt(messages=(Message("user", parts),), legal=legal, longest=4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("decisions", type=int, nargs="?", default=200, help="a game; default: 200")
    main(parser.parse_args().decisions)
