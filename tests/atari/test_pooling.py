"""Pictures of sprites that flicker; the measure is that of `benchmarks/flicker.py`."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import PALETTES
from atari_vlm.atari.pooling import LARGEST, POOLINGS, RAW, brighter, flicker
from atari_vlm.atari.pooling_many import flicker_many
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import InvalidSetting
from atari_vlm.trainer import play


@cache
def benchmark():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "flicker.py"
    spec = importlib.util.spec_from_file_location("flicker_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def faults(game):
    ways = {way: benchmark().WAYS[way] for way in ("last", "brighter", "flicker")}
    return benchmark().measure(game, 1, 60, ways)


@pytest.mark.parametrize("game", ["pacman", "wizard_of_wor"])
def test_sprites_drawn_in_turns_of_four_and_more_are_all_in_the_picture(game):
    assert faults(game)["brighter"][0] > 10
    assert faults(game)["flicker"][0] < 1
    assert AtariVLMEnvironment(game).pool_frames == "flicker"


def ghosts_seen(**settings):
    """The shares of the ghosts of Pacman that are seen, at moments when all four are apart."""
    env = AtariVLMEnvironment("pacman", **settings)
    env.begin(seed=0)
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        env.advance(int(rng.integers(5)), 4)
        maze = np.s_[20:195, 16:144]
        drawn = np.logical_or.reduce([raw[maze] == 110 for raw in env.emulator._screens[-4:]])
        if drawn.sum() > 340:  # of 4 x 96 pixels
            seen = env.observe().frames[-1].pixels[maze] == 110
            shares.append((seen & drawn).sum() / drawn.sum())
    return shares


def test_all_four_ghosts_of_pacman_are_seen_at_the_defaults():
    shares = ghosts_seen()
    assert len(shares) > 20
    assert np.mean(shares) > 0.9
    assert min(shares) > 0.75
    assert max(ghosts_seen(pool_frames="brighter")) < 0.6


@pytest.mark.parametrize("game", ["asteroids", "venture", "alien"])
def test_sprites_on_every_other_frame_are_in_the_picture(game):
    assert faults(game)["flicker"][0] < max(0.01, faults(game)["last"][0] / 10)


@pytest.mark.parametrize("game", ["pong", "breakout", "space_invaders", "freeway", "ms_pacman"])
def test_what_moves_leaves_no_trail(game):
    assert faults(game)["brighter"][1] > 10
    assert faults(game)["flicker"][1] < 1


@pytest.mark.parametrize("game", ["pacman", "wizard_of_wor", "mr_do", "air_raid", "journey_escape"])
def test_every_pixel_is_one_of_the_raw_screens_and_its_colour_that_of_the_table(game):
    emulator = Emulator(get_game(game))
    table = PALETTES[emulator.game.standard]
    rng = np.random.default_rng(0)
    differs = 0
    for step in range(80):
        if emulator.terminated:
            emulator.reset(seed=step)
        emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
        picture = emulator.screen(pooled="flicker")
        assert np.logical_or.reduce([picture == raw for raw in emulator._screens]).all()
        assert np.array_equal(emulator.screen_rgb(pooled="flicker"), table[picture])
        differs += not np.array_equal(picture, emulator.screen(pooled="last"))
    assert differs


def pictures(frame_skip, frames=144):
    """What is seen at each frame of a game in which the action changes every 24 frames."""
    env = AtariVLMEnvironment(
        "wizard_of_wor", 1, None, frame_skip, repeat_action_probability=0.0, max_frames=frames
    )
    env.begin(seed=1)
    seen = {0: env.observe().frames[-1].pixels}
    while not env.emulator.truncated:
        env.advance(1 + env.emulator.frame // 24 % 4, frame_skip)
        seen[env.emulator.frame] = env.observe().frames[-1].pixels
    return seen


@pytest.mark.parametrize("frame_skip", [2, 3, 4, 8, 12])
def test_a_moment_looks_the_same_with_every_frame_skip(frame_skip):
    single, other = pictures(1), pictures(frame_skip)
    assert len(other) == 144 // frame_skip + 1
    assert all(np.array_equal(single[frame], picture) for frame, picture in other.items())


def test_a_moment_looks_the_same_after_save_restore_copy_and_pickle():
    env = AtariVLMEnvironment("wizard_of_wor", frame_stack=2, resize_shape=None)
    env.reset(seed=3)
    for action in (1, 2, 3, 4) * 8:
        env.step(action)
    saved = env.save()
    copies = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    restored = AtariVLMEnvironment("wizard_of_wor", frame_stack=2, resize_shape=None)
    restored.reset(seed=9)
    restored.restore(saved)
    assert len(saved.emulator.screens) == 8
    assert len(saved.emulator.to_bytes()) < 60_000
    for action in (2, 1, 4):
        picture = env.step(action)[0]
        for other in (*copies, restored):
            assert np.array_equal(other.step(action)[0], picture)


def test_a_short_history_is_pooled_too():
    screens = [np.zeros((2, 16), np.uint8) for _ in range(2)]
    screens[0][:] = 14
    for name, pool in POOLINGS.items():
        picture, indices = pool(screens)
        assert (picture == (14 if name == "brighter" else 0)).all()
        assert indices.size == (32 if name == "brighter" else 0)


def played(game, decisions=150):
    """Raw screens of play with random actions."""
    emulator, rng, raw = Emulator(get_game(game)), np.random.default_rng(5), []
    for _ in range(decisions):
        if not emulator.terminated:
            emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
            raw += emulator.raw_screens[-4:]
    return np.stack(raw)


def sparkling(sprites):
    """Raw screens on which that many sprites of random colours and places come and go."""
    rng = np.random.default_rng(sprites)
    raw = np.zeros((80, 210, 160), np.uint8)
    for _ in range(sprites):
        y, x, colour = rng.integers(210), rng.integers(160), 2 * rng.integers(1, 128)
        for screen in raw[rng.integers(6) :: rng.integers(1, 7)]:
            screen[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = colour
    return raw


@pytest.mark.parametrize(
    "raw",
    [
        *(
            pytest.param(lambda game=game: played(game), id=game)
            for game in ("asteroids", "ms_pacman", "wizard_of_wor", "montezuma_revenge", "pacman")
        ),
        *(pytest.param(lambda n=n: sparkling(n), id=f"{n} sprites") for n in (0, 3, 40, 160, 900)),
    ],
)
def test_many_pictures_at_once_are_those_made_one_by_one(raw):
    raw = raw()
    ends = range(RAW, len(raw) + 1, 4)
    for start in range(0, len(ends), 15):
        some = list(ends[start : start + 15])
        alone = np.stack([flicker(list(raw[end - RAW : end]))[0] for end in some])
        assert np.array_equal(flicker_many(raw, some), alone)


def test_the_sparkling_screens_reach_the_limit_of_a_flash():
    def shown_again(sprites):
        raw = sparkling(sprites)
        return max(flicker(list(raw[k : k + RAW]))[1].size for k in range(40))

    assert 0 < shown_again(3) < shown_again(40) <= LARGEST
    assert any(not flicker(list(sparkling(900)[k : k + RAW]))[1].size for k in range(8))


def test_pooling_takes_the_brighter_pixel_of_any_hue():
    dark_high_hue, bright_low_hue = np.full((2, 8), 0xF2, np.uint8), np.full((2, 8), 0x1E, np.uint8)
    pooled, indices = brighter((dark_high_hue, bright_low_hue))
    assert (pooled == 0x1E).all()
    assert indices.size == 0
    pooled, indices = brighter((bright_low_hue, dark_high_hue))
    assert (pooled == 0x1E).all()
    assert indices.size == 16


def test_true_and_false_mean_what_they_meant():
    assert AtariVLMEnvironment("pong", pool_frames=True).pool_frames == "brighter"
    assert AtariVLMEnvironment("pong", pool_frames=False).pool_frames == "last"


@pytest.mark.parametrize("value", ["flickers", 2, None, 1.0])
def test_another_pooling_is_refused_with_the_choices(value):
    with pytest.raises(InvalidSetting, match=r"flicker, brighter, last, True .* or False"):
        AtariVLMEnvironment("pong", pool_frames=value)


def test_an_option_of_another_pooling_is_refused_before_anything_is_played(tmp_path):
    with pytest.raises(InvalidSetting, match="flicker, brighter, last"):
        play("pong", "random", pool_frames="max", progress=False, save_dir=tmp_path)
    assert not list(tmp_path.iterdir())
