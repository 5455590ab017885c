"""Savings of the usual advice on cost: input tokens of 30 seconds of Pong for each tip.

Each row is a game of 1,800 emulator frames, played through the whole harness (emulator, prompts,
answers, store) by a scripted model that always answers NOOP. Every prompt is counted by the image
rule of each vendor. Ratios are relative to the defaults of the same run. The row of low detail and
"all together" count by the vendor's rule for low detail, if it has one.

Temperature does not change the number of input tokens; its row shows that.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from atari_vlm.costs.prompt_tokens import count_tokens
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Prompt

SECONDS, RATE = 30, 60
RULES = {
    "GPT-6": ("openai", "openai"),
    "GPT-4o": ("gpt-4o", "gpt-4o-low"),
    "Claude": ("anthropic", "anthropic"),
    "Gemini 4": ("gemini", "gemini-low"),
}
"""Vendor -> its rule, and its rule for images at low detail (the same if it has none)."""

EVERY = 450
"""Decisions of the game, so that every prompt lists all earlier actions."""

TIPS: dict[str, dict[str, Any]] = {
    "default: history 8, 2 frames": {},
    "temperature 0.3": {"temperature": 0.3},
    "image 112x112": {"resize_shape": (112, 112)},
    "one frame": {"frames_in_prompt": 1},
    "history 0": {"history": 0},
    "history: all actions": {"history": EVERY},
    "frame-skip 8": {"frame_skip": 8},
    "4 decisions a call": {"decisions_per_call": 4},
}
ALL = {
    "resize_shape": (112, 112),
    "frames_in_prompt": 1,
    "history": 0,
    "frame_skip": 8,
    "decisions_per_call": 4,
}


class CountingModel:
    """A model that answers NOOP and counts the tokens of its prompts by every rule."""

    def __init__(self) -> None:
        self.tokens: Counter[str] = Counter()
        self.calls = 0

    def answer(self, prompt: Prompt) -> str:
        self.calls += 1
        for rule in {rule for pair in RULES.values() for rule in pair}:
            self.tokens[rule] += count_tokens(prompt, rule)
        plans = ", ".join(["NOOP"] * prompt.chunk_size)
        return "ACTION: NOOP" if prompt.chunk_size == 1 else f"ACTIONS: {plans}"


def play(settings: dict[str, Any]) -> CountingModel:
    """Play 30 seconds of Pong with these settings."""
    counter = CountingModel()
    decisions = SECONDS * RATE // settings.get("frame_skip", 4)
    with tempfile.TemporaryDirectory() as folder:
        trainer = VLMTrainer(
            "pong",
            "counted",
            model=ScriptedModel(counter.answer),
            max_decisions=decisions,
            run_folder=Path(folder) / "run",
            **settings,
        )
        summary = trainer.train(1)
    total = sum(summary.sources.values())
    if summary.sources != {"parsed": decisions}:
        raise SystemExit(f"{total} decisions were not played as planned: {summary.sources}")
    return counter


def row(name: str, calls: int, tokens: list[int], default: list[int]) -> None:
    cells = (f"{now:>9,} {was / now:5.2f}x" for now, was in zip(tokens, default, strict=True))
    print(f"{name:<30} {calls:>5} " + " ".join(cells))


def main() -> None:
    print(f"Input tokens of {SECONDS} s of Pong, and how many times fewer than by default")
    print(f"{'':<30} {'calls':>5} " + " ".join(f"{vendor:>16}" for vendor in RULES))
    default: list[int] = []
    for name, settings in TIPS.items():
        counter = play(settings)
        tokens = [counter.tokens[rule] for rule, _ in RULES.values()]
        default = default or tokens
        row(name, counter.calls, tokens, default)
        if not settings:
            low = [counter.tokens[rule] for _, rule in RULES.values()]
            row("detail / media resolution low", counter.calls, low, default)
    counter = play(ALL)
    tokens = [counter.tokens[rule] for _, rule in RULES.values()]
    row("all together", counter.calls, tokens, default)
    print("Temperature does not change the input tokens: a lower one makes answers more alike.")
    print(
        "Gemini is asked for low resolution by default here, so its first row is not what is paid."
    )
    chunked = play({"decisions_per_call": 4}).tokens["openai"]
    print(
        f"tokens_30s: {chunked:,} input tokens, default memory, asked every 16 frames "
        f"(--decisions-per-call 4), GPT-6 rule; bar 60,000; {default[0]:,} when asked every 4"
    )
    least = min(was / now for was, now in zip(default, tokens, strict=True))
    print(f"cost_tips: {least:.1f} x fewer input tokens with all tips (the vendor it helps least)")


if __name__ == "__main__":
    main()
