"""The loop and the plain policy, on the real emulator with a model that reads its lines."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import IllegalAction, ModelFault, ModelUnusable, RunInvalid
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.baselines import ConstantPolicy, RandomPolicy
from atari_vlm.policies.history import PICTURES
from atari_vlm.policies.registry import POLICIES, SEARCHES, get_policy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import STRATEGIES, PromptSettings, get_strategy
from atari_vlm.rollout import steps
from atari_vlm.types import Limits, Usage


class Notebook:
    """A log that remembers in which order it was told things."""

    def __init__(self):
        self.told = []

    def decided(self, observation, decision, latency):
        self.told.append(("decided", observation.step))

    def rewarded(self, step):
        self.told.append(("rewarded", step.observation.step))


def play(policy, game="breakout", log=None, seed=0, **limits):
    async def gather():
        env = AtariVLMEnvironment(game, resize_shape=None)
        limit = Limits(**{"decisions": 10, **limits})
        return [s async for s in steps(env, policy, log or Notebook(), seed=seed, limits=limit)]

    return asyncio.run(gather())


def policy(script, prompt="basic", **settings):
    return VLMPolicy(ScriptedModel(script), get_strategy(prompt, PromptSettings(**settings)))


def first_decision(script, model=None):
    """The first step of an episode that a later answer keeps from being invalid."""

    def at_first(prompt):
        return "FIRE" if "Recent actions" in prompt.text else script(prompt)

    model = model or ScriptedModel(at_first)
    return play(VLMPolicy(model, get_strategy("basic")), decisions=2)[0]


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "embedded"])
def test_every_prompt_plays_an_episode(name):
    played = play(policy(lambda prompt: '{"reasoning": "x", "action": "FIRE", "frames": 2}', name))
    assert len(played) == 10
    assert {(s.decision.action, s.decision.frames, s.decision.source) for s in played} == {
        ("FIRE", 2, "parsed")
    }
    assert played[-1].truncated
    assert not played[-1].terminated


def test_a_decision_is_committed_before_its_reward_is_asked_for():
    log = Notebook()
    play(RandomPolicy(), log=log, decisions=3)
    assert log.told == [(what, k) for k in range(3) for what in ("decided", "rewarded")]


def test_an_illegal_answer_gets_one_repair_turn_that_names_the_fault():
    asked = []

    def script(prompt):
        asked.append(prompt)
        return "ACTION: UP" if len(prompt.messages) < 4 else "ACTION: RIGHT"

    first, *_ = play(policy(script), decisions=1)
    assert first.decision.source == "repaired"
    assert first.decision.action == "RIGHT"
    assert "UP" in first.decision.reason
    question, repair = asked
    assert repair.messages[: len(question.messages)] == question.messages
    assert repair.messages[-2].parts == ("ACTION: UP",)
    assert "UP" in repair.messages[-1].parts[0]
    assert first.decision.usage.calls == 2


def test_two_answers_that_name_nothing_are_a_counted_fallback_with_its_reason():
    first = first_decision(lambda prompt: "LEFT or RIGHT?")
    assert (first.decision.action, first.decision.source) == ("NOOP", "fallback")
    assert first.decision.reason
    assert len(first.decision.calls) == 2


def test_a_refusal_is_not_argued_with():
    class Refusing(ScriptedModel):
        async def answer(self, prompt, *, seed):
            reply = await super().answer(prompt, seed=seed)
            refused = type(reply)(text="", finish="content_filter")
            return refused if self.calls == 1 else reply

    first = first_decision(None, Refusing(lambda prompt: "FIRE"))
    assert first.decision.source == "fallback"
    assert "refused" in first.decision.reason
    assert len(first.decision.calls) == 1


def test_a_refusal_in_words_has_the_reason_of_a_refusal_and_plays_nothing():
    first = first_decision(lambda prompt: "I'm sorry, but I can't help with that. FIRE is harmful.")
    assert (first.decision.action, first.decision.source) == ("NOOP", "fallback")
    assert first.decision.reason.startswith("The model refused to answer.")
    assert {call.fault for call in first.decision.calls} == {first.decision.reason}


def test_a_call_that_failed_for_good_is_a_fallback_and_says_how():
    def script(prompt):
        raise ModelFault("timeout", "no answer in 60 s")

    first = first_decision(script)
    assert first.decision.source == "fallback"
    assert first.decision.reason == "timeout: no answer in 60 s"
    assert first.decision.calls[0].fault


def test_twenty_fallbacks_in_a_row_are_no_score():
    model = ScriptedModel(lambda prompt: "no idea")
    with pytest.raises(RunInvalid, match="20 times in a row"):
        play(VLMPolicy(model, get_strategy("basic")), decisions=100)
    assert model.calls == 40


def test_an_episode_of_fallbacks_alone_is_no_score_however_short():
    with pytest.raises(RunInvalid, match="3 times in a row"):
        play(policy(lambda prompt: "no idea"), decisions=3)


def test_nineteen_fallbacks_and_one_answer_are_a_score():
    count = iter(range(1000))

    def script(prompt):
        return "LEFT" if next(count) % 39 == 38 else "no idea"

    played = play(policy(script), decisions=60)
    assert sum(s.decision.source == "fallback" for s in played) > 50


def test_a_dead_model_stops_the_run():
    def script(prompt):
        raise ModelUnusable("wrong key")

    with pytest.raises(ModelUnusable, match="wrong key"):
        play(policy(script))


def test_without_plans_an_action_is_held_for_the_interval():
    played = play(policy(lambda prompt: "2", plans=False))
    assert {(s.decision.action, s.decision.frames) for s in played} == {("RIGHT", 4)}


def test_old_steps_give_back_their_pictures():
    seen = []

    class Watching(RandomPolicy):
        async def decide(self, observation, history, rng):
            seen.append([len(step.observation.frames) for step in history])
            return await super().decide(observation, history, rng)

    play(Watching(), game="pong", decisions=PICTURES + 20)
    assert seen[-1][:19] == [0] * 19
    assert seen[-1][19:] == [4] * PICTURES


def test_the_prompts_of_old_steps_are_given_back_too():
    seen = []

    def script(prompt):
        return "FIRE"

    class Watching(VLMPolicy):
        async def decide(self, observation, history, rng):
            seen.append([len(step.decision.calls) for step in history])
            return await super().decide(observation, history, rng)

    play(
        Watching(ScriptedModel(script), get_strategy("basic")), game="pong", decisions=PICTURES + 9
    )
    assert seen[-1] == [0] * 8 + [1] * PICTURES


def test_a_policy_does_not_draw_the_dice_of_the_emulator():
    drawn = []

    class Drawing(RandomPolicy):
        async def decide(self, observation, history, rng):
            drawn.append(rng.random(4).tolist())
            return await super().decide(observation, history, rng)

    play(Drawing(), seed=7, decisions=1)
    assert drawn[0] != np.random.Generator(np.random.PCG64(7)).random(4).tolist()


def test_randomness_comes_from_seed_and_step_alone():
    one, two, other = (
        [s.decision.action for s in play(RandomPolicy(), seed=seed)] for seed in (1, 1, 2)
    )
    assert one == two != other


def test_a_whole_game_ends_terminated_and_its_score_is_the_sum_of_rewards():
    played = play(RandomPolicy(), decisions=None)
    assert played[-1].terminated
    assert played[-1].observation.score + played[-1].reward == sum(s.reward for s in played)


@pytest.mark.parametrize("name", POLICIES)
def test_every_baseline_plays(name):
    played = play(get_policy(name, "pong"), game="pong", decisions=3)
    searches = name in SEARCHES
    assert {s.decision.source for s in played} == {"searched" if searches else "scripted"}


def test_only_privileged_players_see_the_memory():
    class Looking(RandomPolicy):
        async def decide(self, observation, history, rng):
            assert observation.ram is None
            assert observation.state is None
            return await super().decide(observation, history, rng)

    play(Looking())
    seen = []

    class Privileged(RandomPolicy):
        privileges = frozenset({"ram", "emulator"})

        async def decide(self, observation, history, rng):
            seen.append((observation.ram, observation.state))
            return await super().decide(observation, history, rng)

    play(Privileged(), decisions=2)
    assert all(ram.shape == (128,) and state.rng is None for ram, state in seen)


def test_a_constant_player_of_another_game_is_refused_with_the_choices():
    with pytest.raises(IllegalAction, match=r"'DOWN'.*NOOP, FIRE, RIGHT, LEFT"):
        play(ConstantPolicy("DOWN"))


def test_an_unknown_price_makes_the_sum_unknown():
    known, unknown = Usage(1, 10, 0, 5, 0.5), Usage(1, 10, 0, 5, None)
    assert (known + known).dollars == 1.0
    assert (known + unknown).dollars is None
    assert (known + unknown).input_tokens == 20


def test_frames_of_the_window_are_shared_and_read_only():
    played = play(RandomPolicy(), decisions=6)
    first, second = played[4].observation.frames, played[5].observation.frames
    assert first[1:] == second[:-1]
    assert not first[0].pixels.flags.writeable
    assert [frame.step for frame in second] == [2, 3, 4, 5]
    assert np.array_equal(
        played[0].observation.frames[0].pixels, played[0].observation.frames[3].pixels
    )
