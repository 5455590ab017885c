"""A run goes on with the examples and lessons it was begun with, whatever became of their run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.reflection.edits import add_lesson
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer

UP, CARS = "Walk up without a pause.", "Wait for the cars to pass."


def player(folder, said=None, **chosen):
    """A player that keeps its prompts in `said`, and learns `UP` if it reflects."""

    def script(prompt):
        if said is not None:
            said.append(prompt.text)
        review = "Review your gameplay" in prompt.text
        return json.dumps({"lessons": [UP]}) if review else "ACTION: UP"

    model = ScriptedModel(script, name="mine")
    settings = {"prompt_type": "basic", "max_decisions": 1, "run_folder": folder, **chosen}
    return VLMTrainer("freeway", "mine", model=model, **settings)


def expert(folder, episodes):
    VLMTrainer("freeway", "expert", max_decisions=90, run_folder=folder).train(episodes)


def examples(folder, episode):
    with closing(Run.read(folder)) as run:
        shown = run.lessons(episode, pictures(run)).examples
    return [(each.text, [frame.pixels.tobytes() for frame in each.frames]) for each in shown]


@pytest.fixture
def lessons(tmp_path):
    player(tmp_path / "source", reflect=True).train(1)
    return tmp_path / "source"


@pytest.fixture
def moments(tmp_path):
    expert(tmp_path / "source", 1)
    return tmp_path / "source"


@pytest.mark.parametrize("became", ["has changed", "was moved or deleted"])
@pytest.mark.parametrize("reflect", [False, True])
def test_lessons_of_another_run_stay_as_they_were_when_the_run_was_begun(
    lessons, tmp_path, became, reflect
):
    begun = player(tmp_path / "run", lessons_from=lessons, reflect=reflect)
    begun.train(1)
    add_lesson(lessons, CARS)
    if became != "has changed":
        shutil.rmtree(lessons)
    said = []
    with pytest.warns(UserWarning, match=f"source {became} since .*run was begun. .* goes on with"):
        goes_on = player(tmp_path / "run", said, lessons_from=lessons, reflect=reflect)
    assert goes_on.settings == begun.settings
    goes_on.train(2)
    goes_on.evaluate(1)
    assert all(UP in words and CARS not in words for words in said)
    assert len(said) == (3 if reflect else 2)


@pytest.mark.parametrize("own", [False, True])
def test_examples_of_a_run_that_was_played_on_are_those_of_its_episodes_of_then(
    moments, tmp_path, own
):
    chosen = {"examples_from": moments, "use_in_context_learning": own, "max_decisions": 60}
    undisturbed = player(tmp_path / "other", **chosen)
    undisturbed.train(2)
    twin = undisturbed.evaluate(1).folder
    player(tmp_path / "run", **chosen).train(1)
    expert(moments, 2)
    with pytest.warns(UserWarning, match="has changed since"):
        goes_on = player(tmp_path / "run", **chosen)
    goes_on.train(2)
    assert examples(tmp_path / "run", 1) == examples(tmp_path / "other", 1)
    assert examples(goes_on.evaluate(1).folder, 0) == examples(twin, 0)


def test_examples_of_a_run_that_is_gone_are_those_that_were_recorded(moments, tmp_path):
    player(tmp_path / "run", examples_from=moments).train(1)
    shutil.rmtree(moments)
    said = []
    with pytest.warns(UserWarning, match="was moved or deleted since"):
        goes_on = player(tmp_path / "run", said, examples_from=moments)
    goes_on.train(2)
    evaluated = goes_on.evaluate(1).folder
    assert all("from a game of another player" in words for words in said)
    assert len(said) == 2
    assert len(examples(tmp_path / "run", 0)) == 1
    assert examples(tmp_path / "run", 1) == examples(tmp_path / "run", 0) == examples(evaluated, 0)


@pytest.mark.parametrize("asked", [True, False])
def test_a_choice_among_moments_that_are_gone_is_refused_and_what_would_work_is_said(
    moments, tmp_path, asked
):
    both = {"examples_from": moments, "use_in_context_learning": True}
    player(tmp_path / "run", **both).train(1)
    shutil.rmtree(moments)
    both["use_in_context_learning"] = asked
    with pytest.raises(InvalidSetting, match=r"was moved or deleted since.* Put that run back"):
        player(tmp_path / "run", **both)


def test_another_run_is_no_changed_one(lessons, tmp_path):
    player(tmp_path / "run", lessons_from=lessons).train(1)
    other = tmp_path / "another"
    shutil.copytree(lessons, other)
    add_lesson(other, CARS)
    with pytest.raises(StoreError, match="lessons_from names has changed since, or is another run"):
        player(tmp_path / "run", lessons_from=other).train(2)
    with pytest.raises(InvalidSetting, match="holds none"):
        player(tmp_path / "run", lessons_from=tmp_path / "mistyped")


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_that_does_not_say_where_its_source_was_goes_on_only_if_that_is_gone(
    lessons, tmp_path, gone
):
    player(tmp_path / "run", lessons_from=lessons).train(1)
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite")) as db:
        db.execute("DELETE FROM settings WHERE name = 'source_runs'")
        db.commit()
    if gone:
        shutil.rmtree(lessons)
        with pytest.warns(UserWarning, match="was moved or deleted since"):
            player(tmp_path / "run", lessons_from=lessons).train(2)
        return
    add_lesson(lessons, CARS)
    with pytest.raises(StoreError, match="name another folder for a new run with it"):
        player(tmp_path / "run", lessons_from=lessons).train(2)


def test_an_evaluation_before_learning_showed_nothing_of_it_and_goes_on(lessons, tmp_path):
    one = player(tmp_path / "run", lessons_from=lessons)
    one.evaluate_after(0, 1)
    add_lesson(lessons, CARS)
    said = []
    other = player(tmp_path / "run", said, lessons_from=lessons)
    assert len(other.evaluate_after(0, 2).scores) == 2
    assert CARS not in said[0]
    other.train(1)
    assert CARS in said[1]


def test_it_is_found_from_wherever_both_folders_are_named(lessons, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    player("run", lessons_from="source").train(1)
    add_lesson("source", CARS)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with pytest.warns(UserWarning, match="goes on with what it was begun with, 1 lesson of mine"):
        player("../run", lessons_from="../source").train(2)


def test_what_is_left_out_of_lessons_is_said_without_control_characters(tmp_path):
    player(tmp_path / "source", reflect=True, full_action_space=True).train(1)
    add_lesson(tmp_path / "source", "Press LEFT at once, and wait.")
    with pytest.warns(UserWarning, match="^lessons_from: of the lessons of") as said:
        player(tmp_path / "run", lessons_from=tmp_path / "source")
    assert all(str(each.message).isprintable() for each in said)
