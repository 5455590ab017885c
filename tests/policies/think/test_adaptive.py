"""Thinking where it is difficult: the signals, and what they cost."""

from __future__ import annotations

import pytest

from atari_vlm.errors import InvalidSetting, UnknownName
from atari_vlm.policies.registry import WRAPPERS
from atari_vlm.policies.think.adaptive import Adaptive, entropy_share
from atari_vlm.policies.think.best_of import BestOf
from atari_vlm.policies.think.effort import Effort, Range, effort_of, noted
from atari_vlm.policies.think.samples import sample
from atari_vlm.policies.think.vote import Vote
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Lessons, Plan, Spent, Step
from tests.policies.think.models import Answers, asked, decide, observation


class Rates(Answers):
    """A model that gives probabilities too."""

    def __init__(self, texts, rated):
        super().__init__(texts)
        self.rated = rated

    async def score(self, prompt):
        return self.rated


SURE = {Plan("LEFT", 1): 0.97, Plan("RIGHT", 1): 0.03}
UNSURE = {Plan("LEFT", 1): 0.5, Plan("RIGHT", 1): 0.5}


def step(lives=5, spent=None):
    made = noted(Decision("LEFT", 4), (), "", spent)
    return Step(observation=observation(lives=lives), decision=made, reward=0.0)


def test_a_sure_model_answers_once_and_the_record_says_why():
    model = Rates(["LEFT x1"], SURE)
    made = decide(Adaptive(Vote(asked(model), 5)), history=(step(spent=Spent(7)),))
    assert (made.plan, len(model.prompts)) == (("LEFT", 1), 1)
    assert made.thinking.why == "not: sure, entropy 0.19 of the actions, bound 0.50"
    assert (made.thinking.spent, made.thinking.total) == (Spent(), Spent(7))


def test_an_unsure_model_thinks():
    model = Rates(["LEFT x1", "RIGHT x1", "RIGHT x2"], UNSURE)
    made = decide(Adaptive(Vote(asked(model), 3)))
    assert made.reason == "2 of 3: RIGHT x1; 1 LEFT"
    assert made.thinking.why == "unsure: entropy 1.00 of the actions, bound 0.50"
    assert made.thinking.spent.calls == 2


def test_a_lost_life_makes_it_think_for_some_decisions():
    model = Rates(["LEFT x1"], SURE)
    policy = Adaptive(Vote(asked(model), 3), shaken=4)
    lost = decide(policy, observation(lives=4), (step(), step(lives=4), step(lives=4)))
    assert lost.thinking.why == "a life at risk: one was lost in the last 4 decisions"
    assert lost.thinking.spent.calls == 2
    over = decide(policy, observation(lives=4), (step(), *[step(lives=4)] * 4))
    assert over.thinking.spent.calls == 0


def test_a_thinker_that_sees_danger_is_heeded():
    class Watching(Vote):
        why = "a life at risk: lost in 20 frames"
        glance = 40

        async def danger(self, made, observation, history):
            return self.why, Spent(0, 0, 0.0, 40)

        async def improve(self, made, observation, history, rng):
            more = await sample(self.asked, observation, history, rng, 2)
            return await self.choose((made, *more), observation, history, rng)

    policy = Adaptive(Watching(asked(Rates(["LEFT x1"], UNSURE)), 3))
    made = decide(policy)
    assert made.thinking.why == "a life at risk: lost in 20 frames"
    assert made.thinking.spent == Spent(2, 220, pytest.approx(0.02), 40)
    Watching.why = ""
    made = decide(policy)
    assert (made.thinking.why, made.thinking.spent.frames) == ("not: no danger seen", 40)
    assert made.usage.calls == 1


def test_without_a_prior_two_answers_tell_and_they_are_among_the_votes():
    model = Answers(["LEFT x1", "RIGHT x2", "RIGHT x2"])
    made = decide(Adaptive(Vote(asked(model), 3)))
    assert (made.reason, len(model.prompts)) == ("2 of 3: RIGHT x2; 1 LEFT", 3)
    assert made.thinking.why == "two answers differ: LEFT, RIGHT"
    assert (made.usage.calls, made.thinking.spent.calls) == (3, 2)
    model = Answers(["LEFT x1", "LEFT x4", "RIGHT x2"])
    made = decide(Adaptive(BestOf(asked(model), 5)))
    assert (made.plan, len(model.prompts)) == (("LEFT", 1), 2)
    assert made.thinking.why == "not: two answers agree on LEFT"
    assert (made.usage.calls, made.thinking.spent.calls) == (2, 1)


def test_two_answers_that_differ_are_paid_for_beside_another_kind_of_thinking():
    class Searches:
        def __init__(self, policy):
            self.policy, self.name = policy, "answers+searches"

        def effort(self, inside):
            return Effort(inside.calls, Range(600, 600, 600))

        async def decide(self, observation, history, rng):
            made = await self.policy.decide(observation, history, rng)
            return noted(made, history, "searched", Spent(0, 0, 0.0, 600))

    model = Answers(["LEFT x1", "RIGHT x2", "FIRE x2"])
    policy = Adaptive(Searches(asked(model)))
    made = decide(policy)
    assert (made.action, made.usage.calls) == ("FIRE", 3)
    assert made.thinking.spent == Spent(2, 220, pytest.approx(0.02), 600)
    assert policy.name == "answers+adaptive:searches"
    assert effort_of(policy).calls == Range(2, pytest.approx(7 / 3), 3)
    assert effort_of(policy).frames == Range(0, pytest.approx(200), 600)


def test_results_so_far_move_the_bound():
    rated = {Plan("LEFT", 1): 0.85, Plan("RIGHT", 1): 0.15}  # 0.61

    def why(lessons):
        policy = asked(Rates(["LEFT x1"], rated))
        object.__setattr__(policy, "lessons", lessons)
        return decide(Adaptive(Vote(policy, 3), unsure=0.6)).thinking.why

    assert why(Lessons()) == "unsure: entropy 0.61 of the actions, bound 0.60"
    assert why(Lessons(episodes=3, mean_score=300.0)).endswith("bound 0.90")
    assert why(Lessons(episodes=20, mean_score=1.0)).endswith("bound 0.30")


def test_the_entropy_is_that_of_the_actions():
    assert entropy_share({Plan("LEFT", 1): 1.0}) == 0
    assert entropy_share({Plan("LEFT", 1): 0.5, Plan("LEFT", 4): 0.5}) == 0
    assert entropy_share({Plan(name, 1): 0.25 for name in "ABCD"}) == pytest.approx(1)
    assert entropy_share({Plan("LEFT", 1): 1.0, Plan("RIGHT", 1): 0.0}) == 0


def test_the_estimated_effort_knows_how_often_it_is_asked():
    plain = asked(Answers([]))
    assert effort_of(Vote(plain, 5)).calls == Range(5, 5, 5)
    assert effort_of(Vote(Vote(plain, 3), 5)).calls == Range(15, 15, 15)
    assert effort_of(BestOf(plain, 3)).calls == Range(3, 4, 4)
    assert effort_of(Adaptive(Vote(plain, 5))).calls == Range(2, pytest.approx(3), 5)
    scored = asked(Rates([], SURE))
    assert effort_of(Adaptive(Vote(scored, 4))).calls == Range(1, pytest.approx(2), 4)


def test_the_default_is_one_that_a_first_user_can_afford():
    policy = WRAPPERS["adaptive"](asked(Answers([])), "pong")
    assert policy.name == "answers+adaptive:vote:3"
    assert effort_of(policy).calls.usual < 2.5


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (
            "embedded+adaptive:adaptive",
            InvalidSetting,
            r"\+adaptive is none of them: try",
        ),
        ("embedded+adaptive:blank", InvalidSetting, r"\+blank is none of them"),
        ("embedded+adaptive:nonsense", UnknownName, "for \\+adaptive is called 'nonsense'"),
        ("embedded+adaptive:vote:0", InvalidSetting, "1 to 100, not '0'"),
        ("random+adaptive", InvalidSetting, "random has no model"),
    ],
)
def test_what_cannot_be_adaptive_is_refused_in_a_sentence(name, error, says):
    with pytest.raises(error, match=says):
        VLMTrainer("pong", name)
