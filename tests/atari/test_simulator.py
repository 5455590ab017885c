"""A Simulator plays what an Emulator plays, from any saved state."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import default_rng

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.simulator import Simulator
from atari_vlm.errors import StoreError


def moment(console):
    return console.frame, console.lives, console.terminated, console.ram.tobytes()


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("game", ["seaquest", "qbert"])
def test_a_simulator_plays_what_an_emulator_plays(game, sticky):
    settings = {"repeat_action_probability": sticky}
    emulator = Emulator(get_game(game), full_action_space=True, **settings)
    simulator = Simulator(get_game(game), **settings)
    assert simulator.legal == emulator.legal
    rng, kept = default_rng(1), []
    simulator.begin(emulator.save().without_rng(), seed=7)
    emulator.restore(emulator.save(), seed=7)
    for k in range(100):
        if k % 25 == 3:
            kept.append((emulator.save(), simulator.save()))
        if k % 25 == 24:  # go back, also to the first screens of the game
            there, here = kept[int(rng.integers(len(kept)))]
            emulator.restore(there, seed=k)
            simulator.restore(here, seed=k)
        action, frames = int(rng.integers(18)), int(rng.integers(1, 9))
        assert simulator.play(action, frames) == emulator.play(action, frames, frames)
        assert moment(simulator) == moment(emulator)


def test_a_simulator_says_when_the_game_is_over():
    emulator = Emulator(get_game("breakout"), repeat_action_probability=0)
    fire = emulator.legal.index("FIRE")
    while not emulator.terminated:
        before = emulator.save()
        emulator.play(fire, 60, 60)
    simulator = Simulator(get_game("breakout"))
    simulator.begin(before, seed=0)
    assert not simulator.terminated
    simulator.play(simulator.legal.index("FIRE"), 60)
    assert moment(simulator) == moment(emulator)
    simulator.begin(before, seed=0)
    assert not simulator.terminated


def test_a_state_of_another_game_is_refused():
    simulator = Simulator(get_game("pong"))
    with pytest.raises(StoreError, match="'breakout' cannot go into 'pong'"):
        simulator.begin(Emulator(get_game("breakout")).save(), seed=0)


def test_a_simulator_never_holds_the_dice_of_a_snapshot():
    emulator = Emulator(get_game("seaquest"))
    simulator = Simulator(get_game("seaquest"), repeat_action_probability=0.25)
    played = []
    for snapshot in (emulator.save(), emulator.save().without_rng()):
        simulator.begin(snapshot, seed=3)
        simulator.play(5, 200)
        played.append(simulator.ram)
    assert np.array_equal(*played)
