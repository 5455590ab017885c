"""What a wrapper goes around: a policy; and what is said of a model, a name, and anything else."""

from __future__ import annotations

from functools import partial

import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.ablations import ablate
from atari_vlm.policies.think.adaptive import Adaptive
from atari_vlm.policies.think.best_of import BestOf
from atari_vlm.policies.think.budgets import Budgeted, ThinkBudget
from atari_vlm.policies.think.lookahead import Lookahead
from atari_vlm.policies.think.summary import RunningSummary
from atari_vlm.policies.think.vote import Vote
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import get_strategy
from tests.policies.think.models import Answers

WRAPPERS = {
    "Vote": Vote,
    "BestOf": BestOf,
    "Lookahead": Lookahead,
    "Adaptive": Adaptive,
    "RunningSummary": RunningSummary,
    "Budgeted": partial(Budgeted, episode=ThinkBudget(calls=9)),
    "AblatedPolicy": partial(ablate, game="breakout", ablation="blank"),
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_a_wrapper_around_a_model_says_how_a_model_becomes_a_policy(kind):
    model = Answers(["LEFT x1"])
    with pytest.raises(InvalidSetting) as refused:
        WRAPPERS[kind](model)
    assert str(refused.value) == (
        f"{kind} goes around a policy, and answers is a model. Its prompt makes it one: "
        f"{kind}(VLMPolicy(model, get_strategy('basic')))."
    )
    made = VLMPolicy(model, get_strategy("basic"))  # as it says
    assert WRAPPERS[kind](Vote(made) if kind in ("Adaptive", "Budgeted") else made)


@pytest.mark.parametrize("kind", WRAPPERS)
@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("embedded", r"'embedded' is a name\. Name the whole player, e\.g\. 'embedded\+vote:5'"),
        (Vote, r"the class Vote is none\. Give an instance: Vote\(\.\.\.\)"),
        (None, "None is none: it needs name and async decide"),
    ],
)
def test_a_wrapper_around_anything_else_says_what_it_goes_around(kind, inside, says):
    with pytest.raises(InvalidSetting, match=f"^{kind} goes around a policy, and {says}"):
        WRAPPERS[kind](inside)
