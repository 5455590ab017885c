"""The emulator against ALE, and its own guarantees."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import ale_py
import gymnasium as gym
import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import SUGGESTED, get_game
from atari_vlm.atari.images import PALETTES
from atari_vlm.atari.snapshot import Snapshot
from atari_vlm.errors import IllegalAction, InvalidSetting, StoreError, UnknownName

gym.register_envs(ale_py)


def plans(count, actions, longest=4, seed=0):
    rng = np.random.default_rng(seed)
    return [(int(rng.integers(actions)), int(rng.integers(1, longest + 1))) for _ in range(count)]


def play_on(emulator, choices):
    seen = []
    for action, frames in choices:
        if emulator.terminated or emulator.truncated:
            break
        reward = emulator.play(action, frames, 4)
        seen.append((reward, emulator.screen().tobytes(), emulator.ram.tobytes(), emulator.lives))
    return seen


@pytest.mark.parametrize("name", SUGGESTED)
def test_without_sticky_actions_every_frame_is_that_of_ale_v5(name):
    game = get_game(name)
    theirs = gym.make(game.env_id, frameskip=1, repeat_action_probability=0.0)
    ours = Emulator(game, repeat_action_probability=0.0)
    assert ours.legal == tuple(theirs.unwrapped.get_action_meanings())
    theirs.reset(seed=1)
    ours.reset(seed=1)
    for action, frames in plans(120, len(ours.legal)):
        reward, terminated = 0.0, False
        for k in range(4):
            _, earned, terminated, truncated, info = theirs.step(action if k < frames else 0)
            reward += float(earned)
            if terminated or truncated:
                break
        assert ours.play(action, frames, 4) == reward
        screen = theirs.unwrapped.ale.getScreen()
        assert np.array_equal(ours.screen(pooled=False), screen)
        assert (ours.terminated, ours.lives) == (terminated, info["lives"])
        if terminated:
            theirs.reset()
            ours.reset(seed=1)
    theirs.close()


CARRY_OVER = ["assault", "demon_attack", "elevator_action", "hangman", "kaboom", "krull", "solaris"]
"""Games in which memory of the last episode survives the console's reset button."""


@pytest.mark.parametrize("name", [*SUGGESTED, *CARRY_OVER])
def test_an_episode_depends_only_on_its_seed(name):
    used = Emulator(get_game(name))
    choices = plans(60, len(used.legal), seed=2)
    used.reset(seed=5)
    first = play_on(used, choices)
    used.reset(seed=5)
    assert play_on(used, choices) == first
    new = Emulator(get_game(name))
    new.reset(seed=9)
    new.reset(seed=5)
    at_the_start = new.save()
    assert play_on(new, choices) == first
    new.restore(at_the_start)
    assert play_on(new, choices) == first
    used.restore(at_the_start)
    assert play_on(used, choices) == first


def test_without_a_power_cycle_the_reset_button_keeps_memory():
    def differs(name):
        emulator = Emulator(get_game(name))
        choices = plans(60, len(emulator.legal), seed=2)
        emulator.reset(seed=5)
        first = play_on(emulator, choices)
        emulator.reset(seed=5, power_cycle=False)
        return play_on(emulator, choices) != first

    assert any(differs(name) for name in CARRY_OVER)


PRESSED = ["assault", "beam_rider", "berzerk", "elevator_action", "solaris", "space_war"]
"""Games that go on differently after one press of the reset button on a new console."""


@pytest.mark.parametrize("name", ["pong", *PRESSED])
@pytest.mark.parametrize("before", ["reset button", "set_ram"])
def test_a_seeded_reset_is_the_game_of_that_seed_whatever_came_before(name, before):
    emulator = Emulator(get_game(name))
    choices = plans(40, len(emulator.legal), seed=2)
    emulator.reset(seed=3)
    first = play_on(emulator, choices)
    emulator = Emulator(get_game(name))
    if before == "set_ram":
        for address in range(0, 128, 3):
            emulator.set_ram(address, 77)
    else:
        emulator.reset(seed=9, power_cycle=False)
    emulator.reset(seed=3)
    assert play_on(emulator, choices) == first


@pytest.mark.parametrize(
    "name", ["pong", "qbert", "tetris", "amidar", "freeway", "private_eye", "berzerk", *CARRY_OVER]
)
def test_a_snapshot_of_the_first_frame_holds_what_the_reset_button_left(name):
    emulator = Emulator(get_game(name))
    choices = plans(60, len(emulator.legal), seed=2)
    emulator.reset(seed=4)
    play_on(emulator, choices)
    emulator.reset(seed=5, power_cycle=False)
    emulator.set_ram(9, 3)
    at_the_start = emulator.save()
    first = play_on(emulator, choices)
    emulator.restore(at_the_start)
    assert play_on(emulator, choices) == first
    other = Emulator(get_game(name))
    other.restore(Snapshot.from_bytes(at_the_start.to_bytes()))
    assert play_on(other, choices) == first


@pytest.mark.parametrize(("name", "mode", "difficulty"), [("breakout", 44, 1), ("pong", 1, 3)])
def test_a_snapshot_brings_its_mode_and_difficulty_along(name, mode, difficulty):
    emulator = Emulator(get_game(name), mode=mode, difficulty=difficulty)
    plain, choices = Emulator(get_game(name)), plans(40, len(emulator.legal), seed=2)
    for decisions in (0, 9):
        emulator.reset(seed=4)
        play_on(emulator, choices[:decisions])
        plain.restore(emulator.save())
        assert play_on(plain, choices) == play_on(emulator, choices)


@pytest.mark.parametrize("name", ["qbert", "tetris", "tic_tac_toe_3d"])
def test_a_snapshot_goes_into_an_emulator_whose_first_screen_is_unfinished(name):
    emulator = Emulator(get_game(name))
    choices = plans(25, len(emulator.legal), seed=2)
    emulator.reset(seed=4)
    play_on(emulator, choices[:11])
    middle = emulator.save()
    first = play_on(emulator, choices)
    for power_cycle in (True, False):
        emulator.reset(seed=8, power_cycle=power_cycle)
        emulator.restore(middle)
        assert play_on(emulator, choices) == first


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize("decisions", [0, 20])
def test_a_copy_plays_on_alike_and_apart(copied, decisions):
    one = Emulator(get_game("seaquest"), full_action_space=True, max_frames=200)
    one.reset(seed=5)
    choices = plans(60, 18)
    play_on(one, choices[:decisions])
    two = copied(one)
    assert (two.legal, two.max_frames, two.frame) == (one.legal, 200, 4 * decisions)
    assert np.array_equal(two.screen_rgb(), one.screen_rgb())
    first = play_on(one, choices[decisions:])
    assert play_on(two, choices[decisions:]) == first
    assert two.truncated


def test_without_a_limit_no_episode_is_truncated():
    assert Emulator(get_game("pong"), max_frames=None).max_frames > 10**9


def test_a_missing_rom_folder_raises_unknown_name(monkeypatch, tmp_path):
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UnknownName, match="Unset ALE_ROMS_DIR"):
        Emulator(get_game("word_zapper"))  # of no other test: a game is read once


@pytest.mark.parametrize("name", ["pong", "breakout", "seaquest", "ms_pacman", "qbert", "tetris"])
def test_a_snapshot_continues_exactly_with_sticky_actions_on(name):
    one, two = Emulator(get_game(name)), Emulator(get_game(name))
    one.reset(seed=5)
    two.reset(seed=99)
    for action, frames in plans(60, len(one.legal)):
        one.play(action, frames, 4)
    blob, choices = one.save().to_bytes(), plans(40, len(one.legal), seed=1)
    first = play_on(one, choices)
    two.restore(Snapshot.from_bytes(blob))
    assert play_on(two, choices) == first
    one.restore(Snapshot.from_bytes(blob))
    assert play_on(one, choices) == first


def test_a_snapshot_continues_exactly_in_another_process(tmp_path):
    one = Emulator(get_game("qbert"))
    one.reset(seed=5)
    for action, frames in plans(60, len(one.legal)):
        one.play(action, frames, 4)
    choices = plans(40, len(one.legal), seed=1)
    (tmp_path / "job").write_bytes(pickle.dumps((one.save().to_bytes(), choices)))
    code = (
        "import pickle, sys; from pathlib import Path\n"
        "from atari_vlm.atari.emulator import Emulator\n"
        "from atari_vlm.atari.snapshot import Snapshot\n"
        "from atari_vlm.atari.games import get_game\n"
        "blob, choices = pickle.loads(Path(sys.argv[1], 'job').read_bytes())\n"
        "e = Emulator(get_game('qbert')); e.restore(Snapshot.from_bytes(blob))\n"
        "seen = [(e.play(a, n, 4), e.screen().tobytes(), e.ram.tobytes(), e.lives) "
        "for a, n in choices]\n"
        "Path(sys.argv[1], 'seen').write_bytes(pickle.dumps(seen))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert pickle.loads((tmp_path / "seen").read_bytes()) == play_on(one, choices)


def test_a_restore_brings_the_screen_back():
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=0)
    for action, frames in plans(80, 6):
        emulator.play(action, frames, 4)
    saved, screen = emulator.save(), emulator.screen()
    for action, frames in plans(20, 6, seed=2):
        emulator.play(action, frames, 4)
    assert not np.array_equal(emulator.screen(), screen)
    emulator.restore(saved)
    assert np.array_equal(emulator.screen(), screen)


def test_a_search_does_not_foresee_sticky_actions():
    emulator = Emulator(get_game("breakout"), repeat_action_probability=0.5)
    emulator.reset(seed=3)
    for action, frames in plans(30, 4):
        emulator.play(action, frames, 4)
    blind, choices = emulator.save().without_rng(), plans(30, 4, seed=4)
    with pytest.raises(InvalidSetting, match="needs a seed"):
        emulator.restore(blind)
    outcomes = set()
    for seed in range(6):
        emulator.restore(blind, seed=seed)
        outcomes.add(str(play_on(emulator, choices)))
    assert len(outcomes) > 1


def test_equal_seeds_give_equal_games_and_others_do_not():
    def play(seed):
        emulator = Emulator(get_game("space_invaders"))
        emulator.reset(seed=seed)
        return play_on(emulator, plans(60, 6))

    assert play(7) == play(7)
    assert play(7) != play(8)


@pytest.mark.parametrize(
    "action", [-1, 6, 99, True, 1.0, "UP", None, np.array(6), np.array([1]), np.array(1.0)]
)
def test_an_action_outside_the_legal_list_never_reaches_ale(action):
    emulator = Emulator(get_game("pong"))
    before = emulator.save()
    with pytest.raises(IllegalAction, match="0 NOOP, 1 FIRE"):
        emulator.play(action, 1, 4)
    assert emulator.save().state == before.state
    assert emulator.frame == 0


@pytest.mark.parametrize("action", [np.int8(2), np.uint64(2), np.array(2), np.array(2, np.uint8)])
def test_numpy_numbers_play_like_pythons(action):
    one, two = Emulator(get_game("pong")), Emulator(get_game("pong"))
    one.play(2, 3, 4)
    two.play(action, np.array(3), 4)
    assert np.array_equal(one.ram, two.ram)
    assert one.save().last_action == two.save().last_action


@pytest.mark.parametrize("frames", [0, 5, -1, 1.5, None])
def test_a_plan_longer_than_its_interval_is_refused(frames):
    with pytest.raises(IllegalAction, match="1 to 4 frames"):
        Emulator(get_game("pong")).play(0, frames, 4)


def test_the_frame_limit_truncates_in_the_middle_of_an_interval():
    emulator = Emulator(get_game("pong"), max_frames=10)
    emulator.reset(seed=0)
    for _ in range(3):
        emulator.play(0, 4, 4)
    assert (emulator.frame, emulator.truncated, emulator.terminated) == (10, True, False)
    with pytest.raises(IllegalAction, match="over"):
        emulator.play(0, 1, 4)


def test_pooling_shows_ship_and_rocks_of_asteroids_together_and_invents_no_colour():
    emulator = Emulator(get_game("asteroids"), repeat_action_probability=0.0)
    emulator.reset(seed=0)
    rock, ship, single = 12, 76, 0
    for _ in range(20):
        emulator.play(0, 4, 4)
        older, newer = emulator._screens[-2:]
        both = emulator.screen()
        assert ((both == older) | (both == newer)).all()
        assert {rock, ship} <= set(np.unique(both))
        single += {rock, ship} <= set(np.unique(newer))
    assert single == 0


@pytest.mark.parametrize("name", ["asteroids", "enduro", "air_raid"])
def test_the_colours_of_ale_are_those_of_the_table(name):
    emulator = Emulator(get_game(name))
    for action, frames in plans(40, len(emulator.legal)):
        emulator.play(action, frames, 4)
        table = PALETTES["pal" if emulator.game.pal else "ntsc"]
        assert np.array_equal(emulator.screen_rgb(), table[emulator.screen()])
    emulator.restore(emulator.save())
    assert np.array_equal(emulator.screen_rgb(), table[emulator.screen()])


def test_only_snapshots_are_restored():
    with pytest.raises(InvalidSetting, match=r"Emulator.save\(\) returned, not"):
        Emulator(get_game("pong")).restore("breakout")


def test_a_snapshot_of_another_game_is_refused():
    with pytest.raises(StoreError, match="'pong' cannot go into 'breakout'"):
        Emulator(get_game("breakout")).restore(Emulator(get_game("pong")).save())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mode": 77}, "no mode 77. It offers: 0"),
        ({"difficulty": 9}, "no difficulty 9"),
        ({"repeat_action_probability": 1.5}, "within 0 and 1"),
        ({"max_frames": 0}, "max_frames must be at least 1, not 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_what_is_offered(setting, message):
    with pytest.raises(InvalidSetting, match=message):
        Emulator(get_game("pong"), **setting)


@pytest.mark.parametrize("name", ["qbert", "tetris"])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_a_snapshot_of_an_unfinished_first_screen_goes_on_as_the_game_did(name, at):
    # The code of before wrote past the screen of Tetris, which ended the process.
    played = Emulator(get_game(name))
    played.reset(seed=1)
    for _ in range(at):
        played.play(0, 1, 1)
    saved = played.save()

    def rest(emulator):
        screens = []
        for k in range(20):
            emulator.play(k % len(emulator.legal), 1, 1)
            screens.append((emulator.screen(pooled="last").tobytes(), emulator.ram.tobytes()))
        return screens

    expected, fresh = rest(played), Emulator(get_game(name))
    for emulator in (fresh, played):
        emulator.restore(saved)
        assert rest(emulator) == expected


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repeat_action_probability": "x"}, "repeat_action_probability"),
        ({"repeat_action_probability": None}, "repeat_action_probability"),
        ({"max_frames": "5"}, "max_frames"),
        ({"max_frames": 1.5}, "max_frames"),
        ({"max_frames": True}, "max_frames"),
        ({"mode": 1.5}, "mode"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(settings, named):
    with pytest.raises(InvalidSetting, match=named):
        Emulator(get_game("pong"), **settings)
