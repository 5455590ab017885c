"""Simulated frames a second of the searches, beside a bare loop in the same game and run.

    python benchmarks/search_speed.py [--games pong breakout] [--rounds 3] [--pairs 9]

It prints CPU-time ratios: frames of `uct` and `iw` to those of a loop of
`AtariVLMEnvironment.advance`, which also pools a screen, and of `Emulator.play`. The loops and the
searches take turns, and the median of the rounds counts. Then two games that search at the same
time are compared with one alone, in wall-clock time and in turns: 1.00 is a core for each, 2.00 one
core for both. That needs two cores on which nothing else runs; `--games` without a name does only
this.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from numpy.random import default_rng
from simulation_rate import moment

from atari_vlm.atari.emulator import Emulator
from atari_vlm.policies.baselines import ConstantPolicy
from atari_vlm.policies.registry import get_policy
from atari_vlm.policies.think.lookahead import Lookahead
from atari_vlm.protocols import Policy
from atari_vlm.types import Observation

PLAYERS = ("uct-3000", "iw-3000")
FRAMES = 3000
"""Simulated for a decision of a lookahead, as by those."""

STEPS = 1500
"""Decisions of a bare loop."""


def loop(emulator: Emulator, play: Callable[[int], float], begin: Callable[[], None]) -> float:
    """Frames per CPU second of playing at random; starting an episode does not count."""
    actions = default_rng(1).integers(len(emulator.legal), size=STEPS).tolist()
    begin()
    spent, begun = 0.0, time.thread_time()
    for action in actions:
        if emulator.terminated:
            spent += time.thread_time() - begun
            begin()
            begun = time.thread_time()
        play(action)
    return 4 * STEPS / (spent + time.thread_time() - begun)


def frames(game: str, player: str, seen: Observation, seed: int) -> int:
    """The frames that one search simulated."""
    decision = asyncio.run(get_policy(player, game).decide(seen, [], default_rng(seed)))
    return int(decision.reason.split("; ")[-1].split()[0])


def searching(game: str, player: str, seen: Observation, seed: int) -> float:
    """Frames per CPU second of two searches."""
    begun = time.thread_time()
    spent = sum(frames(game, player, seen, each) for each in (seed, seed + 1))
    return spent / (time.thread_time() - begun)


def compare(game: str, rounds: int) -> None:
    """Print the ratios of one game."""
    env = moment(game)
    seen, emulator = env.observe(frozenset({"emulator"})), env.emulator
    frames(game, "uct-600", seen, 0)  # the console of the searches is on
    loops = {
        "advance": partial(loop, emulator, lambda a: env.advance(a, 4), partial(env.begin, seed=1)),
        "play": partial(
            loop, emulator, lambda a: emulator.play(a, 4, 4), partial(emulator.reset, seed=1)
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in (*loops, *PLAYERS)}
    for k in range(rounds):
        for name, run in loops.items():
            rates[name].append(run())
        for player in PLAYERS:
            rates[player].append(searching(game, player, seen, 2 * k))
    middle = {name: median(values) for name, values in rates.items()}
    said = ", ".join(
        f"{player} {middle[player] / middle['advance']:.2f} of advance, "
        f"{middle[player] / middle['play']:.2f} of play"
        for player in PLAYERS
    )
    print(
        f"{game}: {said} ({middle['advance']:,.0f} and {middle['play']:,.0f} frames/s)", flush=True
    )


def two_games(player: str, policy: Policy, repeats: int, decisions: int = 6) -> None:
    """Print how long two games that search at the same time take, beside one game alone."""
    seen = moment("breakout").observe(frozenset({"emulator"}))

    async def game(seed: int) -> None:
        for k in range(decisions):
            await policy.decide(seen, [], default_rng([seed, k]))
            await asyncio.sleep(0)

    async def games(*seeds: int) -> None:
        await asyncio.gather(*map(game, seeds))

    def took(*seeds: int) -> float:
        begun = time.perf_counter()
        asyncio.run(games(*seeds))
        return time.perf_counter() - begun

    took(0, 1)  # the workers are started
    took(0)
    ratios = []
    for k in range(repeats):
        pair, alone = (2 * k, 2 * k + 1), 2 * k + k % 2
        if k % 2:
            one, two = took(alone), took(*pair)
        else:
            two, one = took(*pair), took(alone)
        ratios.append(two / one)
    low, high = min(ratios), max(ratios)
    print(
        f"two games of {player} at once take {median(ratios):.2f} times as long as one "
        f"({low:.2f} to {high:.2f} over {repeats} pairs)",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--games", nargs="*", default=["pong", "breakout", "ms_pacman"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=9)
    given = parser.parse_args()
    for name in given.games:
        compare(name, given.rounds)
    for name in PLAYERS:
        two_games(name, get_policy(name, "breakout"), given.pairs)
    ahead = Lookahead(ConstantPolicy("NOOP"), FRAMES)
    two_games(f"lookahead:{FRAMES}", ahead, given.pairs)
