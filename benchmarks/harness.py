"""CPU time of the whole harness per decision, in total and by part.

A run of Breakout as played by `atari-vlm play`: emulator, one frame of native size, prompt, PNG,
HTTP request to an OpenAI-compatible server, parsing, SQLite. The server is another process on the
loopback interface and answers at once. Its CPU time is not counted.

Free and paid answers take turns, in blocks of decisions of one run: one that may have cost money is
on the disk before it is used.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from atari_vlm.atari import images
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.models.build import build_model
from atari_vlm.models.journal import JournaledModel
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.rollout import steps
from atari_vlm.runs.episode_log import EpisodeJournal, EpisodeLog
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Limits, Reply
from tests.servers import server_process

WARM, DECISIONS, BLOCK = 100, 3000, 100


class Profile:
    """CPU time by part of the harness, in seconds."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.stored: dict[bool, float] = defaultdict(float)
        """Seconds of wall-clock time for storing answers: paid, free."""
        self.paid = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.spent[name] += time.process_time() - start

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return wrapped

    def awaited(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return await function(*args, **kwargs)

        return wrapped


async def decisions(base_url: str, folder: Path, profile: Profile) -> AsyncIterator[int]:
    """Play with every part timed, and yield the number of each decision."""
    trainer = VLMTrainer("breakout", "any", base_url=base_url, plans=True, run_folder=folder)
    run = Run.play(folder, trainer.settings)
    model = build_model("any", base_url=base_url)
    model.answer = profile.awaited("model call, PNG included", model.answer)  # type: ignore
    remember = profile.timed("record: answers", run.remember)

    def timed_remember(seed: int, reply: Reply, episode: int) -> None:
        usage = replace(reply.usage, dollars=0.001 if profile.paid else 0.0)
        start = time.perf_counter()
        remember(seed, replace(reply, usage=usage), episode)
        profile.stored[profile.paid] += time.perf_counter() - start

    run.remember = timed_remember  # type: ignore[method-assign]
    strategy = profile.timed("prompt", get_strategy("basic", PromptSettings(frames=1)))
    env = AtariVLMEnvironment("breakout", frame_stack=1, resize_shape=None)
    env.advance = profile.timed("emulator", env.advance)  # type: ignore[method-assign]
    number = 0
    for episode in range(1000):
        policy = VLMPolicy(JournaledModel(model, EpisodeJournal(run, episode)), strategy)
        log = EpisodeLog(run, episode, episode)
        log.decided = profile.timed("record: decisions", log.decided)  # type: ignore[method-assign]
        async for _ in steps(env, policy, log, seed=episode, episode=episode, limits=Limits()):
            number += 1
            yield number
    await model.close()


async def measure() -> None:
    profile = Profile()
    with server_process() as base_url, tempfile.TemporaryDirectory() as folder:
        start = 0.0
        async for number in decisions(base_url, Path(folder) / "run", profile):
            profile.paid = number // BLOCK % 2 == 1
            if number == WARM:
                profile.spent.clear()
                profile.stored.clear()
                images.png.cache_clear()
                start = time.process_time()
            if number == WARM + DECISIONS:
                break
        total = time.process_time() - start
    for name, spent in sorted(profile.spent.items(), key=lambda item: -item[1]):
        print(f"  {name}: {1e3 * spent / DECISIONS:.3f} ms")
    rest = total - sum(profile.spent.values())
    print(f"  parsing, the loop, the timers: {1e3 * rest / DECISIONS:.3f} ms")
    for paid, seconds in sorted(profile.stored.items()):
        kind = "a paid answer, synced" if paid else "a free answer, not synced"
        print(f"  storing {kind}: {1e3 * seconds / (DECISIONS / 2):.3f} ms of wall-clock time")
    print(f"harness: {1e3 * total / DECISIONS:.2f} ms CPU per decision")


if __name__ == "__main__":
    asyncio.run(measure())
