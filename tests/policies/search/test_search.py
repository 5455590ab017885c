"""Search in a second emulator: it plans well, within its budget, and never sees the dice."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng
from rich.console import Console

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import GAMES, SUGGESTED, get_game
from atari_vlm.atari.simulator import Simulator
from atari_vlm.bench.matrix import BenchSettings, bench
from atari_vlm.cli.bench_table import bench_table
from atari_vlm.cli.scores import score_table
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.baselines import RandomPolicy
from atari_vlm.policies.registry import get_policy
from atari_vlm.policies.search.methods import UCT, RolloutIW
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.search.tree import SearchSettings, tree
from atari_vlm.protocols import version_of
from atari_vlm.report.run_page import replay_of
from atari_vlm.rollout import steps
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Limits

SEARCHES = [RolloutIW(), UCT()]
PRIVILEGES = frozenset({"emulator"})

every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)


def small(search, **settings):
    return SearchPolicy(search, SearchSettings(**{"budget": 240, **settings}))


def decide(policy, observation, seed=0):
    return asyncio.run(policy.decide(observation, [], default_rng(seed)))


def at(game, decisions=30, seed=0):
    """An environment some random play into a game."""
    env, rng = AtariVLMEnvironment(game, resize_shape=None), default_rng(seed)
    env.begin(seed=seed)
    for _ in range(decisions):
        env.advance(int(rng.integers(len(env.legal))), env.frame_skip)
    return env


def told(decision):
    return (
        decision.action,
        decision.frames,
        decision.reason,
        [(other.action, other.reason) for other in decision.considered],
    )


class Nothing:
    """A log that forgets."""

    def decided(self, observation, decision, latency):
        pass

    def rewarded(self, step):
        pass


def play(policy, game, decisions, seed=0, **settings):
    async def gather():
        env = AtariVLMEnvironment(game, resize_shape=None, **settings)
        limits = Limits(decisions=decisions)
        return [s async for s in steps(env, policy, Nothing(), seed=seed, limits=limits)]

    return asyncio.run(gather())


def score(played):
    return sum(step.reward for step in played)


@every_search
def test_the_dice_of_the_real_game_change_nothing_about_a_decision(search):
    env = at("seaquest")
    blind = env.observe(PRIVILEGES)
    assert blind.state.rng is None
    seeing = object.__new__(type(blind))
    for name in blind.__slots__:
        object.__setattr__(seeing, name, getattr(blind, name))
    object.__setattr__(seeing, "state", env.emulator.save())
    assert seeing.state.rng is not None
    policy = small(search, sticky=0.25)
    for seed in range(4):
        assert told(decide(policy, blind, seed)) == told(decide(policy, seeing, seed))


def futures(sticky, moments=120, ahead=6):
    """How often a search's prediction is the real future, and how often another fate is.

    Each future is `ahead` decisions of changing actions, each frame of them open to a sticky one.
    """
    env, rng = at("seaquest"), default_rng(5)
    foreseen = chance = 0
    settings = SearchSettings(budget=10_000, sticky=sticky)
    other = Emulator(get_game("seaquest"))
    for _ in range(moments):
        observation, now = env.observe(PRIVILEGES), env.emulator.save()
        plan = rng.permutation(len(env.legal))[:ahead]
        with tree(observation, settings, rng) as grown:
            node = grown.root
            for place in plan:
                node = grown.grow(node, int(place))
        predicted = node.memory
        fates = []
        for seed in (None, int(rng.integers(2**63))):  # the real dice, and others
            other.restore(now, seed=seed)
            for place in plan:
                if not other.terminated:
                    other.play(int(place), 4, 4)
            fates.append(other.ram)
        foreseen += np.array_equal(predicted, fates[0])
        chance += np.array_equal(predicted, fates[1])
        env.advance(int(rng.integers(len(env.legal))), 4)
        if env.emulator.terminated:
            env.begin(seed=int(rng.integers(1000)))
    return foreseen / moments, chance / moments


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_a_search_predicts_the_real_future_no_better_than_any_other_fate(sticky):
    foreseen, chance = futures(sticky)
    # With the dice in the snapshot, and sticky actions on, every future would be foreseen.
    assert foreseen < 0.4
    assert abs(foreseen - chance) < 0.15


@every_search
def test_the_same_rng_gives_the_same_decision_whatever_was_searched_before(search):
    observation = at("space_invaders").observe(PRIVILEGES)
    policy = small(search)
    first = told(decide(policy, observation))
    decide(policy, at("space_invaders", 60, seed=4).observe(PRIVILEGES))
    decide(policy, at("breakout").observe(PRIVILEGES))
    assert told(decide(policy, observation)) == first
    assert len({str(told(decide(policy, observation, seed))) for seed in range(5)}) > 1


@every_search
def test_the_real_game_does_not_notice_the_search(search):
    one, two = at("ms_pacman"), at("ms_pacman")
    rng = default_rng(9)
    for _ in range(12):
        decide(small(search), one.observe(PRIVILEGES))
        place = int(rng.integers(len(one.legal)))
        assert one.advance(place, 4) == two.advance(place, 4)
        assert np.array_equal(one.emulator.ram, two.emulator.ram)
        assert np.array_equal(one.emulator.screen(), two.emulator.screen())


@pytest.mark.parametrize(
    ("budget", "hold"), [(4, None), (5, None), (240, None), (243, None), (240, 7)]
)
@every_search
def test_the_budget_is_honoured_exactly(search, budget, hold, monkeypatch):
    observation = at("breakout").observe(PRIVILEGES)
    policy = small(search, budget=budget, hold=hold)
    decide(policy, observation)  # the emulator is made and warm
    acted, real = [], Simulator.play

    def counted(self, action, frames):
        before = self.frame
        reward = real(self, action, frames)
        acted.append(self.frame - before)
        return reward

    monkeypatch.setattr(Simulator, "play", counted)
    decision = decide(policy, observation)
    assert budget - max(hold or 4, 4) < sum(acted) <= budget
    assert decision.reason.endswith(f"{sum(acted)} frames simulated")


@every_search
def test_only_points_within_the_horizon_count(search):
    """Freeway pays for nothing but a crossing, here 16 frames away."""
    env = AtariVLMEnvironment("freeway", resize_shape=None, repeat_action_probability=0)
    env.begin(seed=0)
    for _ in range(39):
        env.advance(env.legal.index("UP"), 4)
    depth = {"depth": 2} if search.name == "iw" else {}
    near, far = replace(search, horizon=8, **depth), replace(search, horizon=120, **depth)
    settings = SearchSettings(budget=1200)
    blind = decide(SearchPolicy(near, settings), env.observe(PRIVILEGES))
    assert blind.reason.startswith("worth 0")
    sure = decide(SearchPolicy(far, settings), env.observe(PRIVILEGES))
    assert float(sure.reason.split()[1].strip(",;")) > 0


@pytest.mark.parametrize(("interval", "frames"), [(4, 120), (15, 240)])
def test_rollout_iw_looks_16_actions_ahead_and_120_frames_whichever_is_farther(interval, frames):
    env = AtariVLMEnvironment("seaquest", resize_shape=None, frame_skip=interval)
    env.begin(seed=0)
    with tree(env.observe(PRIVILEGES), SearchSettings(budget=1200), default_rng(0)) as grown:
        RolloutIW().grow(grown, default_rng(0), ())
        assert max(node.elapsed for node in grown.nodes) == frames


def test_a_lost_life_costs_the_penalty_times_the_largest_reward():
    env = AtariVLMEnvironment("breakout", resize_shape=None, repeat_action_probability=0)
    env.begin(seed=0)
    env.advance(env.legal.index("FIRE"), 4)
    lives = env.emulator.lives
    settings = SearchSettings(budget=4000, life_penalty=50)
    with tree(env.observe(PRIVILEGES), settings, default_rng(0)) as grown:
        node = grown.root
        while not node.gain.losses:
            assert env.emulator.lives == lives
            node = grown.grow(node, env.legal.index("LEFT"))
            env.advance(env.legal.index("LEFT"), 4)
        assert env.emulator.lives == lives - 1
        assert grown.worth(node.gain) == -50 * max(1, grown.largest)


def test_a_small_budget_beats_random():
    random = [score(play(RandomPolicy(), "space_invaders", 100, seed=seed)) for seed in range(5)]
    for search in SEARCHES:
        policy = small(search, budget=400)
        two = [score(play(policy, "space_invaders", 100, seed=seed)) for seed in range(2)]
        assert sum(two) > 2 * max(random)


def test_any_game_can_be_searched():
    for name in dict.fromkeys((*SUGGESTED, "tetris", "tic_tac_toe_3d", "mr_do")):
        env = at(name, 3)
        for search in SEARCHES:
            decision = decide(small(search, budget=160), env.observe(PRIVILEGES))
            assert decision.action in env.legal
            assert len(decision.considered) == len(env.legal)
            assert decision.source == "searched"
    assert name in GAMES


@every_search
def test_the_first_decision_of_a_game_can_be_searched(search):
    (step,) = play(small(search), "qbert", 1)
    assert step.decision.source == "searched"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SearchSettings(budget=0), "budget must be a whole number of at least 1, not 0"),
        (lambda: SearchSettings(budget=2.5), "budget must be a whole number"),
        (lambda: SearchSettings(hold=0), "hold must be a whole number of at least 1, not 0"),
        (lambda: SearchSettings(discount=0), "discount of a frame is above 0 and at most 1, not 0"),
        (lambda: SearchSettings(discount=1.1), "at most 1, not 1.1"),
        (lambda: SearchSettings(life_penalty=-1), "life penalty is 0 or more, not -1"),
        (lambda: SearchSettings(life_penalty=float("nan")), "life penalty is 0 or more, not nan"),
        (lambda: SearchSettings(sticky=2), "within 0 and 1, not 2"),
        (lambda: RolloutIW(horizon=0), "horizon must be a whole number of at least 1, not 0"),
        (lambda: RolloutIW(depth=0), "depth must be a whole number of at least 1, not 0"),
        (lambda: UCT(horizon=0), "horizon must be a whole number of at least 1, not 0"),
        (lambda: UCT(exploration=-1), "exploration is 0 or more, not -1"),
        (lambda: get_policy("iw-0", "pong"), "budget must be a whole number of at least 1, not 0"),
        (lambda: get_policy("iw-", "pong"), "iw-1200, or CPU time, as in iw-50ms and iw-0.5s"),
        (lambda: get_policy("uct-1e9", "pong"), "'uct-1e9' has none of these"),
        (lambda: get_policy("uct-50min", "pong"), "'uct-50min' has none of these"),
        (lambda: get_policy("uct-0ms", "pong"), "above 0 and at most 3,600 seconds .* not 0"),
        (lambda: get_policy("uct-9999s", "pong"), "at most 3,600 seconds for a decision"),
        (lambda: SearchSettings(budget=None), "budget must be a whole number"),
        (lambda: VLMTrainer("pong", "iw-3"), "3 frames is less than one decision of 4 frames"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_a_sentence(make, words):
    with pytest.raises(InvalidSetting, match=words):
        make()


def test_a_budget_below_one_decision_and_a_screen_alone_are_refused():
    env = at("pong")
    with pytest.raises(InvalidSetting, match="3 frames is less than one decision of 4 frames"):
        decide(small(RolloutIW(), budget=3), env.observe(PRIVILEGES))
    with pytest.raises(InvalidSetting, match="privileges must include 'emulator'"):
        decide(small(UCT()), env.observe(frozenset({"ram"})))


@pytest.mark.parametrize(("name", "seconds"), [("uct-50ms", 0.05), ("iw-0.02s", 0.02)])
def test_a_search_may_have_a_budget_of_time(name, seconds):
    """A search of one microsecond tries one action; a million times that buys more frames."""
    seen, policy = at("ms_pacman").observe(PRIVILEGES), get_policy(name, "ms_pacman")
    assert policy.settings.seconds == seconds
    assert f"budget None, seconds {seconds}" in policy.version
    assert "seconds" not in get_policy("uct-600", "pong").version
    least, more = (
        replace(policy, settings=replace(policy.settings, seconds=value)) for value in (1e-6, 1)
    )
    assert frames(decide(least, seen)) == 4
    assert 4 < frames(decide(policy, seen)) < frames(decide(more, seen))


def frames(decision):
    return int(decision.reason.split("; ")[-1].removesuffix(" frames simulated"))


def record(folder):
    run = Run.read(folder)
    kept = [told(decision) for decision in run.decisions(0)], run.rewards(0)
    run.close()
    return kept


@pytest.mark.parametrize("name", ["iw-160", "uct-160"])
def test_a_killed_run_repeats_exactly_with_all_that_was_considered(tmp_path, name):
    def play_on(folder):
        VLMTrainer("breakout", name, run_folder=folder, max_decisions=16).train(1)
        return record(folder)

    whole = play_on(tmp_path / "whole")
    assert all(len(considered) == 4 for *_, considered in whole[0])
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "atari_vlm.cli.app", "play", "--game", "breakout"]
    command += ["--model", name, "--max-decisions", "16", "--run", str(folder), "--no-replay"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if Run.exists(folder) and len(record(folder)[0]) >= 5:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = record(folder)[0]
    assert 5 <= len(before) < 16
    assert before == whole[0][: len(before)]
    assert play_on(folder) == whole


def test_a_run_says_with_what_settings_it_searched(tmp_path):
    summary = VLMTrainer("pong", "iw-160", run_folder=tmp_path, max_decisions=2).train(1)
    assert "budget 160" in summary.settings["version"]
    assert summary.privileges == ("emulator",)
    assert "pong, iw-160 (uses emulator): " in repr(summary)
    run = Run.read(tmp_path)
    replay = replay_of(run)
    run.close()
    assert ("Reads beyond the screen", "emulator") in replay.facts
    assert replay.title == "Pong · iw-160 (uses emulator)"
    assert dict(replay.facts)["Mean score"].endswith("1 finished episode (uses emulator)")
    console = Console(width=100, file=io.StringIO())
    console.print(score_table(summary))
    assert "iw-160 (uses emulator)" in console.file.getvalue()
    (decision, _) = replay.episodes[0].decisions
    assert [other.action for other in decision.considered][:2] == ["NOOP", "FIRE"]
    assert sum(other.reason.startswith("worth") for other in decision.considered) >= 2


def test_the_bench_labels_a_search_by_what_it_uses(tmp_path):
    settings = BenchSettings(
        games=("pong",),
        players=("iw-40", "uct-40"),
        episodes=1,
        out=tmp_path,
        max_decisions=3,
    )
    lines = []
    cells = bench(settings, lines.append)
    console = Console(width=80, file=io.StringIO())
    console.print(bench_table(console, cells))
    shown = console.file.getvalue()
    assert "  iw-40 (uses emulator)" in shown
    assert "  uct-40 (uses emulator)" in shown
    assert "Cell(pong, iw-40 (uses emulator): " in repr(cells)
    assert any(line.startswith("pong, uct-40 (uses emulator): 0 over 1 ep") for line in lines)
    assert "iw-40 (uses emulator)" in (tmp_path / "results.csv").read_text()
    assert '"label": "uct-40 (uses emulator)"' in (tmp_path / "results.json").read_text()


@pytest.mark.parametrize("name", ["iw", "uct"])
def test_the_depth_of_a_search_is_part_of_its_version_only_where_it_matters(name):
    search = get_policy(f"{name}-300", "pong")
    assert "depth" not in version_of(search, "pong", 7)
    assert "depth 16" in version_of(search, "pong", 8)
    assert version_of(search, "pong") == version_of(search, "pong", 15)
