"""Searches where a decision is long: few rollouts, which look far and end at a lost life."""

from __future__ import annotations

import asyncio

from numpy.random import default_rng

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.policies.search.methods import UCT, RolloutIW
from atari_vlm.policies.search.policy import SearchPolicy
from atari_vlm.policies.search.tree import SearchSettings, tree

PRIVILEGES = frozenset({"emulator"})


def simulated_once(frame_skip, plan, rng):
    """One simulation of UCT in Breakout just after the serve, and the frames it took."""
    env = AtariVLMEnvironment("breakout", resize_shape=None, frame_skip=frame_skip)
    env.begin(seed=0)
    env.advance(env.legal.index("FIRE"), 4)
    # As much as five simulations take, of which this is the first.
    settings = SearchSettings(budget=5 * 17 * frame_skip)
    with tree(env.observe(PRIVILEGES), settings, rng) as grown:
        search, places = UCT(), [env.legal.index(action) for action in plan]
        search._simulation(grown, rng, places, search._reach(grown))
        (first,) = [child for child in grown.root.children if child]
        places = [node.place for node in first.best.nodes()]
        places += [each.place for each in first.best.held]
        return [env.legal[place] for place in places], first.best.gain, grown.spent


def test_where_actions_are_long_uct_looks_16_ahead_repeats_a_plan_and_ends_at_a_lost_life():
    steady = ["RIGHT"] * 45 + ["LEFT"] * 45 + ["NOOP"] * 150
    for seed in range(3):
        actions, gain, frames = simulated_once(15, steady, default_rng(seed))
        assert gain.losses > 0
        assert len(actions) == -(-frames // 15) < 16  # the ball was lost after some of them
        assert actions == steady[::15][: len(actions)]
    lengths = {
        frames for seed in range(8) for *_, frames in [simulated_once(8, (), default_rng(seed))]
    }
    assert max(lengths) == 16 * 8


def test_the_next_search_begins_with_the_best_simulation_of_the_last_where_actions_are_long():
    policy = SearchPolicy(UCT(), SearchSettings(budget=480))
    for frame_skip, kept in ((15, True), (4, False)):
        env = AtariVLMEnvironment("breakout", resize_shape=None, frame_skip=frame_skip)
        env.begin(seed=0)
        env.advance(env.legal.index("FIRE"), 4)
        decision = asyncio.run(policy.decide(env.observe(PRIVILEGES), [], default_rng(0)))
        assert bool(decision.queue) == kept
        if kept:
            assert decision.queue[0].action == decision.action
            assert decision.queue[0].frames % 15 == 0


def test_where_actions_are_long_no_rollout_of_iw_goes_on_after_a_lost_life():
    after = {}
    for frame_skip in (15, 4):
        env = AtariVLMEnvironment("breakout", resize_shape=None, frame_skip=frame_skip)
        env.begin(seed=0)
        env.advance(env.legal.index("FIRE"), 4)
        rng, search = default_rng(0), RolloutIW(horizon=180)
        with tree(env.observe(PRIVILEGES), SearchSettings(budget=3000), rng) as grown:
            search.grow(grown, rng, ())
            lost = [node for node in grown.nodes if node.gain.losses]
            assert lost
            after[frame_skip] = [child for node in lost for child in node.children if child]
    assert not after[15]
    assert after[4]
