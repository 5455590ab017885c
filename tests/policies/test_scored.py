"""Decisions by probability: no words, one pass, and a record that says how likely what was."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelFault
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Lessons, Observation
from tests.commands import play

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def seen(screens):
    return Observation(
        game="pong", frames=tuple(screens[:2]), legal=LEGAL, interval=4, step=screens[1].step
    )


def decide(policy, screens, seed=0):
    return asyncio.run(policy.decide(seen(screens), (), np.random.default_rng(seed)))


def policy_of(model, temperature=0.0):
    return ScoredPolicy(model, get_strategy("embedded"), Lessons(), "embedded", temperature)


def test_without_a_temperature_the_likeliest_answer_is_played(screens):
    model = EmbeddedModel()
    policy = policy_of(model)
    for start in (0, 40, 90):
        decision = decide(policy, screens[start:])
        rated = asyncio.run(model.score(decision.calls[0].prompt))
        likeliest = max(rated, key=lambda plan: rated[plan])
        assert (decision.action, decision.frames) == likeliest
        assert decision.source == "scored"
        assert decision.reason.startswith(f"{rated[likeliest]:.0%} of {len(rated)} answers")
        shown = [(other.action, other.frames) for other in decision.considered]
        assert shown == sorted(rated, key=lambda plan: -rated[plan])[: len(shown)]
        assert decision.considered[0].reason == f"{rated[likeliest]:.1%}"
        assert (decision.reply, decision.usage.calls) == ("", 1)


def test_with_a_temperature_answers_are_drawn_by_their_probability(screens):
    class Rates:
        async def score(self, prompt):
            return {("LEFT", 1): 0.6, ("RIGHT", 2): 0.3, ("NOOP", 4): 0.1, ("UP", 4): 0.0}

    def shares(temperature):
        policy = policy_of(Rates(), temperature)
        drawn = [decide(policy, screens, seed).action for seed in range(1500)]
        assert drawn == [decide(policy, screens, seed).action for seed in range(1500)]
        return [drawn.count(action) / 1500 for action in ("LEFT", "RIGHT", "NOOP", "UP")]

    assert shares(1.0) == pytest.approx([0.6, 0.3, 0.1, 0], abs=0.04)
    assert shares(0.5) == pytest.approx([36 / 46, 9 / 46, 1 / 46, 0], abs=0.04)
    with pytest.raises(InvalidSetting, match="temperature is 0 to 2"):
        policy_of(Rates(), 3.0)


def test_a_call_that_fails_is_a_fallback_and_says_why(screens):
    class Breaks:
        async def score(self, prompt):
            raise ModelFault("out of memory", "It ran out of memory.")

    decision = decide(policy_of(Breaks()), screens)
    assert (decision.action, decision.source) == ("NOOP", "fallback")
    assert "out of memory: It ran out" in decision.reason
    assert decision.calls[0].fault == decision.reason


def test_a_game_by_probability_is_recorded_resumed_and_told_apart(tmp_path):
    def trainer(**more):
        return VLMTrainer("pong", max_decisions=8, save_dir=tmp_path, **more)

    scored, worded = trainer(decide="score"), trainer()
    assert scored.settings["decide"] == "score"
    assert "decide" not in worded.settings
    assert scored.folder("train", 0) != worded.folder("train", 0)
    summary = scored.train(1)
    assert summary.sources == {"scored": 8}
    assert summary.usage.calls == 8
    again = trainer(decide="score").train(2)
    assert (again.played, len(again.scores)) == (8, 2)
    run = Run.read(summary.folder)
    try:
        kept = run.trajectory(0).steps[3].decision
    finally:
        run.close()
    assert kept.source == "scored"
    assert kept.reason.count("%") > 3
    warm = trainer(decide="score", temperature=1.0)
    assert warm.train(1).sources == {"scored": 8}


def test_what_cannot_be_rated_is_refused_before_anything_is_played(tmp_path):
    model = ScriptedModel(lambda prompt: "NOOP")
    with pytest.raises(InvalidSetting, match="gives words and no probabilities"):
        VLMTrainer("pong", "mine", decide="score", model=model, prompt_type="basic")
    with pytest.raises(InvalidSetting, match="leave max_tokens out"):
        VLMTrainer("pong", decide="score", max_tokens=5, model=EmbeddedModel())
    with pytest.raises(InvalidSetting, match="decide is words or score, not 'vote'"):
        VLMTrainer("pong", decide="vote")
    with pytest.raises(InvalidSetting, match="'random' cannot follow decide"):
        VLMTrainer("pong", "random", decide="score")


def test_the_command_line_decides_by_probability_and_draws_the_page(tmp_path):
    done = play("--decide", "score", "--max-decisions", 6, "--run", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Decisions: 6 (6 scored)" in done.stdout
    assert "scored" in (tmp_path / "r" / "replay.html").read_text(encoding="utf-8")
    refused = play("--quantize", "4bit", cwd=tmp_path)
    assert refused.returncode == 2
    assert "embedded takes no --quantize: it is for models in this process" in refused.stderr
