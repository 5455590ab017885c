"""A player for the kill tests: its answers depend on every pixel and word it is shown.

Run as a program it plays a run to its end: `python hashing_player.py FOLDER LOG EPISODES`. Every
call is appended to LOG before it is answered, so the calls that kills repeat can be counted.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Prompt


def answer(prompt: Prompt) -> str:
    digest = hashlib.sha256(prompt.text.encode())
    for frame in prompt.frames:
        digest.update(frame.pixels.tobytes())
    number = int.from_bytes(digest.digest()[:4], "big")
    # One reply in eight names nothing, so that kills also fall between a question and its repair.
    if number % 8 == 0 and len(prompt.messages) < 3:
        return "Hmm."
    if prompt.chunk_size > 1:
        plans = [
            f"{prompt.legal[(number >> k) % len(prompt.legal)]} x2" for k in range(number % 6 + 1)
        ]
        return f"ACTIONS: {', '.join(plans)}"
    return (
        f"ACTION: {prompt.legal[number % len(prompt.legal)]} x{number // 64 % prompt.longest + 1}"
    )


def play(folder: Path, log: Path, episodes: int, **settings):
    with log.open("ab", buffering=0) as calls:

        def counted(prompt: Prompt) -> str:
            calls.write(b".")
            os.fsync(calls.fileno())
            return answer(prompt)

        trainer = VLMTrainer(
            "breakout",
            "hashing",
            prompt_type="basic",
            use_in_context_learning=True,
            model=ScriptedModel(counted),
            run_folder=folder,
            max_decisions=150,
            seed=3,
            **settings,
        )
        return trainer.train(episodes)


if __name__ == "__main__":
    play(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), parallel=int(sys.argv[4]))
