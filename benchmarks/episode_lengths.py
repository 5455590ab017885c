"""Lengths of episodes of random play in every game, which `atari-vlm estimate` assumes.

Uniformly random legal actions, one per 4 emulator frames, sticky actions 0.25, whole games of at
most 108,000 frames, seeds 0, 1, 2, ...: 20 episodes of each suggested game, 2 of each other game.
Writes src/atari_vlm/costs/episodes.toml. With `--check`, plays one episode of each suggested game
and compares it with the file instead.

    python benchmarks/episode_lengths.py                  # a quarter of an hour on one core
    python benchmarks/episode_lengths.py --games pong,qbert --out lengths.toml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from numpy.random import default_rng

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import GAMES, SUGGESTED, get_game

FILE = ROOT / "src" / "atari_vlm" / "costs" / "episodes.toml"
SKIP, STICKY = 4, 0.25
SUGGESTED_EPISODES, OTHER_EPISODES = 20, 2


def decisions(game: str, seed: int) -> int:
    """Decisions of one episode of random play."""
    emulator = Emulator(get_game(game), repeat_action_probability=STICKY)
    emulator.reset(seed=seed)
    rng = default_rng([seed, 0])
    count = 0
    while not (emulator.terminated or emulator.truncated):
        emulator.play(int(rng.integers(len(emulator.legal))), SKIP, SKIP)
        count += 1
    return count


def measure(games: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    for game in games:
        episodes = SUGGESTED_EPISODES if game in SUGGESTED else OTHER_EPISODES
        yield game, [decisions(game, seed) for seed in range(episodes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", default=",".join(dict.fromkeys((*SUGGESTED, *GAMES))))
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.check:
        check()
        return
    lines = [
        "# Decisions in an episode of uniformly random play: what an estimate assumes.",
        "# Written by: python benchmarks/episode_lengths.py",
        "",
        f"measured = {date.today()}",
        f'ale_py = "{version("ale-py")}"',
        f"frame_skip = {SKIP}",
        f"sticky = {STICKY}",
        "",
        "[games]",
    ]
    for game, lengths in measure(args.games.split(",")):
        mean = sum(lengths) / len(lengths)
        row = f"mean = {mean:.0f}, least = {min(lengths)}, most = {max(lengths)}"
        lines.append(f"{game} = {{ {row}, episodes = {len(lengths)} }}")
        print(lines[-1], flush=True)
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"episode_lengths: {len(lines) - 9} games")


def check() -> None:
    """Play the first seed of each suggested game; its length must be within the file's range."""
    from atari_vlm.costs.episode_lengths import episode_length

    outside = 0
    for game in SUGGESTED:
        count, known = decisions(game, 0), episode_length(game)
        inside = known is not None and known.least <= count <= known.most
        outside += not inside
        print(f"{game}: {count}{'' if inside else f', not within {known}'}")
    print(f"episode_lengths_astray: {outside} games")


if __name__ == "__main__":
    main()
