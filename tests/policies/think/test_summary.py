"""A running summary: asked for every few decisions, carried on, counted, and never lost."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm import VLMTrainer
from atari_vlm.errors import InvalidSetting, Lost, ModelFault, ModelUnusable
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.think.effort import effort_of
from atari_vlm.runs.run import Run

REFUSED = ModelFault("refusal", "No.", Lost(0, 0, 0.0))


def playing(folder, asked, error=REFUSED, **more):
    """A player that notes how often it was asked for a summary; the third has no answer."""

    def script(prompt):
        if "Sum up this game" not in prompt.text:
            return "ACTION: FIRE x2"
        asked.append(prompt.text)
        if len(asked) == 3:
            raise error
        return f"Note {len(asked)}: the ball is fast."

    model = ScriptedModel(script, name="mine")
    settings = {"max_decisions": 18, "prompt_type": "basic", "run_folder": folder}
    return VLMTrainer("breakout", "mine+summary:5", model=model, **{**settings, **more})


def test_a_note_that_alone_is_rejected_is_one_without_an_answer(tmp_path):
    rejected = ModelUnusable("The prompt is too long.", "request")
    made = decisions_of(playing(tmp_path, [], rejected).train(1))
    assert "The prompt is too long." in made[15].considered[0].reason
    assert made[15].memory == made[14].memory


def decisions_of(summary):
    with closing(Run.read(summary.folder)) as run:
        return run.decisions(0)


def test_a_note_that_was_paid_for_outlives_the_budget_for_notes(tmp_path):
    asked = []
    made = decisions_of(playing(tmp_path, asked, think_budget="1 calls").train(1))
    assert len(asked) == 1
    assert [d.memory for d in made] == [""] * 5 + ["Note 1: the ball is fast."] * 13
    assert "Your note to yourself: Note 1" in made[-1].calls[0].prompt.text


def test_a_summary_stands_in_the_prompts_after_it_until_the_next_one(tmp_path):
    asked = []
    summary = playing(tmp_path, asked).train(1)
    made = decisions_of(summary)
    notes = ["", "Note 1: the ball is fast.", "Note 2: the ball is fast."]
    assert [d.memory for d in made] == [notes[0]] * 5 + [notes[1]] * 5 + [notes[2]] * 8
    assert "note to yourself" not in made[5].calls[0].prompt.text
    assert f"Your note to yourself: {notes[1]}" in made[6].calls[0].prompt.text
    assert "Your last summary: Note 1" in asked[1]
    assert "What you have done since (points earned): FIRE x2 (+0)" in asked[0]
    assert "refusal: No." in made[15].considered[0].reason  # a fault keeps the old one


def test_it_is_counted_and_left_out_of_what_the_model_answered(tmp_path):
    summary = playing(tmp_path, []).train(1)
    made = decisions_of(summary)
    assert summary.usage.calls == 18 + 3
    assert (summary.thought.decisions, summary.thought.notes) == (0, 3)
    assert summary.thought.line.startswith("Thinking: no decision thought longer; 3 notes: 3 more")
    assert summary.thought.line.endswith("; 1 of 3 notes had no answer")
    assert made[15].thinking.why == "not: no answer came for a summary of the episode"
    assert [d.thinking.spent.calls for d in made[4:7]] == [0, 1, 0]
    assert made[-1].thinking.total.calls == 3
    assert made[5].reply == "ACTION: FIRE x2"
    assert [call.reply.text for call in made[5].considered[0].calls] == [made[5].memory]
    policy = playing(tmp_path, []).player.policy
    assert effort_of(policy).calls.usual == 1.2


@pytest.mark.filterwarnings("ignore:.*answers were alike")
@pytest.mark.parametrize(
    ("wrappers", "calls", "notes", "silent"),
    [
        ("summary:5+vote:3", 24 * 3 + 4 * 3, 12, 1),
        ("summary:5+best-of:3", 24 * 3 + 4 * 3, 12, 1),
        ("summary:5+adaptive:vote:3", 24 * 2 + 4 * 2, 8, 1),
        ("summary:5+lookahead:60", 24 + 4, 4, 1),
        ("summary:5+vote:3+lookahead:60", 24 * 3 + 4 * 3, 12, 1),
        ("vote:3+summary:5", 24 * 3 + 4, 4, 1),
    ],
)
def test_notes_are_counted_apart_inside_and_outside_of_other_wrappers(
    tmp_path, wrappers, calls, notes, silent
):
    asked = []
    trainer = playing(tmp_path, asked, max_decisions=24)
    name = f"mine+{wrappers}"
    summary = replace(trainer, vlm_type=name).train(1)
    assert (summary.usage.calls, len(asked)) == (calls, notes)
    assert (summary.thought.notes, summary.thought.unanswered) == (notes, silent)
    assert f"; {notes} notes" in summary.thought.line
    assert f"1 of {notes} notes had no answer" in summary.thought.line


def test_a_budget_is_said_to_be_used_up_only_where_a_note_was_due(tmp_path):
    asked = []
    summary = playing(tmp_path, asked, think_budget="2 calls", max_decisions=24).train(1)
    assert (len(asked), summary.thought.notes, summary.thought.stopped) == (2, 2, 2)
    made = decisions_of(summary)
    assert [at for at, d in enumerate(made) if d.thinking.why.startswith("not: the budget")] == [
        15,
        20,
    ]


def test_after_a_stop_it_goes_on_as_it_would_have_and_asks_nothing_twice(tmp_path):
    def stop(episode, step):
        if step.observation.step == 5:
            raise KeyboardInterrupt

    whole = playing(tmp_path / "whole", []).train(1)
    asked = []
    with pytest.raises(KeyboardInterrupt):
        playing(tmp_path / "run", asked, watch=stop).train(1)
    again = playing(tmp_path / "run", asked).train(1)
    assert len(asked) == 3
    told = [[(d.plan, d.memory) for d in decisions_of(each)] for each in (whole, again)]
    assert told[0] == told[1]
    assert again.usage.calls == whole.usage.calls


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine+summary:0", r"\+summary takes a whole number of decisions, 2 to 100, not '0'"),
        ("embedded+summary", "embedded reads no note to itself"),
        ("random+summary", "random has no model"),
    ],
)
def test_a_summary_that_cannot_be_is_refused(name, message):
    own = {} if not name.startswith("mine") else {"model": ScriptedModel(str, name="mine")}
    with pytest.raises(InvalidSetting, match=message):
        VLMTrainer("pong", name, **own)
