"""How long random play lasts in every game, which is what `atari-vlm estimate` assumes.

Uniformly random legal actions, one a decision of 4 emulator frames, sticky actions 0.25, whole
games of at most 108,000 frames, seeds 0, 1, 2, ...: 20 episodes of each suggested game, 2 of every
other. Writes src/atari_vlm/costs/episodes.toml; `--check` plays one episode a suggested game and
holds it against the file instead.

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
    made = 0
    while not (emulator.over or emulator.truncated):
        emulator.play(int(rng.integers(len(emulator.legal))), SKIP, SKIP)
        made += 1
    return made


def measured(games: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    for game in games:
        episodes = SUGGESTED_EPISODES if game in SUGGESTED else OTHER_EPISODES
        yield game, [decisions(game, seed) for seed in range(episodes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", default=",".join(dict.fromkeys((*SUGGESTED, *GAMES))))
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.check:
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
    for game, lengths in measured(asked.games.split(",")):
        mean = sum(lengths) / len(lengths)
        row = f"mean = {mean:.0f}, least = {min(lengths)}, most = {max(lengths)}"
        lines.append(f"{game} = {{ {row}, episodes = {len(lengths)} }}")
        print(lines[-1], flush=True)
    asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"episode_lengths: {len(lines) - 9} games")


def check() -> None:
    """The first seeds again, which the least and the most of the file must hold between them."""
    from atari_vlm.costs.episode_lengths import episode_length

    astray = 0
    for game in SUGGESTED:
        made, known = decisions(game, 0), episode_length(game)
        inside = known is not None and known.least <= made <= known.most
        astray += not inside
        print(f"{game}: {made}{'' if inside else f', not within {known}'}")
    print(f"episode_lengths_astray: {astray} games")


if __name__ == "__main__":
    main()
