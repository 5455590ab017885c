"""The environment with the wrappers, checkers and learners that others bring to it."""

from __future__ import annotations

import copy
import pickle
import warnings

import ale_py
import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.utils.env_checker import check_env

import atari_vlm  # noqa: F401
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import InvalidSetting

gym.register_envs(ale_py)

SMALL = {"grayscale": True, "resize_shape": (84, 84)}
"""Four gray screens, channel first: what the convolutional policies of Stable-Baselines3 expect."""


def make(**settings):
    return gym.make("AtariVLM/Breakout-v5", **settings)


def play(env, decisions=12):
    env.action_space.seed(3)
    seen = [env.reset(seed=1)[0]]
    for _ in range(decisions):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen += [observation, reward]
        if terminated or truncated:
            break
    return seen


def same(one, two):
    return len(one) == len(two) and all(map(np.array_equal, one, two))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        SMALL,
        {**SMALL, "frame_stack": 1, "full_action_space": True},
        {"plans": True, "resize_shape": None, "frame_skip": 8},
        {"obs_type": "rgb"},
        {"obs_type": "grayscale"},
        {"obs_type": "ram"},
    ],
)
def test_gymnasiums_checker_accepts_it(settings):
    check_env(make(**settings).unwrapped)


@pytest.mark.parametrize("settings", [SMALL, {**SMALL, "plans": True}, {"obs_type": "rgb"}])
def test_the_checker_of_stable_baselines3_accepts_it_without_a_warning(settings):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make(**settings))


@pytest.mark.parametrize("plans", [False, True])
def test_ppo_learns_predicts_and_plays(plans):
    sb3 = pytest.importorskip("stable_baselines3")
    env = make(**SMALL, plans=plans)
    ppo = sb3.PPO("CnnPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu")
    ppo.learn(8)
    assert ppo.observation_space.shape == (4, 84, 84)
    observation, _ = env.reset(seed=1)
    for _ in range(3):
        action, _ = ppo.predict(observation)
        observation, *_ = env.step(action)
    assert env.unwrapped.emulator.frame == 12


def test_ppo_reads_stacked_colour_as_channels():
    sb3 = pytest.importorskip("stable_baselines3")
    space = gym.spaces.Box(0, 255, (84, 84, 12), np.uint8)
    env = wrappers.TransformObservation(
        make(resize_shape=(84, 84)), lambda screens: np.concatenate(screens, axis=-1), space
    )
    ppo = sb3.PPO("CnnPolicy", env, n_steps=4, batch_size=4, n_epochs=1, seed=0, device="cpu")
    ppo.learn(4)
    assert ppo.policy.observation_space.shape == (12, 84, 84)


def test_stable_baselines3_plays_several_at_once():
    util = pytest.importorskip("stable_baselines3.common.env_util")
    games = util.make_vec_env("AtariVLM/Breakout-v5", 2, seed=1, env_kwargs=SMALL)
    assert games.reset().shape == (2, 4, 84, 84)
    observations, rewards, *_ = games.step(np.array([1, 2]))
    assert (observations.shape, rewards.shape) == ((2, 4, 84, 84), (2,))
    games.close()


def both(wrap):
    """The same wrapper around ours and around ALE's, without randomness."""
    # Wrappers that pool screens themselves get raw ones.
    raw = {"obs_type": "rgb", "frameskip": 1, "repeat_action_probability": 0.0}
    ours, theirs = make(**raw, pool_frames=False), gym.make("ALE/Breakout-v5", **raw)
    return wrap(ours), wrap(theirs)


@pytest.mark.parametrize("grayscale", [True, False])
def test_gymnasiums_atari_preprocessing_sees_what_it_sees_of_ale(grayscale):
    pytest.importorskip("cv2")
    ours, theirs = both(
        lambda env: wrappers.AtariPreprocessing(
            env, noop_max=0, grayscale_obs=grayscale, terminal_on_life_loss=True
        )
    )
    assert same(play(ours, 60), play(theirs, 60))


def test_the_atari_wrapper_of_stable_baselines3_sees_what_it_sees_of_ale():
    pytest.importorskip("cv2")
    module = pytest.importorskip("stable_baselines3.common.atari_wrappers")
    ours, theirs = both(
        lambda env: module.AtariWrapper(wrappers.RecordEpisodeStatistics(env), noop_max=0)
    )
    assert same(play(ours, 60), play(theirs, 60))
    play(module.AtariWrapper(make(obs_type="rgb", frame_skip=1)), 3)


def test_the_parts_of_the_atari_wrapper_find_lives_and_action_names():
    module = pytest.importorskip("stable_baselines3.common.atari_wrappers")
    env = module.FireResetEnv(module.EpisodicLifeEnv(module.NoopResetEnv(make(**SMALL))))
    env.reset(seed=1)
    lives = env.unwrapped.ale.lives()
    assert lives == 5
    terminated = False
    while not terminated:
        *_, terminated, _, info = env.step(0 if env.unwrapped.emulator.frame % 40 else 1)
    assert info["lives"] == lives - 1
    assert not env.unwrapped.emulator.terminated


def test_preprocessing_a_stack_says_which_observation_it_needs():
    pytest.importorskip("cv2")
    env = wrappers.AtariPreprocessing(make(frame_skip=1))
    with pytest.raises(InvalidSetting, match=r"obs_type='rgb', frame_skip=1"):
        env.reset()


@pytest.mark.parametrize("kind", ["rgb", "grayscale", "ram"])
def test_an_observation_of_ales_kinds_is_ales(kind):
    settings = {"obs_type": kind, "repeat_action_probability": 0.0}
    ours = gym.make("AtariVLM/Seaquest-v5", pool_frames=False, frameskip=4, **settings)
    theirs = gym.make("ALE/Seaquest-v5", frameskip=4, **settings)
    assert ours.observation_space == theirs.observation_space
    assert same(play(ours, 40), play(theirs, 40))
    assert ours.unwrapped.get_action_meanings() == theirs.unwrapped.get_action_meanings()
    assert ours.unwrapped.get_keys_to_action() == theirs.unwrapped.get_keys_to_action()
    our_view, their_view = ours.unwrapped.ale, theirs.unwrapped.ale
    for name in ("getScreen", "getScreenRGB", "getScreenGrayscale", "getRAM", "lives"):
        assert np.array_equal(getattr(our_view, name)(), getattr(their_view, name)())
    assert our_view.getScreenDims() == their_view.getScreenDims()
    assert our_view.getEpisodeFrameNumber() == their_view.getEpisodeFrameNumber()
    assert (our_view.game_over(), our_view.game_truncated()) == (False, False)


def test_the_view_of_ale_cannot_act_and_says_what_to_use():
    view = AtariVLMEnvironment("pong").ale
    for name in ("act", "restoreState", "reset_game"):
        with pytest.raises(AttributeError, match=r"env.step\(\).*env.restore\(\)"):
            getattr(view, name)


def test_ales_states_are_refused_with_ours():
    env = AtariVLMEnvironment("pong")
    for ask in (env.clone_state, lambda: env.restore_state(b"")):
        with pytest.raises(InvalidSetting, match=r"Use env.save\(\)"):
            ask()


def test_gymnasiums_wrappers_work():
    assert play(wrappers.FrameStackObservation(make(obs_type="rgb"), 4))[0].shape[0] == 4
    assert len(play(make(max_episode_steps=3, **SMALL))) == 7
    env = wrappers.RecordEpisodeStatistics(make(max_episode_steps=2, **SMALL))
    env.reset(seed=1)
    env.step(1)
    assert env.step(1)[4]["episode"]["l"] == 2
    env = make(render_mode="rgb_array_list", **SMALL)
    play(env, 3)
    assert [screen.shape for screen in env.render()] == [(210, 160, 3)] * 4


def test_a_video_is_recorded_at_the_speed_of_the_game(tmp_path):
    pytest.importorskip("moviepy")
    env = wrappers.RecordVideo(make(frame_skip=8, **SMALL), str(tmp_path / "films"))
    play(env, 4)
    assert env.frames_per_sec == 7.5
    env.close()
    assert list((tmp_path / "films").glob("*.mp4"))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasium_plays_several_at_once(mode):
    games = gym.make_vec("AtariVLM/Breakout-v5", num_envs=2, vectorization_mode=mode, **SMALL)
    first, _ = games.reset(seed=1)
    assert first.shape == (2, 4, 84, 84)
    _, rewards, *_ = games.step(games.action_space.sample())
    assert rewards.shape == (2,)
    games.close()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("settings", [SMALL, {"keep_screens": 20}, {"obs_type": "ram"}])
def test_a_copy_in_its_wrappers_plays_on_alike(copied, settings):
    env = wrappers.TimeLimit(make(**settings), 30)
    unplayed = copied(env)
    play(env, 10)
    other = copied(env)
    for action in (1, 2, 3, 2, 3) * 3:
        one, two = env.step(action), other.step(action)
        assert np.array_equal(one[0], two[0])
        assert one[1:] == two[1:]
    assert np.array_equal(env.reset()[0], other.reset()[0])
    assert env.np_random.integers(2**60) == other.np_random.integers(2**60)
    assert env.action_space.sample() == other.action_space.sample()
    assert same(play(unplayed), play(env))


@pytest.mark.parametrize(("frame_skip", "fps"), [(1, 60), (4, 15), (8, 7.5)])
def test_render_fps_is_the_decisions_of_a_second(frame_skip, fps):
    assert make(frame_skip=frame_skip).metadata["render_fps"] == fps


def test_ales_names_of_settings_are_understood():
    env = AtariVLMEnvironment("pong", frameskip=2, max_num_frames_per_episode=9)
    assert (env.frame_skip, env.emulator.max_frames) == (2, 9)
    env = AtariVLMEnvironment("pong", max_frames=None, continuous=False, sound_obs=False)
    assert env.emulator.max_frames > 10**9


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"frame_stak": 3}, TypeError, "no keyword 'frame_stak'. Did you mean 'frame_stack'"),
        ({"frameskp": 3}, TypeError, "Did you mean 'frame"),
        ({"colour": 3}, TypeError, r"See help\(AtariVLMEnvironment\)"),
        ({"frameskip": (2, 5)}, InvalidSetting, "fixed: frame_skip=4"),
        ({"continuous": True}, InvalidSetting, "continuous is not offered"),
        ({"sound_obs": True}, InvalidSetting, "There is no sound here"),
        ({"game": "pong"}, InvalidSetting, "game_name"),
        ({"obs_type": "RGB"}, InvalidSetting, "'rgb', 'grayscale' or 'ram', not 'RGB'"),
        ({"obs_type": "ram", "frame_stack": 3}, InvalidSetting, "leave out frame_stack"),
        ({"obs_type": "rgb", "resize_shape": (84, 84)}, InvalidSetting, "resize_shape"),
        ({"render_mode": "human"}, InvalidSetting, r"gymnasium.make\('AtariVLM/Pong-v5', render"),
        ({"render_mode": "ansi"}, InvalidSetting, "'rgb_array' or None, not 'ansi'"),
        ({"keep_screens": -1}, InvalidSetting, "keep_screens must be a whole number of 0 to"),
        ({"max_frames": 0}, InvalidSetting, "max_frames must be at least 1"),
    ],
)
def test_a_keyword_that_cannot_work_is_one_sentence(settings, error, message):
    with pytest.raises(error, match=message):
        AtariVLMEnvironment("pong", **settings)


def test_gymnasium_opens_a_window(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium says that it opens the window, not we
        env = make(render_mode="human", **SMALL)
        play(env, 3)
        env.close()
