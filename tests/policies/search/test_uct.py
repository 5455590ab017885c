"""UCT counts whole simulations, and prefers no action for its place in the list."""

from __future__ import annotations

from numpy.random import default_rng

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.policies.search.methods import UCT
from atari_vlm.policies.search.tree import SearchSettings, tree

PRIVILEGES = frozenset({"emulator"})


def visits_of(seed, **budget):
    """How often UCT visits each action at the start of Pong, where nothing is at stake."""
    env = AtariVLMEnvironment("pong", resize_shape=None)
    env.begin(seed=0)
    rng, search = default_rng(seed), UCT()
    with tree(env.observe(PRIVILEGES), SearchSettings(**budget), rng) as grown:
        search.grow(grown, rng, ())
        rated = [rating is not None for rating in search.rate(grown)]
        visits = [child.visits if child else 0 for child in grown.root.children]
        assert rated == [each > 0 for each in visits]
        return visits


def test_a_simulation_that_the_budget_cuts_short_counts_only_if_it_is_the_only_one():
    assert sum(visits_of(0, budget=6 * 120 + 60)) == 6
    assert sum(visits_of(0, budget=None, seconds=1e-9)) == 1


def test_a_small_budget_is_five_short_simulations():
    assert sorted(visits_of(0, budget=160)) == [0, 1, 1, 1, 1, 1]


def test_where_nothing_is_at_stake_uct_prefers_no_action():
    twice = {
        visits.index(2) for visits in (visits_of(seed, budget=6 * 120 + 116) for seed in range(20))
    }
    assert len(twice) > 3
