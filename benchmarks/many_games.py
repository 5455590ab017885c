"""Decision rate of 64 games in one process with a slow model, as a share of the ideal rate.

Each answer takes 2 seconds, as from a hosted model that reasons. The server is another process on
the loopback interface. The ideal rate is one decision per game every 2 seconds. Everything is
included: emulator, prompts, images, HTTP, parsing, SQLite, and the layers around the model (budget,
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
WARM_UP = 6
"""First decisions of each game to leave out: connections open, packages load, and the games, which
start at the same time, spread over the two seconds."""


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
    means = [(times[-1] - times[WARM_UP - 1]) / (DECISIONS - WARM_UP) for times in ended.values()]
    mean = sum(means) / len(means)
    print(f"  {GAMES / mean:.1f} decisions a second, {GAMES / LATENCY_S:g} at best")
    print(f"  {1e3 * (mean - LATENCY_S):.0f} ms of a game's turn are not waiting time")
    print(f"many_games: {100 * LATENCY_S / mean:.1f} % of the ideal rate")


if __name__ == "__main__":
    measure()
