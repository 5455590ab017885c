"""The prior of a policy: what a model in this process thinks of every plan, for nothing."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.journal import JournaledModel
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.ablations import ablate
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.protocols import prior_of
from atari_vlm.types import Lessons, Observation, Plan

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def seen(screens):
    return Observation(
        game="pong", frames=tuple(screens[:2]), legal=LEGAL, interval=4, step=screens[1].step
    )


def prior(policy, screens):
    return asyncio.run(prior_of(policy, seen(screens), ()))


class NothingIsWritten:
    """A journal that must not be used."""

    def recall(self, seed):
        raise AssertionError

    remember = recall


def test_a_model_that_scores_gives_its_prior_in_words_too_and_nothing_is_journaled(screens):
    model, strategy = EmbeddedModel(), get_strategy("embedded")
    policy = VLMPolicy(JournaledModel(model, NothingIsWritten()), strategy)
    rated = prior(policy, screens)
    assert sum(rated.values()) == pytest.approx(1)
    assert {plan.action for plan in rated} <= set(LEGAL)
    assert prior(ScoredPolicy(model, strategy, Lessons(), "embedded"), screens) == rated
    assert prior(policy, screens[40:]) != rated


def test_under_an_ablation_the_prior_is_that_of_the_wrong_screens(screens):
    policy = VLMPolicy(EmbeddedModel(), get_strategy("embedded"))
    blind = ablate(policy, "pong", "blank")
    assert prior(blind, screens) == prior(blind, screens[40:]) != prior(policy, screens)


def test_there_is_none_of_a_model_that_writes_words_only_or_lists_of_plans(screens):
    model = ScriptedModel(lambda prompt: "ACTION: FIRE")
    assert prior(VLMPolicy(model, get_strategy("basic")), screens) is None
    assert model.calls == 0

    class Rates(ScriptedModel):
        async def score(self, prompt):
            return {("FIRE", 4): 0.3, ("UP", 4): 0.7}

    both = Rates(lambda prompt: "ACTION: FIRE")
    assert prior(VLMPolicy(both, get_strategy("basic")), screens) == {("FIRE", 4): 1.0}
    several = get_strategy("basic", PromptSettings(chunk_size=3))
    assert prior(VLMPolicy(both, several), screens) is None

    class Up:
        name = "up"

        async def decide(self, observation, history, rng: np.random.Generator):
            raise AssertionError

    assert prior(Up(), screens) is None


@pytest.mark.parametrize("rated", [ModelFault("out of memory", "It ran out."), {("UP", 4): 1.0}])
def test_there_is_none_where_scoring_failed(screens, rated):
    class Breaks:
        async def score(self, prompt):
            if isinstance(rated, ModelFault):
                raise rated
            return rated

    policy = ScoredPolicy(Breaks(), get_strategy("embedded"), Lessons(), "embedded")
    assert prior(policy, screens) is None


class Gives:
    """A model that scores, and a policy with a prior, that return anything."""

    name = "gives"

    def __init__(self, rated):
        self.rated = rated

    async def score(self, prompt):
        return self.rated

    async def prior(self, observation, history):
        return self.rated

    async def decide(self, observation, history, rng):
        raise AssertionError


@pytest.mark.parametrize(
    ("rated", "says"),
    [
        ([0.5, 0.5], r"gives gave \[0.5, 0.5\] as .*; it needs a mapping of Plan"),
        ({"FIRE": 1.0}, "gave 'FIRE' among plans"),
        ({("FIRE", 2.5): 1.0}, r"gave \('FIRE', 2.5\) among plans"),
        ({("FIRE", 4): float("nan")}, "gave nan for FIRE x4"),
        ({("FIRE", 4): -0.5}, "gave -0.5 for FIRE x4"),
        ({("FIRE", 4): "much"}, "gave 'much' for FIRE x4"),
        ({("FIRE", 4): 0.0}, "gave nothing but zeros"),
    ],
)
def test_what_is_no_probability_is_refused_in_a_sentence(screens, rated, says):
    scored = ScoredPolicy(Gives(rated), get_strategy("embedded"), Lessons(), "gives")
    with pytest.raises(InvalidSetting, match=says):
        prior(Gives(rated), screens)
    with pytest.raises(ModelUnusable, match=says):
        prior(scored, screens)
    with pytest.raises(ModelUnusable, match=says):
        asyncio.run(scored.decide(seen(screens), (), np.random.default_rng(0)))


def test_plans_that_are_not_legal_are_left_out_and_the_rest_sums_to_1(screens):
    rated = {("FIRE", np.int64(4)): np.float32(1), ("LEFT", 4): 3, ("UP", 4): 9, ("FIRE", 99): 9}
    assert prior(Gives(rated), screens) == {Plan("FIRE", 4): 0.25, Plan("LEFT", 4): 0.75}
    assert prior(Gives({}), screens) is prior(Gives({("UP", 4): 1.0}), screens) is None
    scored = ScoredPolicy(Gives({("UP", 4): 1.0}), get_strategy("embedded"), Lessons(), "gives")
    with pytest.raises(ModelUnusable, match="gives gave no legal plan a probability"):
        asyncio.run(scored.decide(seen(screens), (), np.random.default_rng(0)))


def test_a_plain_prior_is_refused(screens):
    class Plain(Gives):
        def prior(self, observation, history):
            return self.rated

    with pytest.raises(InvalidSetting, match="gives must define `async def prior`"):
        prior(Plain({}), screens)
