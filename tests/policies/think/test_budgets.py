"""Budgets of thinking: refused if too small, enforced before it begins, said when used up."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm.advice.estimate import estimate_run
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.players import Options
from atari_vlm.policies.ablations import ablate
from atari_vlm.policies.think.budgets import Budgeted, ThinkBudget
from atari_vlm.policies.think.effort import noted
from atari_vlm.policies.think.lookahead import Lookahead
from atari_vlm.policies.think.vote import Vote
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Spent, Step, Usage
from tests.policies.think.models import Answers, asked, decide, observation


def after(spent, usage_of=None):
    made = noted(usage_of or Decision("LEFT", 4), (), "", spent)
    return (Step(observation=observation(), decision=made, reward=0.0),)


def test_an_episode_thinks_until_its_budget_has_no_room_and_says_so():
    model = Answers(["LEFT x1"])
    policy = Budgeted(Vote(asked(model), 3), episode=ThinkBudget(calls=5))
    assert decide(policy, history=after(Spent(3))).thinking.total.calls == 5
    model.prompts.clear()
    made = decide(policy, history=after(Spent(4)))
    assert len(model.prompts) == 1
    assert made.thinking.why == "not: the budget of the episode, 5 calls, has no room for one more"
    assert (made.thinking.spent, made.thinking.total) == (Spent(), Spent(4))
    assert made.reason == ""


def test_tokens_and_dollars_are_foreseen_from_the_decisions_before():
    first = decide(asked(Answers(["LEFT x1"])))  # 110 tokens, one cent
    for budget in (ThinkBudget(tokens=219), ThinkBudget(dollars=0.019)):
        model = Answers(["LEFT x1"])
        policy = Budgeted(Vote(asked(model), 3), decision=budget)
        made = decide(policy, history=after(Spent(), first))
        assert len(model.prompts) == 1
        assert made.thinking.why.startswith("not: the budget of a decision, ")
    for budget in (ThinkBudget(tokens=220), ThinkBudget(dollars=0.02)):
        model = Answers(["LEFT x1"])
        policy = Budgeted(Vote(asked(model), 3), decision=budget)
        assert decide(policy, history=after(Spent(), first)).thinking.spent.calls == 2


def test_plain_is_without_the_thinking_and_with_all_other_wrappers():
    model = Answers(["LEFT x1"])
    blind = ablate(Vote(asked(model), 3), "breakout", "blank")
    policy = Budgeted(blind, episode=ThinkBudget(calls=2))
    made = decide(policy, history=after(Spent(2)))
    assert len(model.prompts) == 1
    assert made.calls[0].prompt.frames[0].episode < 0  # a wrong screen


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("200 calls", ThinkBudget(calls=200)),
        ("1 call", ThinkBudget(calls=1)),
        ("90_000frames,50 calls", ThinkBudget(calls=50, frames=90_000)),
        ("$0.10", ThinkBudget(dollars=0.1)),
        ("0.10 dollars, 5000 Tokens", ThinkBudget(tokens=5000, dollars=0.1)),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, budget):
    assert ThinkBudget.read(text, "think_budget") == budget
    assert ThinkBudget.read(str(budget), "think_budget") == budget


@pytest.mark.parametrize("text", ["200", "many calls", "2.5 calls", "1 call, 2 calls", "-3 calls"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(InvalidSetting, match=r"think_budget takes (amounts such as|whole calls)"):
        ThinkBudget.read(text, "think_budget")


@pytest.mark.parametrize(
    "amounts", [{"dollars": float("nan")}, {"calls": "x"}, {"tokens": 2.5}, {"frames": -1}]
)
def test_amounts_that_are_none_are_refused_in_python_too(amounts):
    with pytest.raises(InvalidSetting, match=rf"\b{next(iter(amounts))} must be"):
        ThinkBudget(**amounts)


def test_dollars_of_a_model_without_a_price_are_refused_before_play_and_in_an_estimate():
    budget = {"think": "vote:9", "think_budget": "0.0000001 dollars"}
    says = r"price of m is not known, so .* Limit thinking in tokens or calls"
    with pytest.raises(InvalidSetting, match=says) as played:
        VLMTrainer("freeway", "m", base_url="http://127.0.0.1:9/v1", **budget)
    options = Options(**budget, base_url="http://127.0.0.1:9/v1", max_decisions=5)
    with pytest.raises(InvalidSetting) as estimated:
        estimate_run("freeway", "m", options=options)
    assert str(estimated.value) == str(played.value)


@pytest.mark.parametrize(
    ("budget", "usage", "unit"),
    [
        (ThinkBudget(tokens=5000), Usage(calls=1), "tokens"),
        (ThinkBudget(tokens=5000), Usage(calls=2, input_tokens=9, uncounted=1), "tokens"),
        (ThinkBudget(dollars=1.0), Usage(calls=1, input_tokens=9, dollars=None), "dollars"),
    ],
)
def test_a_budget_of_what_the_model_does_not_report_stops_thinking_and_says_so(budget, usage, unit):
    class Silent(Answers):
        async def answer(self, prompt, *, seed):
            return replace(await super().answer(prompt, seed=seed), usage=usage)

    history = after(Spent(), decide(asked(Silent(["LEFT x1"]))))
    for name in ("episode", "decision"):
        model = Answers(["LEFT x1"])
        made = decide(Budgeted(Vote(asked(model), 3), **{name: budget}), history=history)
        assert len(model.prompts) == 1
        assert made.thinking.why == (
            f"not: the budget in {unit} cannot be kept, because the model does not report them"
        )


@pytest.mark.parametrize(
    ("player", "options", "says"),
    [
        (
            "answers+vote:5",
            {"think_budget": "3 calls"},
            r"think_budget of 3 calls is too small for one decision of answers\+vote:5, which may "
            "take 4 calls more",
        ),
        ("answers+vote:5", {"think_budget_decision": "3 calls"}, "think_budget_decision of 3"),
        (
            "answers+vote:5",
            {"think_budget": "900 frames"},
            r"answers\+vote:5 takes calls and tokens and dollars to think, so think_budget of 900 "
            "frames limits nothing",
        ),
        (
            "answers+lookahead:600",
            {"think_budget_decision": "9 calls, 1 dollars"},
            r"answers\+lookahead:600 takes frames to think, so think_budget_decision of 9 calls, "
            "1 dollars limits nothing; leave it out, or give it in frames",
        ),
        ("answers", {"think": "blank"}, r"\+blank does not think longer, .*vote, best-of, look"),
        ("answers", {"think_budget": "9 calls"}, "does not think longer, so think_budget limits"),
    ],
)
def test_a_budget_that_is_too_small_or_limits_nothing_is_refused(player, options, says):
    with pytest.raises(InvalidSetting, match=says):
        VLMTrainer("pong", player, model=Answers([]), **options)


class Own:
    """A policy whose calls are not known before."""

    name = "own"

    async def decide(self, observation, history, rng):
        return Decision("LEFT", 4)


def test_a_budget_in_several_units_is_fine_if_one_limits_and_so_is_one_of_unknown_calls():
    both = ThinkBudget(calls=9, frames=900)
    for policy in (Lookahead(Own(), 600), Vote(Own(), 3), Vote(asked(Answers([])), 3)):
        assert Budgeted(policy, both).name == policy.name
    with pytest.raises(InvalidSetting, match=r"lookahead:600 takes frames to think"):
        Budgeted(Lookahead(Own(), 600), ThinkBudget(calls=9))


def test_money_that_is_too_little_for_one_decision_is_refused_before_play():
    options = Options(think="vote:5", think_budget_decision="100 tokens", max_decisions=5)
    with pytest.raises(InvalidSetting, match="think_budget_decision of 100 tokens is too small"):
        estimate_run("pong", "gpt-6-luna", options=options)


@pytest.mark.parametrize("name", ["think_budget", "think_budget_decision"])
@pytest.mark.parametrize("amount", ["0 tokens", "0 dollars", "0 calls", "9 calls, 0 tokens"])
def test_a_budget_of_nothing_is_refused_for_any_model(name, amount):
    with pytest.raises(InvalidSetting, match=rf"{name} of (0 tokens|\$0\.0000|0 calls)"):
        VLMTrainer("pong", "answers+vote:3", model=Answers([]), **{name: amount})
    for budgets in ({"episode": ThinkBudget(calls=0)}, {"decision": ThinkBudget(calls=0)}):
        with pytest.raises(InvalidSetting, match="has no room for one decision of own"):
            Budgeted(Vote(Own(), 3), **budgets)


def test_tokens_that_are_too_few_for_the_embedded_model_are_refused_before_play(tmp_path):
    def trainer(tokens):
        budget = {"think_budget": f"{tokens} tokens", "max_decisions": 2}
        return VLMTrainer("pong", "embedded+vote:3", run_folder=tmp_path, **budget)

    least = EmbeddedModel().least_tokens("pong")
    with pytest.raises(InvalidSetting, match="think_budget of 10 tokens is too small for one deci"):
        trainer(10)
    with pytest.raises(InvalidSetting, match=f"which may take {2 * least} tokens more"):
        trainer(2 * least - 1)
    trainer(2 * least).train(1)
    with closing(Run.read(tmp_path)) as run:
        (call,) = run.decisions(0)[0].calls
    assert least <= call.reply.usage.input_tokens + call.reply.usage.output_tokens < 2 * least


@pytest.mark.parametrize("budget", [ThinkBudget(tokens=10), ThinkBudget(dollars=0.001)])
def test_no_thinking_begins_before_a_first_answer_has_shown_what_one_takes(budget):
    model = Answers(["LEFT x1"])
    policy = Budgeted(Vote(asked(model), 3), budget)
    first = decide(policy)
    assert len(model.prompts) == 1
    assert first.thinking.spent == Spent()
    assert first.thinking.why.startswith("not: a first answer has to show what one takes")
    second = decide(policy, history=after(Spent(), first))
    assert (len(model.prompts), second.thinking.spent) == (2, Spent())
    assert "has no room" in second.thinking.why


def test_what_a_call_takes_is_remembered_while_a_long_plan_is_played():
    planned = replace(decide(asked(Answers(["LEFT x1"]))), calls=())
    (asking,) = after(Spent(), decide(asked(Answers(["LEFT x1"]))))
    history = (asking, *(after(Spent(), planned) * 20))
    model = Answers(["LEFT x1"])
    decide(Budgeted(Vote(asked(model), 3), ThinkBudget(tokens=219)), history=history)
    assert len(model.prompts) == 1


def test_a_plan_of_an_earlier_answer_needs_no_budget(tmp_path):
    model = Answers(["ACTIONS: UP x2, UP x2, UP x2"])
    options = {"think_budget": "2 calls", "decisions_per_call": 3, "max_decisions": 9}
    trainer = VLMTrainer("freeway", "answers+vote:3", model=model, run_folder=tmp_path, **options)
    thought = trainer.train(1).thought
    assert (thought.decisions, thought.stopped) == (1, 2)
    assert len(model.prompts) == 3 + 1 + 1


def test_the_record_has_the_budget_and_where_it_was_used_up(tmp_path):
    def trainer(**options):
        return VLMTrainer(
            "pong", "embedded+vote:3", run_folder=tmp_path / "run", max_decisions=6, **options
        )

    limited = trainer(think_budget="7 calls")
    assert limited.settings["think_budget"] == "7 calls"
    assert "think_budget" not in trainer().settings
    limited.train(1)
    with closing(Run.read(tmp_path / "run")) as run:
        thinking = [each.thinking for each in run.decisions(0)]
    assert [each.spent.calls for each in thinking] == [2, 2, 2, 0, 0, 0]
    assert thinking[-1].total.calls == 6
    assert "has no room" in thinking[-1].why
    with pytest.raises(Exception, match="think_budget '7 calls', not None"):
        trainer().train(1)


@pytest.mark.parametrize("text", ["1234567 tokens", "0.0000001 dollars", "20 calls, 0.5 dollars"])
def test_a_budget_is_recorded_with_all_its_digits(text):
    assert str(ThinkBudget.read(text, "think_budget")) == text
