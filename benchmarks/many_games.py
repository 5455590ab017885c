"""How near 64 games in one process come to the rate that a slow model allows.

Each game waits 2 seconds for an answer, as with a hosted model that thinks; the server is a process
of its own on the loopback interface. Ideal is one decision a game every 2 seconds: anything the
harness does between an answer and the next question is lost time. The whole path is played: the
emulator, prompts, pictures, HTTP, reading answers, SQLite, and the layers around the model (budget,
limiter, response cache).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Step
from tests.servers import server_process

GAMES, LATENCY_S, DECISIONS = 64, 2.0, 16
WARM = 6
"""First decisions of each game, in which connections are opened and packages loaded, and the games,
which all begin at once, spread over the two seconds."""


def measure() -> None:
    ended: dict[int, list[float]] = {}

    def watch(episode: int, step: Step) -> None:
        ended.setdefault(episode, []).append(time.perf_counter())

    with server_process(LATENCY_S) as base_url, tempfile.TemporaryDirectory() as folder:
        VLMTrainer(
            "breakout",
            "any",
            base_url=base_url,
            prompt_type="cot",
            max_decisions=DECISIONS,
            parallel=GAMES,
            run_folder=Path(folder) / "run",
            cache=Path(folder) / "answers",
            budget_tokens=10**9,
            concurrency=GAMES,
            watch=watch,
        ).train(GAMES)
    assert len(ended) == GAMES
    assert all(len(times) == DECISIONS for times in ended.values())
    each = [(times[-1] - times[WARM - 1]) / (DECISIONS - WARM) for times in ended.values()]
    mean = sum(each) / len(each)
    print(f"  {GAMES / mean:.1f} decisions a second, {GAMES / LATENCY_S:g} at best")
    print(f"  {1e3 * (mean - LATENCY_S):.0f} ms of a game's turn are not waiting for the model")
    print(f"many_games: {100 * LATENCY_S / mean:.1f} % of the ideal rate")


if __name__ == "__main__":
    measure()
