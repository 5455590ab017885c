"""Milliseconds of one embedded decision on one core: two frames in, a sentence with a plan out.

Run: python benchmarks/embedded_decision.py. The frames are those of a game it plays; every part
is timed on the same moments, and the median is printed.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import numpy as np

from atari_vlm.actions import read
from atari_vlm.emulator import Emulator
from atari_vlm.games import get_game
from atari_vlm.images import motion
from atari_vlm.models.embedded import EmbeddedModel, checkpoint
from atari_vlm.models.specialist import Specialist
from atari_vlm.types import Frame, Message, Prompt

DECISIONS = 400


def main() -> None:
    model, specialist = EmbeddedModel(), Specialist(checkpoint("pong"))
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=0)
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = work()
        times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)
        return result

    loop = asyncio.Runner()  # as in play, one event loop for all decisions
    before = now = Frame(emulator.screen())
    for step in range(DECISIONS):
        # As in play, what is seen now is the very frame that the next decision sees as before.
        prompt = _prompt(before, now, emulator.legal)
        reply = timed("whole decision", lambda p=prompt, s=step: loop.run(_answer(model, p, s)))
        picture = timed("two frames to one picture", lambda p=prompt: motion(*p.frames))
        timed("picture to a plan alone", lambda x=picture: specialist.probabilities(x, "pong"))
        timed("picture to the whole answer", lambda x=picture: specialist.plan(x, "pong", rng))
        plan = read(str(reply), emulator.legal, 4)
        assert plan.action is not None
        emulator.play(emulator.legal.index(plan.action), plan.frames, 4)
        before, now = now, Frame(emulator.screen())
        if emulator.over:
            emulator.reset(seed=step)
    loop.close()
    for name, each in sorted(times.items()):
        print(f"{name}: {statistics.median(each):.2f} ms")
    print(f"embedded_decision: {statistics.median(times['whole decision']):.2f} ms")


async def _answer(model: EmbeddedModel, prompt: Prompt, seed: int) -> str:
    return (await model.answer(prompt, seed=seed)).text


def _prompt(before: Frame, now: Frame, legal: tuple[str, ...]) -> Prompt:
    parts = (before, now, "Play pong. Say what you see, then your plan.")
    return Prompt(messages=(Message("user", parts),), legal=legal, longest=4)


if __name__ == "__main__":
    main()
