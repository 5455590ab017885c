"""A player that does the same, or sees the same, again and again: counted, shown, and told so."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm import VLMTrainer
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.runs.run import Run
from atari_vlm.types import Decision, Lessons, Observation, Step


def played(folder, script=lambda prompt: "ACTION: NOOP", game="breakout", **more):
    settings = {"max_decisions": 14, "run_folder": folder, "prompt_type": "basic", **more}
    trainer = VLMTrainer(game, "mine", model=ScriptedModel(script), **settings)
    summary = trainer.train(1)
    with closing(Run.read(summary.folder)) as run:
        return summary, run.stuck(0), run.decisions(0)


def test_waiting_for_fire_is_counted_from_the_eighth_decision_on(tmp_path):
    summary, stuck, decisions = played(tmp_path)
    assert stuck[:8] == [""] * 8
    assert stuck[8:10] == ["action x8, screen x8", "action x9, screen x9"]
    assert summary.stuck == 6
    assert not any("try something else" in d.calls[0].prompt.text for d in decisions)


def test_with_a_nudge_the_prompt_says_so_and_the_game_goes_on(tmp_path):
    def script(prompt):
        return "ACTION: FIRE" if "screen has not changed" in prompt.text else "ACTION: NOOP"

    summary, stuck, decisions = played(tmp_path, script, nudge=True, stuck_after=4)
    assert [d.action for d in decisions[:6]] == ["NOOP"] * 4 + ["FIRE", "NOOP"]
    said = "You have played NOOP 4 times in a row and the screen has not changed; try something"
    assert said in decisions[4].calls[0].prompt.text
    assert stuck[4] == "action x4, screen x4"
    assert stuck[5] == ""
    assert summary.settings["nudge"] is True


def test_holding_an_action_that_moves_the_screen_is_counted_and_not_blamed():
    def asked(**repeated):
        seen = Observation(game="freeway", frames=(), legal=("NOOP", "UP"), interval=4, **repeated)
        step = Step(observation=seen, decision=Decision("UP", 4), reward=0.0)
        told = get_strategy("basic", PromptSettings(nudge=8))(seen, [step], Lessons())
        return told.text.splitlines()[-2]

    assert asked(repeats=9, still=2) == (
        "You have played UP 9 times in a row; if that earns nothing, try something else."
    )
    assert asked(repeats=1, still=8) == (
        "The screen has not changed for 8 decisions; try something else."
    )
    assert asked(repeats=7, still=7).startswith("Recent actions")


def test_a_run_that_was_stopped_counts_as_one_that_was_not(tmp_path):
    def stop(episode, step):
        if step.observation.step == 9:
            raise KeyboardInterrupt

    _, whole, _ = played(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        played(tmp_path / "stopped", watch=stop)
    summary, stuck, _ = played(tmp_path / "stopped")
    assert stuck == whole
    assert summary.stuck == 6


def test_the_embedded_model_cannot_be_nudged():
    with pytest.raises(InvalidSetting, match="reads a fixed prompt, so it cannot follow nudge"):
        VLMTrainer("pong", "embedded", nudge=True)


def test_without_a_nudge_a_run_is_recorded_as_before():
    def settings(**more):
        return VLMTrainer("pong", "mine", model=ScriptedModel(str), **more).settings

    assert {"nudge", "stuck_after"} & {*settings()} == set()
    assert settings(nudge=True, stuck_after=5) == {**settings(), "nudge": True, "stuck_after": 5}


def test_the_record_of_a_prompt_brings_its_nudge_back():
    chosen = PromptSettings(nudge=5)
    recorded = {**chosen.record, "stuck_after": 5}
    assert PromptSettings.recorded({**recorded, "prompt_version": 2}) == replace(chosen)
