"""Looking ahead: the model's judgement stands unless a search finds something clearly better."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from atari_vlm import Run, play
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import IllegalAction, InvalidSetting
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.baselines import ConstantPolicy
from atari_vlm.policies.search.proposals import moves_of
from atari_vlm.policies.think.adaptive import Adaptive
from atari_vlm.policies.think.budgets import Budgeted, ThinkBudget
from atari_vlm.policies.think.effort import effort_of
from atari_vlm.policies.think.lookahead import Lookahead
from atari_vlm.policies.think.vote import Vote
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.protocols import check_interval
from atari_vlm.types import Decision, Plan, Step

EMULATOR = frozenset({"emulator"})


def says(text, prompt="basic"):
    return VLMPolicy(ScriptedModel(lambda prompt: text), get_strategy(prompt))


def at(game, *, actions=(), **settings):
    """An environment after some decisions, each an action held for 4 frames."""
    env = AtariVLMEnvironment(
        game, resize_shape=None, **{"repeat_action_probability": 0, **settings}
    )
    env.begin(seed=0)
    for action in actions:
        env.advance(env.legal.index(action), 4)
    return env


def decide(policy, env, seed=0, history=()):
    return asyncio.run(policy.decide(env.observe(EMULATOR), history, default_rng(seed)))


@pytest.fixture(scope="module")
def before_a_crossing():
    """Freeway, four decisions before the crossing that UP alone completes."""
    return at("freeway", actions=["UP"] * 39)


def test_points_in_reach_overrule_the_model(before_a_crossing):
    decision = decide(Lookahead(says("ACTION: DOWN"), 1200), before_a_crossing)
    assert (decision.action, decision.source) == ("UP", "searched")
    assert "another plan is better: the model's DOWN x4 (worth 0), UP x4" in decision.reason
    assert decision.thinking.why == "another plan is better"
    assert 0 < decision.thinking.spent.frames <= 1200
    assert [call.reply.text for call in decision.calls] == ["ACTION: DOWN"]
    chosen = next(each for each in decision.considered if each.queue)
    assert chosen.plan == decision.plan
    assert chosen.queue[0].action == "UP"


def test_where_nothing_is_in_reach_the_model_decides():
    env = at("freeway", actions=["UP"] * 3)
    for said, plan in (("ACTION: DOWN x2", ("DOWN", 2)), ("ACTION: NOOP", ("NOOP", 4))):
        decision = decide(Lookahead(says(said), 160), env)
        assert (decision.plan, decision.source) == (plan, "parsed")
        assert decision.thinking.why == "nothing better within reach"


def test_the_plan_of_the_model_is_tried_as_it_is(before_a_crossing):
    observation = before_a_crossing.observe(EMULATOR)
    assert moves_of(observation, Plan("UP", 4)) == [Plan(a, 4) for a in observation.legal]
    decision = decide(Lookahead(says("ACTION: UP x3"), 1200), before_a_crossing)
    assert ("UP", 3) in [each.plan for each in decision.considered]


def test_an_answer_without_an_action_stays_a_fallback(before_a_crossing):
    decision = decide(Lookahead(says("I do not know."), 1200), before_a_crossing)
    assert (decision.action, decision.source) == ("NOOP", "fallback")
    assert decision.thinking.spent.frames == 0


def test_the_votes_inside_are_its_prior_and_stay_in_the_record(before_a_crossing):
    calls = iter(range(100))
    model = ScriptedModel(lambda prompt: "ACTION: DOWN" if next(calls) % 3 else "ACTION: UP")
    policy = Lookahead(Vote(VLMPolicy(model, get_strategy("basic")), 3), 1200)
    decision = decide(policy, before_a_crossing)
    votes, tried = decision.considered[:3], decision.considered[3:]
    assert [vote.action for vote in votes] == ["UP", "DOWN", "DOWN"]
    assert decision.usage.calls == 3
    shares = {each.action: each.reason for each in tried}
    assert "prior 50%" in shares["DOWN"]  # half of two thirds, and a third of the other half
    assert decision.thinking.spent.calls == 2
    assert decision.thinking.spent.frames > 0


def test_it_says_what_it_takes():
    effort = effort_of(Lookahead(Vote(says(""), 3), 600))
    assert (effort.calls, effort.frames) == ((3, 3, 3), (0, 600, 600))


def test_a_glance_comes_with_every_decision_and_no_budget_in_frames_is_passed():
    policy = Adaptive(Lookahead(says("ACTION: DOWN"), 1200))
    assert effort_of(policy).frames == (300, 700, 1500)
    with pytest.raises(InvalidSetting, match="may take 1,500 frames more than a plain one"):
        Budgeted(policy, decision=ThinkBudget(frames=1499))
    Budgeted(policy, decision=ThinkBudget(frames=1500))
    with pytest.raises(InvalidSetting, match=r"3 frames for a glance ahead, .* takes 4"):
        check_interval(Adaptive(Lookahead(says(""), 15)), 4)
    check_interval(Adaptive(Lookahead(says(""), 16)), 4)


@pytest.mark.parametrize("wrap", [Lookahead, lambda odd: Adaptive(Lookahead(odd))])
def test_a_policy_inside_that_decides_nonsense_is_refused_by_name(wrap, before_a_crossing):
    class Odd:
        name = "odd"

        async def decide(self, observation, history, rng):
            return self.made

    odd, seen = Odd(), before_a_crossing.observe(EMULATOR)
    for odd.made in (None, Decision("LEFT", 4), Decision("UP", 900)):
        with pytest.raises(IllegalAction, match=r"^odd (returned None|chose 'LEFT'|holds UP for)"):
            decide(wrap(odd), before_a_crossing)
        for looked in (
            Lookahead(odd).danger(odd.made, seen, ()),
            Lookahead(odd).improve(odd.made, seen, (), default_rng(0)),
        ):
            with pytest.raises(IllegalAction, match=r"^odd "):
                asyncio.run(looked)
    odd.made = Decision("UP", np.int64(4))
    assert type(decide(wrap(odd), before_a_crossing).frames) is int


def test_a_branch_under_way_is_followed_and_told_in_the_record(tmp_path):
    env, history = at("freeway", actions=["UP"] * 37), []
    policy = Lookahead(says("ACTION: DOWN"), 1200)
    for _ in range(3):
        observation = env.observe(EMULATOR)
        made = asyncio.run(policy.decide(observation, history, default_rng(len(history))))
        reward = env.advance(env.legal.index(made.action), made.frames)
        history.append(Step(observation=observation, decision=made, reward=reward))
    assert [step.decision.action for step in history] == ["UP"] * 3
    first, *later = (step.decision.thinking for step in history)
    assert first.why == "another plan is better"
    assert {each.why for each in later} == {"the branch under way is as good as any"}
    spent = [step.decision.thinking.spent.frames for step in history]
    assert [step.decision.thinking.total.frames for step in history] == [
        sum(spent[: k + 1]) for k in range(3)
    ]


def test_a_run_says_that_it_used_the_emulator_and_what_it_tried(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: DOWN")
    summary = play("freeway", model, think="lookahead:40", max_decisions=3, run_folder=tmp_path)
    assert summary.model == "scripted+lookahead:40"
    assert summary.privileges == ("emulator",)
    with closing(Run.read(summary.folder)) as run:
        made = run.decisions(0)
    assert all(each.thinking.why == "nothing better within reach" for each in made)
    assert {each.action for each in made[0].considered} == {"NOOP", "UP", "DOWN"}


def test_glances_that_find_nothing_are_not_said_to_be_longer_thought(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: DOWN")
    told = {"think": "adaptive:lookahead:40", "max_decisions": 3, "run_folder": tmp_path}
    thought = play("freeway", model, **told).thought
    assert (thought.decisions, thought.glances, thought.spent.frames) == (0, 3, 0)
    frames = thought.glanced.frames
    assert thought.line == (
        f"Thinking: no decision thought longer; 3 glances took {frames} simulated frames"
    )


def test_plans_that_were_not_tried_are_counted_and_not_listed():
    policy = Lookahead(says("ACTION: DOWN"), 8)
    made = decide(policy, at("freeway"))
    assert [each.reason for each in made.considered] == ["worth 0, prior 67%, 1 rollout"]
    assert made.reason.endswith("; 2 more were not tried")


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_the_dice_of_the_real_game_change_nothing_about_a_decision(sticky):
    env = at("seaquest", actions=["RIGHT", "FIRE"] * 10, repeat_action_probability=0.25)
    blind = env.observe(EMULATOR)
    assert blind.state.rng is None
    seeing = object.__new__(type(blind))
    for name in blind.__slots__:
        object.__setattr__(seeing, name, getattr(blind, name))
    object.__setattr__(seeing, "state", env.emulator.save())
    policy = Lookahead(says("ACTION: RIGHT"), 240)
    settings = policy.settings
    policy = replace(
        policy, settings=replace(settings, search=replace(settings.search, sticky=sticky))
    )

    def told(observation, seed):
        made = asyncio.run(policy.decide(observation, [], default_rng(seed)))
        return made.plan, made.reason, [(each.plan, each.reason) for each in made.considered]

    for seed in range(3):
        assert told(blind, seed) == told(seeing, seed)


def test_how_sticky_the_game_is_changes_nothing_about_a_decision():
    policy, found = Lookahead(says("ACTION: RIGHT"), 240), []
    for sticky in (0.0, 0.25, 1.0):
        made = decide(policy, at("breakout", repeat_action_probability=sticky))
        found.append((made.plan, made.reason, [each.reason for each in made.considered]))
    assert found[1:] == found[:1] * 2


@pytest.fixture(scope="module")
def last_moment():
    """Breakout, one decision before the last ball is lost, whatever is played."""
    env = at("breakout", frame_skip=8)
    while not env.emulator.terminated:
        before = env.save()
        env.advance(env.legal.index("FIRE"), 8)
    env.restore(before)
    return env


@pytest.mark.parametrize("frames", [8, 42, 240])
@pytest.mark.parametrize("sticky", [0.0, 1.0])
def test_where_every_branch_ends_the_game_the_model_decides(frames, sticky, last_moment):
    policy = Lookahead(says("ACTION: LEFT x3"), frames)
    search = replace(policy.settings.search, sticky=sticky)
    policy = replace(policy, settings=replace(policy.settings, search=search))
    made = decide(policy, last_moment)
    assert (made.plan, made.source) == (("LEFT", 3), "parsed")
    assert made.thinking.why == "nothing better within reach"
    assert {each.reason.partition(",")[0] for each in made.considered} == {"worth -10"}
    assert made.thinking.spent.frames <= frames


@pytest.mark.parametrize("frames", [4, 5, 42, 243])
def test_the_budget_is_never_exceeded(frames, before_a_crossing):
    decision = decide(Lookahead(says("ACTION: DOWN x1"), frames), before_a_crossing)
    assert 4 <= decision.thinking.spent.frames <= frames


def test_adaptive_thinks_only_where_a_glance_finds_a_better_plan():
    policy = Adaptive(Lookahead(says("ACTION: DOWN"), 1200))
    made = decide(policy, at("freeway", actions=["UP"] * 41))
    assert made.thinking.why == "a glance ahead found a better plan"
    assert (made.action, made.source, made.usage.calls) == ("UP", "searched", 1)
    assert 300 < made.thinking.spent.frames <= 1500
    plain = decide(policy, at("freeway", actions=["UP"] * 3))
    assert (plain.action, plain.thinking.why) == ("DOWN", "not: no danger seen")
    assert 0 < plain.thinking.spent.frames <= 300


@pytest.mark.parametrize(
    ("think", "words"),
    [
        ("lookahead:0", "at least those of one decision and at most 1000000000, not '0'"),
        ("lookahead:6000000000", "at most 1000000000, not '6000000000'"),
        ("lookahead:many", "not 'many'"),
        ("lookahead:600:blind", "guided by prior or uniform, not 'blind'"),
        ("lookahead:3", "3 frames are too few to look ahead: one decision takes 4"),
    ],
)
def test_what_cannot_look_ahead_is_refused_before_the_model_is_asked(think, words, tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: NOOP")
    with pytest.raises(InvalidSetting, match=words):
        play("pong", model, think=think, max_decisions=3, run_folder=tmp_path)
    assert model.calls == 0


def test_a_policy_without_a_model_may_look_ahead_too(before_a_crossing):
    decision = decide(Lookahead(ConstantPolicy("DOWN"), 1200), before_a_crossing)
    assert decision.action == "UP"
