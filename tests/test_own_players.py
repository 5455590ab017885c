"""Models and policies of a user's own that return what cannot be: one sentence, nothing stored."""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np
import pytest

from atari_vlm import Decision, Reply, Run, VLMTrainer, play
from atari_vlm.errors import IllegalAction, InvalidSetting, ModelUnusable, UnknownName
from atari_vlm.policies.registry import parse_name
from atari_vlm.types import Usage


class Model:
    prompt_type = "basic"

    def __init__(self, reply, name="mine"):
        self.reply, self.name = reply, name

    async def answer(self, prompt, *, seed):
        return self.reply

    async def close(self):
        pass


class Policy:
    name = "mine"

    def __init__(self, decision):
        self.decision = decision

    async def decide(self, observation, history, rng):
        return self.decision


class Fails(Model):
    async def answer(self, prompt, *, seed):
        raise self.reply


def started(player, folder):
    return play("pong", player, run_folder=folder, max_decisions=1, use_in_context_learning=False)


def up(**usage):
    return Reply(text="ACTION: RIGHT", usage=Usage(calls=1, **usage))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (None, "returned None, which is no Reply"),
        ("ACTION: UP", "which is no Reply"),
        (Reply(text=None), "whose text is None"),
        (Reply(text="", thinking=3), "whose thinking is 3"),
        (Reply(text="x" * 3_000_000), "whose text has 3,000,000 characters"),
        (Reply(text="", usage=None), "whose usage is None"),
        (up(dollars=-3.0), "has -3.0 for dollars"),
        (up(dollars=math.nan), "has nan for dollars"),
        (up(dollars=math.inf), "has inf for dollars"),
        (up(input_tokens=10**30), "for input_tokens"),
        (up(output_tokens="5"), "has 5 for output_tokens"),
        (Reply(text="", token_ids=("a",)), "token_ids are no numbers"),
    ],
)
def test_a_reply_that_cannot_be_is_one_sentence_and_lowers_no_bill(tmp_path, reply, said):
    with pytest.raises(ModelUnusable, match=said):
        started(Model(reply), tmp_path / "r")
    with closing(Run.read(tmp_path / "r")) as run:
        assert run.usage() == Usage()


class PlainPolicy(Policy):
    def decide(self, observation, history, rng):
        return Decision("NOOP", frames=1)


class PlainModel(Model):
    def answer(self, prompt, *, seed):
        return self.reply


@pytest.mark.parametrize("player", [PlainPolicy(None), PlainModel(up())])
def test_a_plain_method_in_place_of_a_coroutine_is_named(tmp_path, player):
    method = "decide" if isinstance(player, Policy) else "answer"
    with pytest.raises(InvalidSetting, match=f"mine must define `async def {method}`, not"):
        started(player, tmp_path)


def test_settings_of_numpy_are_recorded_as_numbers(tmp_path):
    asked = {"seed": np.int64(3), "max_decisions": np.int32(2), "run_folder": tmp_path}
    trainer = VLMTrainer("pong", "random", **asked)
    assert len(trainer.run_episode(np.int64(9)).steps) == 2
    again = VLMTrainer("pong", "random", seed=3, max_decisions=2).with_seed(np.int64(3))
    assert trainer.settings == again.settings
    assert [type(each.seed) for each in (trainer, again)] == [int, int]


def test_numbers_of_numpy_are_counted_as_others(tmp_path):
    done = started(Model(up(input_tokens=np.int64(7), dollars=np.float64(0.5))), tmp_path / "r")
    assert (done.usage.input_tokens, done.usage.dollars) == (7, 0.5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": None}, "whose reason is None"),
        ({"memory": ["x"]}, "whose memory is"),
        ({"source": "guessed"}, "whose source is 'guessed'"),
        ({"waited": -1}, "whose waited is -1"),
        ({"waited": math.nan}, "whose waited is nan"),
        ({"queue": None}, "whose queue is None"),
        ({"queue": (("NOOP", 10**9),)}, "plans NOOP for 1000000000 frames"),
        ({"calls": ("x",)}, "whose calls is"),
        ({"considered": None}, "whose considered is None"),
    ],
)
def test_a_decision_that_could_not_be_read_again_is_not_stored(tmp_path, fields, said):
    with pytest.raises(IllegalAction, match=said):
        started(Policy(Decision("NOOP", frames=1, **fields)), tmp_path / "r")
    with closing(Run.read(tmp_path / "r")) as run:
        assert run.rewards(0) == []


@pytest.mark.parametrize("name", [None, 5, ""])
def test_a_player_needs_a_name(tmp_path, name):
    with pytest.raises(InvalidSetting, match="name of the model must be a text"):
        started(Model(up(), name), tmp_path / "r")


def test_a_group_of_errors_arrives_whole(tmp_path):
    both = ExceptionGroup("two things", [ValueError("a"), OSError("b")])
    with pytest.raises(ExceptionGroup) as found:
        started(Fails(both), tmp_path)
    assert found.value is both


@pytest.mark.parametrize("asked", [{"player": "my+own+vote:3"}, {"think": "vote:3"}])
def test_a_wrapper_behind_any_label_of_ones_own_model_is_applied(tmp_path, asked):
    name, think = asked.get("player", "my+own"), asked.get("think")
    trainer = VLMTrainer(
        "pong", name, think=think, model=Model(up()), run_folder=tmp_path, max_decisions=1
    )
    summary = trainer.train(1)
    assert (summary.model, summary.usage.calls) == ("my+own+vote:3", 3)


def test_a_label_may_have_any_plus_but_no_misspelt_wrapper():
    def named(name):
        return parse_name(name, own="mine")

    for label in ("cohere/command-r+", "gpt-4o+mine", "a+notes", "mine"):
        assert named(label).base == label
        assert named(f"{label}+vote:3+blank").base == label
    for label in ("a+lookahed:150", "a+voet:5", "mine+x"):
        with pytest.raises(UnknownName, match="No wrapper is called"):
            named(label)
