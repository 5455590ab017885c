"""A player for the kill tests whose answers depend on what it is shown and on the seed of the call.

    python -m tests.policies.think.seeded_player FOLDER LOG WRAPPER KILL_AT

The seed of every call is appended to LOG before it is answered. At the call with the number KILL_AT
the process is killed, while other votes of the same decision are in flight or stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
from pathlib import Path

from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Reply, Usage


class Seeded:
    prompt_type = "basic"
    name = "seeded"

    def __init__(self, log: Path, kill_at: int):
        self.log, self.kill_at, self.calls = log, kill_at, 0

    async def answer(self, prompt, *, seed):
        with self.log.open("a") as log:
            log.write(f"{seed}\n")
            log.flush()
            os.fsync(log.fileno())
        self.calls += 1
        number = self.calls
        shown = hashlib.sha256(f"{prompt.text}{seed}".encode())
        for frame in prompt.frames:
            shown.update(frame.pixels.tobytes())
        rng = random.Random(shown.hexdigest())
        await asyncio.sleep(rng.random() / 500)  # answers come in another order than questions
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        usage = Usage(calls=1, input_tokens=100, output_tokens=10, dollars=0.001)
        return Reply(text=said(prompt, rng), usage=usage)

    async def close(self):
        pass


def said(prompt, rng):
    if "BEST:" in prompt.text:
        return rng.choice(["BEST: 1", "BEST: 2", "BEST: 9", "Hmm."])
    if not prompt.legal:  # it is asked for a note
        return f"Note {rng.randint(1, 1000)}."
    if rng.random() < 0.1 and len(prompt.messages) < 3:
        return "Hmm."
    plans = [f"{rng.choice(prompt.legal)} x{rng.randint(1, 4)}" for _ in range(rng.randint(1, 2))]
    return f"ACTIONS: {', '.join(plans)}"


def play(folder: Path, log: Path, wrapper: str, kill_at: int = 0):
    trainer = VLMTrainer(
        "breakout",
        f"seeded+{wrapper}",
        model=Seeded(log, kill_at),
        run_folder=folder,
        max_decisions=10,
        decisions_per_call=2,
        nudge=True,
        stuck_after=2,
        seed=3,
    )
    return trainer.train(1)


if __name__ == "__main__":
    play(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
