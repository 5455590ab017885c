"""Environment steps per second, compared with a raw ale-py loop.

The raw loop plays 4 frames and reads one screen in colour. The environment also pools screens,
draws sticky actions, checks the action and keeps its frames. The two alternate in short rounds, so
that changes in the speed of the machine affect both.
"""

from __future__ import annotations

import time

import ale_py
import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.env import AtariVLMEnvironment

GAMES, ROUNDS, STEPS = ("pong", "breakout", "ms_pacman"), 12, 300


def raw_loop(name: str):
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.25)
    ale.setInt("random_seed", 0)
    ale.loadROM(ale_py.roms.get_rom_path(name))
    actions = [action.value for action in ale.getMinimalActionSet()]

    def play(choices) -> None:
        for choice in choices:
            for _ in range(4):
                ale.act(actions[choice])
            ale.getScreenRGB()
            if ale.game_over():
                ale.reset_game()

    return play


def environment(name: str, **settings):
    env = AtariVLMEnvironment(name, **settings)
    env.reset(seed=0)

    def play(choices) -> None:
        for choice in choices:
            if env.step(choice)[2]:
                env.reset()

    return play


def seconds(play, choices) -> float:
    start = time.process_time()
    play(choices)
    return time.process_time() - start


def main() -> None:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    rng, ratios = np.random.default_rng(0), []
    for name in GAMES:
        raw = raw_loop(name)
        native = environment(name, frame_stack=1, resize_shape=None)
        default = environment(name)
        cheaper = [
            environment(name, frame_stack=1, resize_shape=None, pool_frames=pooling)
            for pooling in ("brighter", "last")
        ]
        actions = len(AtariVLMEnvironment(get_game(name).name).legal)
        times = []
        for _ in range(ROUNDS):
            choices = rng.integers(actions, size=STEPS).tolist()
            times.append([seconds(play, choices) for play in (raw, native, default, *cheaper)])
        loop, ours, stacked, brighter, last = np.median(times, axis=0)
        ratio = float(np.median([row[0] / row[1] for row in times]))
        ratios.append(ratio)
        print(
            f"{name}: raw {STEPS / loop:.0f} steps/s, environment {STEPS / ours:.0f} "
            f"({100 * ratio:.1f}%), with 4 stacked 224x224 frames {STEPS / stacked:.0f}, "
            f"pool_frames='brighter' {100 * loop / brighter:.1f}%, 'last' {100 * loop / last:.1f}%"
        )
    print(f"environment: {100 * min(ratios):.1f} % of the raw loop")


if __name__ == "__main__":
    main()
