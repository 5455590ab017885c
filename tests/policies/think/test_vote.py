"""Votes: who wins, what is recorded, and what is never asked twice."""

from __future__ import annotations

import math
from contextlib import closing

import pytest

from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import BudgetExceeded, InvalidSetting, UnknownName
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options, resolve
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.think.confidence import stated_confidence, with_confidence
from atari_vlm.policies.think.vote import Vote, weighted_median
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Lessons, Spent, Step
from tests.policies.think.models import Answers, BySeed, asked, decide, observation


def voted(texts, weigh="likelihood", prompt="basic", **settings):
    model = Answers(texts)
    made = decide(Vote(asked(model, prompt, **settings), len(texts), weigh))
    return made, model


def test_most_votes_win_the_action_and_their_median_the_frames():
    made, model = voted(["LEFT x1", "RIGHT x4", "LEFT x4", "FIRE x2", "LEFT x3"])
    assert made.plan == ("LEFT", 3)
    assert made.reason == "3 of 5: LEFT x3; 1 RIGHT, 1 FIRE"
    assert made.source == "parsed"
    assert [each.plan for each in made.considered][1] == ("RIGHT", 4)
    assert (made.calls, made.usage.calls, made.usage.dollars) == ((), 5, pytest.approx(0.05))
    assert len({*model.seeds}) == 5


def test_what_thinking_took_is_what_four_of_five_answers_cost():
    made, _ = voted(["LEFT x1"] * 5)
    assert made.thinking.why == "a vote of 5"
    assert made.thinking.spent == Spent(4, 440, pytest.approx(0.04), 0) == made.thinking.total
    step = Step(observation=observation(), decision=made, reward=0.0)
    later = decide(Vote(asked(Answers(["LEFT x1"])), 3), history=(step,))
    assert later.thinking.total == Spent(6, 660, pytest.approx(0.06), 0)


def test_votes_among_votes_count_against_the_plain_policy():
    made = decide(Vote(Vote(asked(Answers(["LEFT x1"])), 3), 2))
    assert (made.usage.calls, made.thinking.spent.calls) == (6, 5)


def test_a_tie_goes_to_the_first_and_one_vote_is_the_plain_answer():
    assert voted(["RIGHT x2", "LEFT x2", "LEFT x1", "RIGHT x1"])[0].action == "RIGHT"
    made, _ = voted(["LEFT x2"])
    assert (made.plan, made.reason) == (("LEFT", 2), "1 of 1: LEFT x2")
    assert made.thinking.spent == Spent()


def test_fallbacks_do_not_vote_unless_there_is_nothing_else():
    hmm = "I cannot see anything."
    model = Answers([hmm, hmm, "LEFT x2", hmm, hmm, hmm, hmm])  # asked, then each repaired
    made = decide(Vote(asked(model), 3))
    assert (made.plan, made.source) == (("LEFT", 2), "parsed")
    assert made.reason == "1 of 3: LEFT x2; 2 without an action"
    none = decide(Vote(asked(Answers([hmm])), 3))
    assert (none.action, none.source, none.usage.calls) == ("NOOP", "fallback", 6)
    assert none.reason.startswith("None of 3 answers names an action. The model refused")


def test_votes_are_weighed_by_what_the_model_says_of_its_confidence_if_it_is_asked():
    sure = ["ACTION: LEFT x2\nConfidence: 20%"] * 2 + ["ACTION: RIGHT x4\nConfidence: 90%"]
    made, model = voted(sure, "confidence")
    assert made.plan == ("RIGHT", 4)
    assert made.reason == "1 of 3 (69% by weight): RIGHT x4; 2 LEFT"
    assert "Confidence: <0 to 100>%" in model.prompts[0].text
    plain, model = voted(sure)
    assert plain.action == "LEFT"
    assert "onfidence" not in model.prompts[0].text
    silent, _ = voted(["ACTION: LEFT x2"] * 2 + ["ACTION: RIGHT x4\nConfidence: 90%"], "confidence")
    assert silent.action == "LEFT"  # those that do not say count as the others do on average


def test_a_run_says_that_no_answer_said_how_sure_it_is(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: LEFT x2", name="mute")
    player = {"model": model, "max_decisions": 2, "run_folder": tmp_path}
    summary = VLMTrainer("pong", "mute+vote:3:confidence", **player).train(1)
    assert summary.thought.unsaid == 2
    assert "in 2 votes no answer said how sure it is, so all counted the same" in (
        summary.thought.line
    )


def test_one_vote_is_said_to_be_the_plain_model():
    with pytest.warns(UserWarning, match=r"\+vote:1 asks once, so it plays as without it"):
        resolve("pong", "embedded+vote:1", Options())


def test_one_vote_by_confidence_is_said_to_change_the_prompt_and_counts_nothing(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: LEFT x2", name="mute")
    player = {"model": model, "max_decisions": 2, "run_folder": tmp_path}
    with pytest.warns(UserWarning, match="asks once, and also how sure the model is"):
        summary = VLMTrainer("pong", "mute+vote:1:confidence", **player).train(1)
    assert summary.thought.unsaid == 0


@pytest.mark.parametrize("prompt", ["basic", "cot"])
@pytest.mark.parametrize("plans", [True, False])
def test_a_repair_still_asks_for_the_confidence(prompt, plans):
    model = Answers(["Hmm.", '{"reasoning": "Confidence: 40%", "action": "LEFT"}'])
    decide(Vote(asked(model, prompt, plans=plans), 1, "confidence"))
    assert [p.text.count("Confidence: <0 to 100>%") for p in model.prompts] == [1, 2]
    plain = asked(model, prompt, plans=plans).strategy(observation(), (), Lessons())
    assert with_confidence(plain).messages[1] == plain.messages[1]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("ACTION: LEFT x3\nConfidence: 80%", 0.8),
        ('{"reasoning": "It falls.", "confidence": 0.35, "action": "LEFT"}', 0.35),
        ('{"confidence": "70%"}', 0.7),
        ("**Confidence**: 100 percent", 1.0),
        ("Confidence: 10%. No: confidence 95 %", 0.95),
        ("confidence: 1", 1.0),
        ("Confidence: 0%", 0.0),
        ("Confidence: 300%", None),
        ("LEFT with confidence", None),
        ("I am 80% sure.", None),
    ],
)
def test_confidence_is_read_in_any_usual_form(text, share):
    assert stated_confidence(text) == share


def test_votes_are_weighed_by_the_probability_of_their_words_where_the_model_gives_it():
    logs = [("LEFT x2", (math.log(0.2),) * 3)] * 2 + [("RIGHT x4", (math.log(0.9),))]
    made, _ = voted(logs)
    assert made.reason == "1 of 3 (69% by weight): RIGHT x4; 2 LEFT"
    assert voted(logs, "equal")[0].reason == "2 of 3: LEFT x2; 1 RIGHT"
    assert voted([*logs[:2], "RIGHT x4"])[0].action == "LEFT"  # one is not known: all count alike


def test_scored_votes_are_weighed_by_the_probabilities():
    class Rates:
        async def score(self, prompt):
            return {("LEFT", 1): 0.6, ("RIGHT", 2): 0.3, ("NOOP", 4): 0.1}

    policy = ScoredPolicy(Rates(), get_strategy("basic"), Lessons(), "rates", 1.0)
    made = decide(Vote(policy, 9), seed=3)
    drawn = [each.plan for each in made.considered]
    assert len({*drawn}) == 3
    weight = sum(0.6 for plan in drawn if plan == ("LEFT", 1))
    whole = sum({"LEFT": 0.6, "RIGHT": 0.3, "NOOP": 0.1}[action] for action, _ in drawn)
    assert f"({weight / whole:.0%} by weight)" in made.reason


def test_the_median_is_weighted():
    assert weighted_median([(1, 1.0), (2, 1.0), (4, 1.0)]) == 2
    assert weighted_median([(1, 0.1), (2, 0.1), (4, 0.9)]) == 4
    assert weighted_median([(3, 1.0)]) == 3


def test_later_plans_are_those_of_a_winner_and_nothing_is_asked_while_they_are_played():
    texts = ["ACTIONS: LEFT x1, FIRE x1", "ACTIONS: LEFT x3, RIGHT x2", "ACTIONS: LEFT x4, NOOP x4"]
    made, _ = voted(texts, chunk_size=2)
    assert (made.plan, made.queue) == (("LEFT", 3), (("RIGHT", 2),))
    model = Answers([])
    step = Step(observation=observation(), decision=made, reward=0.0)
    seen = observation(step=1)
    played = decide(Vote(asked(model, chunk_size=2), 3), seen, (step,))
    assert (played.plan, played.usage.calls, model.prompts) == (("RIGHT", 2), 0, [])
    assert played.thinking.spent == Spent()
    assert played.thinking.total == made.thinking.total


def test_the_same_seed_draws_every_vote_alike():
    model = BySeed(lambda prompt, seed: f"{('LEFT', 'RIGHT', 'FIRE')[seed % 3]} x{1 + seed % 4}")
    one, same, other = (decide(Vote(asked(model), 7), seed=seed) for seed in (4, 4, 5))
    assert [d.plan for d in one.considered] == [d.plan for d in same.considered]
    assert [d.plan for d in one.considered] != [d.plan for d in other.considered]


def test_an_error_of_one_vote_waits_for_the_answers_of_the_others():
    class Broke(Answers):
        async def answer(self, prompt, *, seed):
            if not self.prompts:
                self.prompts.append(prompt)
                raise BudgetExceeded("No money is left.")
            return await super().answer(prompt, seed=seed)

    model = Broke(["LEFT x1"])
    with pytest.raises(BudgetExceeded, match="No money"):
        decide(Vote(asked(model), 5))
    assert len(model.seeds) == 4


def test_a_policy_of_ones_own_that_returns_no_decision_is_refused_by_name():
    class Odd:
        name = "odd"

        async def decide(self, observation, history, rng):
            return "LEFT"

    with pytest.raises(Exception, match="odd returned 'LEFT', which is no Decision"):
        decide(Vote(Odd(), 2))


def test_votes_that_are_always_alike_are_said_to_only_cost():
    model = Answers(["LEFT x1"])
    trainer = VLMTrainer("pong", "answers+vote:3", model=model, max_decisions=12)
    with pytest.warns(UserWarning, match="all 3 answers were alike, so votes only cost"):
        trainer.run_episode()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("embedded+vote:0", "whole number of votes, 1 to 100, not '0'"),
        ("embedded+vote:x", "whole number of votes, 1 to 100, not 'x'"),
        ("embedded+vote:1000000", "1 to 100, not '1000000'"),
        ("embedded+vote:5:loud", "weighed by one of likelihood, confidence, equal, not 'loud'"),
        ("embedded+vote:5:confidence", "cannot be asked how sure it is"),
        ("embedded+vote:5:equal:1", "does not take 3 arguments"),
        ("random+vote:5", "random has no model that"),
        ("uct+vote:5", "uct has no model that"),
        ("expert+vote", "expert has no model that"),
        ("always-LEFT+vote", "always LEFT has no model that"),
    ],
)
def test_what_cannot_vote_is_refused_in_a_sentence(name, says):
    with pytest.raises(InvalidSetting, match=says):
        VLMTrainer("pong", name)


def test_think_appends_the_wrapper_to_the_name_and_the_run_is_the_same():
    named = VLMTrainer("pong", "embedded+vote:3", max_decisions=3)
    option = VLMTrainer("pong", "embedded", think="vote:3", max_decisions=3)
    assert option.settings == named.settings
    assert option.folder("train", 0) == named.folder("train", 0)
    assert option.player.name == "embedded+vote:3"
    with pytest.raises(InvalidSetting, match=r"has \+vote:3 already; leave think out"):
        VLMTrainer("pong", "embedded+vote:3", think="vote:3")
    with pytest.raises(
        UnknownName, match=r"wrapper for think is called 'vot'. Did you mean 'vote'"
    ):
        VLMTrainer("pong", "embedded", think="vot:3")
    with pytest.raises(InvalidSetting, match="random has no model"):
        VLMTrainer("pong", "random", think="vote:3")


def test_a_vote_by_name_is_recorded_with_its_candidates_and_continues(tmp_path):
    trainer = VLMTrainer("pong", "embedded", think="vote:3", run_folder=tmp_path / "run")
    short = VLMTrainer("pong", "embedded+vote:3", run_folder=tmp_path / "run", max_decisions=6)
    short.train(1)
    with closing(Run.read(tmp_path / "run")) as run:
        decisions: list[Decision] = list(run.decisions(0))
    assert all(len(each.considered) == 3 for each in decisions)
    assert decisions[-1].thinking.total.calls == 12
    assert trainer.player.name == short.player.name


def test_a_bench_names_the_players_that_think_and_leaves_baselines_plain():
    settings = BenchSettings(games=("pong",), players=("random", "embedded"), think="vote:3")
    assert (settings.players, settings.think) == (("random", "embedded+vote:3"), None)
    with pytest.raises(InvalidSetting, match="These players cannot follow think"):
        BenchSettings(games=("pong",), players=("random",), think="vote:3")
