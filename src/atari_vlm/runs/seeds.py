"""The emulator seed of each episode, and how it is named: by the seed that the user gives.

Seed 9 stands for a million emulator seeds: its episodes play 9,000,000 onwards, its evaluations
9,500,000 onwards, and the games in which lessons are tried 9,900,000 onwards.
"""

from __future__ import annotations

from collections.abc import Sequence

EPISODES = 1_000_000
"""Emulator seeds that one seed stands for."""

EVALUATION = 500_000
"""Offset that separates the seeds of evaluation from those of training."""

TRIALS = 900_000
"""Offset of the seeds on which lessons are tried (`trials`). No evaluation is so long."""


def emulator_seeds(seed: int, offset: int, count: int) -> list[int]:
    """The emulator seeds of the first `count` episodes."""
    return [seed * EPISODES + offset + k for k in range(count)]


def seed_text(seeds: Sequence[int]) -> str:
    """Emulator seeds in the unit of `--seed`.

    >>> seed_text([9_000_000]), seed_text([9_000_003]), seed_text([9_500_000, 9_500_001])
    ('seed 9', 'seed 9, episode 3', 'seed 9, evaluation episodes 0 to 1')
    >>> seed_text([999_999, 1_000_000])
    'emulator seeds 999999 to 1000000'
    """
    low, high = min(seeds), max(seeds)
    seed, first = divmod(low, EPISODES)
    if first >= TRIALS and low // EPISODES == high // EPISODES:
        return f"seed {seed}, trial games {first - TRIALS} to {high - seed * EPISODES - TRIALS}"
    held_out = first >= EVALUATION
    first, last = (value - held_out * EVALUATION for value in (first, high - seed * EPISODES))
    if last >= EVALUATION:
        return f"emulator seeds {low} to {high}"
    kind = "evaluation episode" if held_out else "episode"
    if first == last:
        return f"seed {seed}" + (f", {kind} {first}" if first or held_out else "")
    return f"seed {seed}, {kind}s {first} to {last}"
