"""Games that wait are parked: they go on exactly as if they had kept their consoles."""

from __future__ import annotations

import gc
from collections import Counter

import numpy as np
import pytest

from atari_vlm.atari import consoles
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import GAMES as ALL_GAMES
from atari_vlm.atari.games import get_game
from atari_vlm.atari.restoring import UNRESTORABLE
from tests.fuzzing import TIMES

GAMES = ["pong", "breakout", "asteroids", "qbert", "tetris", "montezuma_revenge", "wizard_of_wor"]

CARRY_OVER = ["assault", "hangman", "solaris"]
"""Games in which memory of the last episode survives the console's reset button."""


@pytest.fixture
def crowded(monkeypatch):
    """Every game is one too many."""
    monkeypatch.setattr(consoles, "AWAKE", 0)


def seen(emulator, plan):
    """Everything that a decision leads to."""
    action, frames = plan
    reward = emulator.play(action % len(emulator.legal), frames, 4)
    pictures = [emulator.screen(pooled=name).tobytes() for name in ("last", "flicker")]
    state = emulator.ram.tobytes(), emulator.lives, emulator.frame, emulator.terminated
    return reward, pictures, emulator.screen_rgb().tobytes(), state


def test_parked_games_take_turns_and_go_on_as_they_would_alone(crowded):
    rng = np.random.default_rng(1)
    plans = [
        (int(a), int(f))
        for a, f in zip(rng.integers(18, size=60), rng.integers(1, 5, 60), strict=True)
    ]
    for name in GAMES:
        alone = [Emulator(get_game(name)) for _ in range(3)]
        parked = [Emulator(get_game(name)) for _ in range(3)]
        for seed, (one, other) in enumerate(zip(alone, parked, strict=True)):
            one.reset(seed=seed)
            other.reset(seed=seed)
            other.park()
        for plan in plans:
            for one, other in zip(alone, parked, strict=True):
                if one.terminated:
                    continue
                assert seen(one, plan) == seen(other, plan), name
                other.park()
                assert other.lives == one.lives
        assert sum(each in consoles.awake for each in parked) == 0, name


def test_a_parked_game_is_saved_restored_and_begun_anew_as_any_other(crowded):
    one, other = (Emulator(get_game("breakout")) for _ in range(2))
    for emulator in (one, other):
        emulator.reset(seed=3)
        for _ in range(20):
            emulator.play(1, 4, 4)
    other.park()
    assert other.save().state == one.save().state
    saved = other.save()
    other.park()
    other.restore(saved)
    other.park()
    assert seen(other, (2, 4)) == seen(one, (2, 4))
    other.park()
    for emulator in (one, other):
        emulator.reset(seed=4)
    assert seen(other, (1, 4)) == seen(one, (1, 4))


def test_games_beyond_a_few_share_their_consoles(monkeypatch):
    monkeypatch.setattr(consoles, "AWAKE", 4)
    gc.collect()
    before = len(consoles.awake)
    monkeypatch.setattr(consoles, "AWAKE", before + 4)
    made = Counter()
    new = consoles.new
    monkeypatch.setattr(consoles, "new", lambda: made.update("n") or new())
    games = []
    for seed in range(12):
        games.append(Emulator(get_game("pong")))
        games[-1].reset(seed=seed)
        games[-1].play(0, 4, 4)
        games[-1].park()
    for _ in range(3):
        for game in games:
            game.play(0, 4, 4)
            game.park()
    assert len(consoles.awake) == before + 4
    assert made["n"] <= 4 + 2


def test_games_whose_states_lack_something_are_never_parked(crowded):
    for name in sorted(UNRESTORABLE):
        emulator = Emulator(get_game(name))
        emulator.park()
        assert emulator in consoles.awake


def test_a_process_with_few_games_parks_none():
    emulator = Emulator(get_game("pong"))
    emulator.park()
    assert emulator in consoles.awake


def switched_on(name):
    console = consoles.new()
    consoles.switch_on(console, (name, None, None))
    return console


def frames_of(console, codes):
    """Everything that frames lead to."""
    for code in codes:
        reward = console.act(code)
        yield reward, console.getScreen().tobytes(), console.getRAM().tobytes(), console.lives()


@pytest.mark.fuzz
@pytest.mark.parametrize("name", [*GAMES, *CARRY_OVER] if TIMES == 1 else sorted(ALL_GAMES))
def test_a_console_that_was_played_on_begins_again_as_a_new_one(name):
    rng = np.random.default_rng(0 if TIMES == 1 else None)
    new, used = switched_on(name), switched_on(name)
    legal = new.getMinimalActionSet()
    codes = [legal[k] for k in np.repeat(rng.integers(len(legal), size=40), 3)]
    first, lives = new.getScreen().copy(), new.lives()
    seen = [*frames_of(new, codes)]
    for played in (0, 1, 3, 100 * TIMES):
        [*frames_of(used, [legal[k] for k in rng.integers(len(legal), size=played)])]
        screen = consoles.begin_again(used, (name, None, None))
        assert np.array_equal(used.getScreen() if screen is None else screen, first)
        assert used.lives() == lives
        assert [*frames_of(used, codes)] == seen


def test_a_game_leaves_its_console_to_the_next_one(monkeypatch):
    def played(seed):
        emulator = Emulator(get_game("breakout"))
        emulator.reset(seed=seed)
        return [seen(emulator, (action, 4)) for action in (1, 2, 3, 2) * 10]

    first = played(3)
    gc.collect()
    monkeypatch.setattr(consoles, "new", None)
    assert played(3) == first
    assert played(4) != first
