"""Several decisions planned in one answer, and played without asking again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted.message_conversion import answer_schema
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.action_chunk import queued
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.replies.multi_plan_parser import parse_plans
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import memory_in_note, queue_in_note
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Lessons, Observation, Plan, Step
from tests import hashing_player
from tests.runs.test_resume import record
from tests.servers import Server
from tests.vendor_apis import Answer

ROOT = Path(__file__).resolve().parents[2]
LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")


@pytest.mark.parametrize("plans", [True, False])
@pytest.mark.parametrize("style", ["basic", "cot", "expert"])
def test_an_answer_in_the_format_asked_for_is_read_whole(style, plans):
    strategy = get_strategy(style, PromptSettings(chunk_size=3, plans=plans))
    prompt = strategy(
        Observation(game="breakout", frames=(), legal=LEGAL, interval=4), (), Lessons()
    )
    assert prompt.chunk_size == 3
    assert "plan 3 decisions at a time (0.2 s)" in prompt.text
    asked = prompt.messages[0].parts[-1]
    held = " x2" if plans else ""
    answer = f"ACTIONS: LEFT{held}, NOOP{held}, FIRE{held}"
    if prompt.json:
        frames = {"frames": 2} if plans else {}
        listed = [{"action": name, **frames} for name in ("LEFT", "NOOP", "FIRE")]
        answer = json.dumps({"reasoning": "It falls.", "actions": listed})
    assert ('"actions": [' if prompt.json else "ACTIONS: <name>") in asked
    parsed = parse_plans(answer, LEGAL, 4, prompt.chunk_size)
    assert parsed.plans == tuple((name, 2 if plans else 4) for name in ("LEFT", "NOOP", "FIRE"))


def test_one_plan_a_call_changes_no_prompt():
    observation = Observation(game="pong", frames=(), legal=LEGAL, interval=4)
    one, default = (
        get_strategy("cot", shown)(observation, (), Lessons())
        for shown in (PromptSettings(chunk_size=1), PromptSettings())
    )
    assert one.text == default.text
    with pytest.raises(InvalidSetting, match="decisions_per_call must be at least 1, not 0"):
        PromptSettings(chunk_size=0)


def test_the_schema_lists_one_object_for_each_decision():
    schema = answer_schema(LEGAL, 6, True, 3)
    assert list(schema["properties"]) == schema["required"] == ["reasoning", "actions"]
    actions = schema["properties"]["actions"]
    assert (actions["type"], actions["maxItems"]) == ("array", 3)
    item = actions["items"]
    assert item["required"] == ["action", "frames"]
    assert item["additionalProperties"] is False
    assert item["properties"]["action"]["enum"] == list(LEGAL)
    assert item["properties"]["frames"]["maximum"] == 6
    assert list(answer_schema(LEGAL, 6, False, 3)["properties"]["actions"]["items"]["properties"]) \
        == ["action"]  # fmt: skip


def step(*queue, lives=3):
    seen = Observation(game="breakout", frames=(), legal=LEGAL, interval=4, step=7, lives=lives)
    decision = Decision(action="LEFT", frames=4, source="parsed", queue=queue)
    return Step(observation=seen, decision=decision, reward=0.0)


def now(lives=3, legal=LEGAL):
    return Observation(game="breakout", frames=(), legal=legal, interval=4, step=8, lives=lives)


def test_what_was_planned_is_played_in_order_until_nothing_is_left():
    asked = step(Plan("NOOP", 4), Plan("FIRE", 1))
    first = queued(now(), [asked])
    assert (first.action, first.frames, first.source) == ("NOOP", 4, "parsed")
    assert first.reason == "Plan 2 of 3, made at decision 7."
    assert first.usage.calls == 0
    played = Step(observation=replace(now(), step=8), decision=first, reward=0.0)
    second = queued(now(), [asked, played])
    assert (second.action, second.frames, second.queue) == ("FIRE", 1, ())
    assert second.reason == "Plan 3 of 3, made at decision 7."
    assert queued(now(), [step(*second.queue)]) is None
    assert queued(now(), []) is None


def test_a_lost_life_ends_a_queue_and_words_of_old_runs_are_no_plans():
    asked = step(Plan("NOOP", 4))
    assert queued(now(lives=2), [asked]) is None
    assert queued(now(lives=4), [asked]) is not None
    assert queued(now(legal=("FIRE",)), [asked]) is None
    note = "Planned at decision 7, 2 to 2 of 2: NOOP x4"
    assert queue_in_note("parsed", note) == '[["NOOP", 4]]'
    for other in ("I should stay left.", "Planned at decision 7", note + ", or so"):
        assert queue_in_note("parsed", other) == ""
        assert memory_in_note("parsed", other) == other


def test_a_queue_after_a_lost_life_counts_from_the_answer_after_it():
    asked = step(Plan("NOOP", 4), Plan("FIRE", 1))
    lost = replace(now(lives=2), step=8)
    again = Decision(action="NOOP", frames=4, source="parsed", queue=(Plan("FIRE", 1),))
    history = [asked, Step(observation=lost, decision=again, reward=0.0)]
    assert queued(now(lives=2), history).reason == "Plan 2 of 2, made at decision 8."


def test_a_game_is_played_with_a_call_every_four_decisions_and_one_after_each_lost_life(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTIONS: FIRE x2, LEFT x3, NOOP, RIGHT x1")
    trainer = VLMTrainer(
        "breakout",
        "mine",
        model=model,
        max_decisions=120,
        decisions_per_call=4,
        run_folder=tmp_path / "r",
    )
    summary = trainer.train(1)
    run = Run.read(tmp_path / "r")
    decisions, steps = run.decisions(0), run.trajectory(0).steps
    run.close()
    lives = [step.observation.lives for step in steps]
    place = 0
    for number, decision in enumerate(decisions):
        if number and lives[number] < lives[number - 1]:
            place = 0
        expected = (("FIRE", 2), ("LEFT", 3), ("NOOP", 4), ("RIGHT", 1))[place % 4]
        assert (decision.action, decision.frames) == expected
        assert len(decision.calls) == (place % 4 == 0)
        place += 1
    assert lives[-1] < lives[0]
    assert summary.usage.calls == model.calls < 40
    assert summary.sources == {"parsed": 120}
    assert decisions[0].calls[0].prompt.chunk_size == 4


def test_a_partly_illegal_list_gets_the_repair_turn(tmp_path):
    words = iter(["ACTIONS: FIRE, UP", "ACTIONS: FIRE, NOOP x2"])
    model = ScriptedModel(lambda prompt: next(words))
    trainer = VLMTrainer(
        "breakout", "mine", model=model, max_decisions=2, decisions_per_call=2, save_dir=tmp_path
    )
    summary = trainer.train(1)
    assert summary.sources == {"repaired": 1, "parsed": 1}
    run = Run.read(summary.folder)
    first, second = run.decisions(0)
    run.close()
    assert '"UP" is not a legal action' in first.calls[0].fault
    assert "ACTIONS: <name>" in first.calls[1].prompt.messages[-1].parts[0]
    assert (second.action, second.frames) == ("NOOP", 2)
    run = Run.read(summary.folder)
    shown = replay_of(run).episodes[0].decisions
    run.close()
    assert shown[0].queue == "NOOP x2"
    assert (shown[1].reason, shown[1].calls) == ("Plan 2 of 2, made at decision 0.", ())


def test_a_server_is_asked_for_a_list_and_once_for_three_decisions(tmp_path):
    plan = [{"action": name, "frames": 2} for name in ("FIRE", "LEFT", "NOOP")]
    answer = Answer(text=json.dumps({"reasoning": "Serve.", "actions": plan}))
    with Server(answer) as server:
        trainer = VLMTrainer(
            "breakout",
            "x",
            prompt_type="cot",
            base_url=server.base_url,
            max_decisions=9,
            decisions_per_call=3,
            save_dir=tmp_path,
        )
        summary = trainer.train(1)
    assert len(server.requests) == summary.usage.calls == 3
    schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema == answer_schema(LEGAL, 4, True, 3)
    run = Run.read(summary.folder)
    assert run.plans(0) == [("FIRE", 2), ("LEFT", 2), ("NOOP", 2)] * 3
    run.close()


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests import hashing_player

def watch(episode, step):
    if step.decision.queue and not step.decision.calls and step.observation.step > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

place = Path(sys.argv[1])
hashing_player.play(place / "run", place / "calls", 1, decisions_per_call=4, watch=watch)
"""


def test_kill_9_in_the_middle_of_a_plan_changes_nothing_and_repeats_no_call(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for place in (whole, cut):
        place.mkdir()
    hashing_player.play(whole / "run", whole / "calls", 1, decisions_per_call=4)
    for after in (60,):
        process = subprocess.run(
            [sys.executable, "-c", KILLED, str(cut), str(after)], cwd=ROOT, check=False
        )
        assert process.returncode == -signal.SIGKILL
        run = Run.read(cut / "run")
        assert run.decisions(0)[-1].queue
        run.close()
    hashing_player.play(cut / "run", cut / "calls", 1, decisions_per_call=4)
    assert record(cut / "run") == record(whole / "run")
    assert (cut / "calls").stat().st_size == (whole / "calls").stat().st_size


def test_the_embedded_model_plans_one_decision_a_call(tmp_path):
    with pytest.raises(InvalidSetting, match="cannot follow decisions_per_call"):
        VLMTrainer("pong", "embedded", decisions_per_call=4, save_dir=tmp_path)
    with pytest.raises(
        InvalidSetting, match="decisions_per_call must be a whole number of 1 to 60"
    ):
        VLMTrainer("pong", "random", decisions_per_call=0, save_dir=tmp_path)
