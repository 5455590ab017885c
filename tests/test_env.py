"""The Gymnasium environment."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys

import ale_py
import gymnasium as gym
import numpy as np
import pytest

import atari_vlm
from atari_vlm.atari.games import SUGGESTED, get_game
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import IllegalAction, InvalidSetting, StoreError, UnknownName, UnsafeGame

gym.register_envs(ale_py)


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
            "frame_stack must be a whole number of 1 to 10000, not 0",
        ),
        ({"frame_skip": 0}, "frame_skip must be"),
        ({"frame_skip": 2.5}, "frame_skip must be"),
        ({"resize_shape": 84}, "not 84; try"),
        ({"frame_stack": 100_000}, "of 1 to 10000"),
        ({"resize_shape": (0, 0)}, r"not \(0, 0\); try \(224, 224\)"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_the_range(settings, message):
    with pytest.raises(InvalidSetting, match=message):
        AtariVLMEnvironment("pong", **settings)


@pytest.mark.parametrize(
    "action", [2, np.int8(2), np.int64(2), np.uint32(2), np.array(2), np.array(2, np.int8)]
)
def test_every_member_of_the_action_space_plays(action):
    one, two = AtariVLMEnvironment("pong"), AtariVLMEnvironment("pong")
    one.reset(seed=0)
    two.reset(seed=0)
    assert one.action_space.contains(action)
    assert np.array_equal(one.step(action)[0], two.step(2)[0])
    assert one.step(True)[1] == two.step(1)[1]  # Discrete contains True, which is 1


@pytest.mark.parametrize(
    "action", [(2, 1), [2, 1], np.array([2, 1]), np.array([2, 1], np.int8), (np.array(2), 1)]
)
def test_every_member_of_the_space_of_plans_plays(action):
    one, two = (AtariVLMEnvironment("pong", plans=True) for _ in range(2))
    one.reset(seed=0)
    two.reset(seed=0)
    assert one.action_space.contains(action)
    assert np.array_equal(one.step(action)[0], two.step((2, 1))[0])


@pytest.mark.parametrize(
    "action", [6, -1, 1.0, np.array(1.0), np.array([1]), np.uint64(1), np.bool_(True), "UP", [1]]
)
def test_what_the_action_space_does_not_contain_is_refused(action):
    env = AtariVLMEnvironment("pong")
    env.reset(seed=0)
    assert not env.action_space.contains(action)
    with pytest.raises(IllegalAction, match="Choose from: 0 NOOP, 1 FIRE"):
        env.step(action)
    assert env.emulator.frame == 0


def test_an_array_of_one_action_is_refused_with_what_to_do():
    env = AtariVLMEnvironment("pong")
    env.reset(seed=0)
    with pytest.raises(IllegalAction, match=r"take action.item\(\)"):
        env.step(np.array([2]))


@pytest.mark.parametrize(
    "action", [2, (2,), (2, 4), (6, 0), (-1, 0), (2, 0.5), "UP", (2, [0, 1]), np.array([[2, 1]])]
)
def test_what_the_space_of_plans_does_not_contain_is_refused(action):
    env = AtariVLMEnvironment("pong", plans=True)
    env.reset(seed=0)
    with pytest.raises(IllegalAction, match=r"\(action, frames - 1\), with frames from 1 to 4"):
        env.step(action)


@pytest.mark.parametrize("name", ["pong", "assault", "beam_rider", "solaris"])
def test_a_seeded_reset_does_not_depend_on_what_came_before(name):
    def episode(*resets):
        env = AtariVLMEnvironment(name, grayscale=True)
        for seed in resets:
            env.reset(seed=seed)
        return [env.step(k % len(env.legal))[0].tobytes() for k in range(40)]

    assert episode(3) == episode(None, 3) == episode(None, None, 3) == episode(8, 3)


def test_an_option_of_reset_chooses_the_console_and_others_are_refused():
    def first(env, **how):
        env.reset(**how)
        return [env.step(1)[0].tobytes() for _ in range(30)]

    env = AtariVLMEnvironment("assault", grayscale=True, repeat_action_probability=0.0)
    new = first(env, seed=3)
    assert first(env, options={"power_cycle": True}) == new
    assert first(env, seed=3, options={}) == new
    assert first(env, seed=3, options={"power_cycle": False}) != new
    with pytest.raises(InvalidSetting, match=r"no option 'lives'; it knows 'power_cycle'"):
        env.reset(options={"lives": 3})


def go_on(env, decisions=25):
    out = []
    for k in range(decisions):
        observation, *rest = env.step(env.action_space.n - 1 - k % env.action_space.n)
        out.append((observation.tobytes(), env.render().tobytes(), rest))
    return out


@pytest.mark.parametrize("decisions", [0, 20])
@pytest.mark.parametrize("power_cycle", [True, False])
@pytest.mark.parametrize("settings", [{}, {"resize_shape": None}, {"grayscale": True}])
def test_a_saved_environment_goes_on_whole_in_any_other(decisions, power_cycle, settings):
    env = AtariVLMEnvironment("kaboom", keep_screens=30, **settings)
    env.reset(seed=1)
    go_on(env, 40)
    env.reset(options={"power_cycle": power_cycle})
    go_on(env, decisions)
    saved, screen = env.save(), env.render()
    observation, info = env.restore(saved)
    first = go_on(env)
    then = env.reset()[0], go_on(env)
    other = AtariVLMEnvironment("kaboom", keep_screens=30, **settings)
    for again in (env, other):
        seen, told = again.restore(pickle.loads(pickle.dumps(saved)))
        assert np.array_equal(seen, observation)
        assert np.array_equal(again.render(), screen)
        assert told == info
        assert again.observe().step == decisions
        assert go_on(again) == first
        assert np.array_equal(again.reset()[0], then[0])
        assert go_on(again) == then[1]


def test_a_saved_environment_goes_on_in_another_process(tmp_path):
    env = AtariVLMEnvironment("breakout", grayscale=True)
    env.reset(seed=1)
    go_on(env, 30)
    (tmp_path / "saved").write_bytes(pickle.dumps(env.save()))
    (tmp_path / "env").write_bytes(pickle.dumps(env))
    code = (
        "import pickle, sys; from pathlib import Path\n"
        "from atari_vlm.env import AtariVLMEnvironment\n"
        "folder = Path(sys.argv[1])\n"
        "env = AtariVLMEnvironment('breakout', grayscale=True)\n"
        "env.restore(pickle.loads((folder / 'saved').read_bytes()))\n"
        "both = env, pickle.loads((folder / 'env').read_bytes())\n"
        "seen = [[(e.step(k % 4)[0].tobytes(), e.step(1)[1:]) for k in range(20)] for e in both]\n"
        "(folder / 'seen').write_bytes(pickle.dumps(seen))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    here = [(env.step(k % 4)[0].tobytes(), env.step(1)[1:]) for k in range(20)]
    assert pickle.loads((tmp_path / "seen").read_bytes()) == [here, here]


def test_another_seed_gives_a_saved_environment_another_fate():
    env = AtariVLMEnvironment("breakout", repeat_action_probability=0.5, grayscale=True)
    env.reset(seed=1)
    go_on(env, 8)
    saved = env.save()
    fates = []
    for seed in (None, None, 1, 2, 3):
        env.restore(saved, seed=seed)
        fates.append(str(go_on(env)))
    assert fates[0] == fates[1]
    assert len(set(fates)) > 2


@pytest.mark.parametrize("verb", ["step", "observe", "render", "save", "advance"])
def test_an_emulator_moved_behind_the_environment_is_not_played_on(verb):
    env = AtariVLMEnvironment("pong")
    env.reset(seed=1)
    start, before = env.save(), env.emulator.save()
    env.step(2)
    after = env.emulator.save()
    arguments = {"step": (2,), "advance": (2, 4)}.get(verb, ())
    env.emulator.restore(before)
    with pytest.raises(InvalidSetting, match=r"Use env.save\(\) and env.restore\(\)"):
        getattr(env, verb)(*arguments)
    env.emulator.restore(after)  # where it was: nothing is stale
    env.observe()
    env.emulator.reset(seed=4)
    env.restore(start)
    getattr(env, verb)(*arguments)


def test_what_does_not_fit_is_not_restored():
    env = AtariVLMEnvironment("pong", frame_stack=2)
    with pytest.raises(InvalidSetting, match=r"Call reset\(\) first"):
        env.save()
    env.reset(seed=1)
    with pytest.raises(InvalidSetting, match=r"not a value of type Snapshot"):
        env.restore(env.emulator.save())
    with pytest.raises(InvalidSetting, match=r"not a value of type EnvironmentSnapshot"):
        env.emulator.restore(env.save())
    with pytest.raises(StoreError, match=r"frame_stack=2 cannot go into .* frame_stack=3"):
        AtariVLMEnvironment("pong", frame_stack=3).restore(env.save())
    with pytest.raises(StoreError, match="'pong' cannot go into 'breakout'"):
        AtariVLMEnvironment("breakout", frame_stack=2).restore(env.save())
    with pytest.raises(StoreError, match="saved without keep_screens"):
        AtariVLMEnvironment("pong", frame_stack=2, keep_screens=4).restore(env.save())


@pytest.mark.parametrize("verb", ["step", "observe", "render", "save", "advance", "last_screens"])
def test_before_the_first_reset_every_verb_asks_for_it(verb):
    arguments = {"step": (2,), "advance": (2, 4)}.get(verb, ())
    with pytest.raises(InvalidSetting, match=r"Call reset\(\) first"):
        getattr(AtariVLMEnvironment("pong"), verb)(*arguments)


def test_a_second_of_play_is_thirty_screens_for_a_video_model():
    # The document's snippet, [env.render() for _ in range(30)], gives one screen thirty times.
    env = AtariVLMEnvironment("Pong-v5", keep_screens=60, repeat_action_probability=0.0)
    env.reset(seed=0)
    for _ in range(80):
        env.step(env.action_space.n - 1)
    frames = env.last_screens(30)
    assert frames.shape == (30, 210, 160, 3)
    assert frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) > 20
    assert np.array_equal(frames[-1], env.render())
    assert len(env.last_screens(15, fps=15)) == 15


@pytest.mark.parametrize("frame_skip", [1, 2, 3, 4])
def test_the_last_screens_are_raw_and_evenly_spaced_whatever_a_decision_lasts(frame_skip):
    settings = {"repeat_action_probability": 0.0, "pool_frames": False}
    env = AtariVLMEnvironment("breakout", frame_skip=frame_skip, keep_screens=24, **settings)
    slow = AtariVLMEnvironment("breakout", frame_skip=1, resize_shape=None, **settings)
    env.reset(seed=0)
    screens = [slow.reset(seed=0)[0][-1]]
    start = env.last_screens(8, fps=20)
    assert all(np.array_equal(screen, screens[0]) for screen in start)
    for _ in range(48 // frame_skip):
        env.step(1)
    screens += [slow.step(1)[0][-1] for _ in range(48)]
    assert np.array_equal(env.last_screens(24, fps=60), np.stack(screens[-24:]))
    assert np.array_equal(env.last_screens(8, fps=20), np.stack(screens[-22::3]))
    assert len(env.emulator.film) == 24


def test_the_last_screens_are_pooled_like_the_observation():
    env = AtariVLMEnvironment("asteroids", keep_screens=8, resize_shape=None)
    env.reset(seed=0)
    for _ in range(10):
        observation = env.step(0)[0]
    assert np.array_equal(env.last_screens(4)[-1], observation[-1])


def test_screens_that_are_not_kept_are_asked_for_by_name():
    env = AtariVLMEnvironment("pong")
    env.reset(seed=0)
    with pytest.raises(InvalidSetting, match=r"the last 60 emulator frames, .* keep_screens=60"):
        env.last_screens(30)
    with pytest.raises(InvalidSetting, match=r"fps must divide .* 20, 30, 60"):
        env.last_screens(2, fps=25)
    assert env.emulator.film is None


def test_an_illegal_action_is_refused_with_the_legal_ones():
    env = AtariVLMEnvironment("Freeway")
    env.reset(seed=0)
    for action in (3, "UP", None, 1.5):
        with pytest.raises(IllegalAction, match="0 NOOP, 1 UP, 2 DOWN"):
            env.step(action)


def test_games_that_end_the_process_are_refused_with_the_reason():
    with pytest.raises(UnsafeGame, match=r"two players|single-player|ends the process"):
        AtariVLMEnvironment("Combat-v5")


@pytest.mark.parametrize(
    "other",
    [
        {"frame_skip": 1},
        {"repeat_action_probability": 0.0},
        {"pool_frames": "last"},
        {"frame_stack": 2},
        {"max_frames": 100},
    ],
)
def test_a_state_goes_into_no_environment_in_which_the_game_would_go_on_otherwise(other):
    env = AtariVLMEnvironment("pong")
    env.reset(seed=0)
    saved = env.save()
    with pytest.raises(StoreError, match=next(iter(other))):
        AtariVLMEnvironment("pong", **other).restore(saved)
    smaller = AtariVLMEnvironment("pong", resize_shape=(84, 84), grayscale=True)
    assert smaller.restore(saved)[0].shape == (4, 84, 84)
    assert len(repr(saved)) < 80


def test_a_setting_is_given_by_one_of_its_names():
    with pytest.raises(InvalidSetting, match="frameskip is ALE's name of frame_skip"):
        AtariVLMEnvironment("pong", frame_skip=2, frameskip=4)
    assert AtariVLMEnvironment("pong", frameskip=2).frame_skip == 2
    of_numpy = AtariVLMEnvironment("pong", frame_stack=np.int64(2))
    assert of_numpy.observation_space.shape[0] == 2
    assert np.array_equal(of_numpy.reset(seed=np.int64(3))[0], of_numpy.reset(seed=3)[0])
