"""Simulated frames a second of the searches, beside a bare loop in the same game and run.

    python benchmarks/search_speed.py [--games pong breakout] [--rounds 3]

It prints CPU-time ratios: frames of `uct` and `iw` to those of a loop of
`AtariVLMEnvironment.advance`, which also pools a screen, and of `Emulator.play`. The loops and the
searches take turns, and the median of the rounds counts. Then two games at the same time are
compared with one after the other, in wall-clock time: on two free cores they take half.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from numpy.random import default_rng

from atari_vlm.atari.emulator import Emulator
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.policies.registry import get_policy
from atari_vlm.types import Observation

PLAYERS = ("uct-3000", "iw-3000")
"""Each decides every 4 frames."""

STEPS = 1500
"""Decisions of a bare loop."""


def moment(game: str) -> AtariVLMEnvironment:
    """A game after 20 decisions at random."""
    env, rng = AtariVLMEnvironment(game, resize_shape=None), default_rng(0)
    env.begin(seed=0)
    for _ in range(20):
        env.advance(int(rng.integers(len(env.legal))), 4)
    return env


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


def two_games(decisions: int = 10) -> None:
    """Print how long two games at the same time take, beside one after the other."""
    seen = moment("breakout").observe(frozenset({"emulator"}))
    policy = get_policy("uct-3000", "breakout")

    async def game(seed: int) -> None:
        for k in range(decisions):
            await policy.decide(seen, [], default_rng([seed, k]))
            await asyncio.sleep(0)

    async def together() -> None:
        await asyncio.gather(game(0), game(1))

    async def in_turn() -> None:
        for seed in (0, 1):
            await asyncio.create_task(game(seed))

    asyncio.run(together())  # the workers are started
    took = []
    for play in (in_turn, together):
        begun = time.perf_counter()
        asyncio.run(play())
        took.append(time.perf_counter() - begun)
    print(
        f"two games of uct-3000 at the same time: {took[0] / took[1]:.2f} times as fast as in turn"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--games", nargs="+", default=["pong", "breakout", "ms_pacman"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for name in given.games:
        compare(name, given.rounds)
    two_games()
