"""The Gymnasium environment."""

from __future__ import annotations

import itertools

import ale_py
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import atari_vlm
from atari_vlm.atari.games import SUGGESTED, get_game
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import IllegalAction, InvalidSetting, UnknownName, UnsafeGame

gym.register_envs(ale_py)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"grayscale": True, "frame_stack": 1, "resize_shape": (84, 84)},
        {"plans": True, "resize_shape": None, "frame_skip": 8},
    ],
)
def test_gymnasiums_checker_accepts_it(settings):
    check_env(gym.make("AtariVLM/Pong-v5", **settings).unwrapped)


def test_importing_the_package_registers_every_game():
    env = gym.make("AtariVLM/Breakout-v5", frame_stack=2)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (2, 224, 224, 3)
    assert isinstance(env.unwrapped, atari_vlm.AtariVLMEnvironment)
    env.close()


@pytest.mark.parametrize("name", SUGGESTED)
def test_every_frame_is_that_of_ale_v5(name):
    title = get_game(name).title
    theirs = gym.make(f"ALE/{title}-v5", repeat_action_probability=0.0)
    ours = AtariVLMEnvironment(
        f"{title}-v5",
        frame_stack=1,
        resize_shape=None,
        repeat_action_probability=0.0,
        pool_frames=False,
    )
    their_first, _ = theirs.reset(seed=3)
    our_first, _ = ours.reset(seed=3)
    assert np.array_equal(our_first[0], their_first)
    rng = np.random.default_rng(0)
    for _ in range(150):
        action = int(rng.integers(len(ours.legal)))
        a, b = theirs.step(action), ours.step(action)
        assert np.array_equal(b[0][0], a[0])
        assert b[1:4] == (float(a[1]), a[2], a[3])
        assert b[4]["lives"] == a[4]["lives"]
        assert b[4]["episode_frame_number"] == a[4]["episode_frame_number"]
        if a[2] or a[3]:
            break
    theirs.close()


def test_the_stack_is_oldest_first_and_moves_by_one():
    env = AtariVLMEnvironment("breakout", frame_stack=3, resize_shape=None)
    first, _ = env.reset(seed=0)
    assert (first[0] == first[2]).all()
    stacks = [env.step(action)[0] for action in (1, 2, 2, 3, 3)]
    for before, after in itertools.pairwise(stacks):
        assert np.array_equal(after[:-1], before[1:])
    assert not np.array_equal(stacks[-1][0], stacks[-1][2])


def test_frame_skip_is_the_total_of_emulator_frames():
    env = AtariVLMEnvironment("pong", frame_skip=6)
    env.reset(seed=0)
    assert env.step(2)[4]["episode_frame_number"] == 6


def test_a_plan_holds_its_action_and_then_plays_noop():
    long, short = (
        AtariVLMEnvironment("breakout", plans=True, repeat_action_probability=0.0) for _ in range(2)
    )
    for env, frames in ((long, 3), (short, 0)):
        env.reset(seed=0)
        for _ in range(4):
            env.step((2, frames))
    right = 72  # RAM address of Breakout's paddle
    assert long.emulator.ram[right] > short.emulator.ram[right]


def test_render_returns_the_native_screen_in_colour():
    env = AtariVLMEnvironment("pong")
    with pytest.raises(InvalidSetting, match="reset"):
        env.render()
    env.reset(seed=0)
    assert env.render().shape == (210, 160, 3)


def test_prompts_come_in_three_kinds():
    env = AtariVLMEnvironment("Pong-v5")
    texts = [env.get_vlm_prompt(kind) for kind in ("basic", "cot", "expert")]
    assert len(set(texts)) == 3
    assert "action number" in texts[0]
    with pytest.raises(UnknownName, match="Did you mean 'expert'"):
        env.get_vlm_prompt("expurt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"frame_stack": 0},
            "frame_stack must be a whole number of at least 1 and at most 10000, not 0",
        ),
        ({"frame_skip": 0}, "frame_skip must be"),
        ({"frame_skip": 2.5}, "frame_skip must be"),
        ({"resize_shape": 84}, "not 84; try"),
        ({"frame_stack": 100_000}, "at most 10000"),
        ({"resize_shape": (0, 0)}, r"not \(0, 0\); try \(224, 224\)"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_the_range(settings, message):
    with pytest.raises(InvalidSetting, match=message):
        AtariVLMEnvironment("pong", **settings)


def test_an_illegal_action_is_refused_with_the_legal_ones():
    env = AtariVLMEnvironment("Freeway")
    env.reset(seed=0)
    for action in (3, "UP", None, 1.5):
        with pytest.raises(IllegalAction, match="0 NOOP, 1 UP, 2 DOWN"):
            env.step(action)


def test_games_that_end_the_process_are_refused_with_the_reason():
    with pytest.raises(UnsafeGame, match=r"two players|single-player|ends the process"):
        AtariVLMEnvironment("Combat-v5")
