"""What a person does to lessons: `atari-vlm lessons`, and what it means for later episodes."""

from __future__ import annotations

import getpass
import hashlib
import json
import shutil
from contextlib import closing

import pytest
from typer.testing import CliRunner

from atari_vlm import Run, VLMTrainer
from atari_vlm.cli.app import app
from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.reflection.edits import (
    add_lesson,
    allow_lesson,
    edit_lesson,
    forbid_lesson,
)
from atari_vlm.learning.reflection.listing import lessons_of, marks
from atari_vlm.models.scripted import ScriptedModel
from tests.commands import command

WIDE = {"COLUMNS": "200"}
FIRST, SECOND, OWN = "Wait below the ball.", "Serve at once.", "Aim for the corners."


def trainer(folder, shown=None, **more):
    def script(prompt):
        if "Review your gameplay" in prompt.text:
            return json.dumps({"lessons": [FIRST, SECOND]})
        if shown is not None:
            shown.append(prompt.text)
        return "ACTION: NOOP"

    return VLMTrainer(
        "pong",
        "m",
        model=ScriptedModel(script),
        prompt_type="basic",
        max_decisions=1,
        run_folder=folder,
        **{"reflect": True, **more},
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("played")
    trainer(folder).train(2)
    return folder


@pytest.fixture
def folder(played, tmp_path):
    shutil.copytree(played, tmp_path / "run")
    return tmp_path / "run"


def listed(folder):
    with closing(Run.read(folder)) as run:
        return [(each.number, each.words, each.shown, each.state) for each in lessons_of(run)]


def test_edits_hold_for_later_episodes_and_evaluations_and_leave_earlier_ones(folder):
    before = trainer(folder).evaluate(1)
    forbid_lesson(folder, 1)
    edit_lesson(folder, 2, "Serve when the ball is far away.")
    add_lesson(folder, OWN)
    assert listed(folder) == [
        (1, FIRST, 1, "forbidden"),
        (2, "Serve when the ball is far away.", 0, "shown"),  # one had its old words
        (3, OWN, 0, "shown"),
    ]
    shown = []
    after = trainer(folder, shown).evaluate(1)
    assert after.folder != before.folder
    trainer(folder, shown).train(4)  # the model says both again, which changes nothing
    for text in shown:
        assert FIRST not in text
        assert SECOND not in text
        assert OWN in text
        assert "far away" in text
    with closing(Run.read(folder)) as run:
        advice = [each for _, _, each, _ in run.lessons_made()]
        edits = run.lesson_edits()
        said, gone = marks(run, 2)
    assert advice[1] == (FIRST, SECOND)
    assert [(each.kind, each.about, each.after) for each in edits] == [
        ("forbid", 1, 1),
        ("edit", 2, 1),
        ("add", 3, 1),
    ]
    assert all(each.who and each.made for each in edits)
    assert ([said(words) for words in advice[2]], gone) == (["edited", "added"], (FIRST,))
    allow_lesson(folder, 1)
    assert listed(folder)[0] == (1, FIRST, 1, "shown")


def test_what_was_shown_before_a_change_stays_what_it_was_in_the_list(folder):
    edit_lesson(folder, 1, "Walk down.")
    with closing(Run.read(folder)) as run:
        first = lessons_of(run)[0]
    assert (first.source, first.shown, first.shown_before) == ("0", 0, 1)
    said = " ".join(CliRunner().invoke(app, ["lessons", str(folder)], env=WIDE).stdout.split())
    assert "shown, edited (1 episode had the old words)" in said  # as a row, or in lines
    add_lesson(folder, FIRST)  # the old words of lesson 1
    with closing(Run.read(folder)) as run:
        first, second, third = lessons_of(run)
    assert (first.number, first.words, first.source, first.state) == (1, "Walk down.", "0", "shown")
    assert (first.shown, first.shown_before) == (0, 1)
    assert (second.words, second.shown, second.state) == (SECOND, 1, "shown")
    assert (third.words, third.source, third.shown) == (FIRST, getpass.getuser(), 0)
    trainer(folder).train(3)
    assert [shown for _, _, shown, _ in listed(folder)] == [1, 2, 1]


def test_a_lesson_that_a_person_adds_again_is_not_the_one_that_was_dropped(tmp_path):
    one = trainer(tmp_path, max_lessons=2)
    one.train(2)
    for words in (OWN, "Watch the score closely."):
        add_lesson(tmp_path, words)
    assert listed(tmp_path)[0] == (1, FIRST, 1, "dropped")
    forbid_lesson(tmp_path, 3)
    add_lesson(tmp_path, FIRST)
    assert [(number, shown, state) for number, _, shown, state in listed(tmp_path)] == [
        (1, 1, "dropped"),
        (2, 1, "dropped"),
        (3, 0, "forbidden"),
        (4, 0, "shown"),
        (5, 0, "shown"),
    ]


def test_the_lesson_that_makes_room_for_another_is_named(tmp_path):
    trainer(tmp_path, max_lessons=2).train(1)
    run = str(tmp_path)
    said = CliRunner().invoke(app, ["lessons", run, "--add", OWN], env=WIDE).stdout
    assert f"Lesson 1 made room for it and is no longer shown: {FIRST}" in said
    forbid_lesson(tmp_path, 3)
    assert allow_lesson(tmp_path, 1).made_room is None
    assert allow_lesson(tmp_path, 3).made_room.words == SECOND


def test_what_a_person_wrote_stays_and_a_lesson_of_the_model_makes_room(tmp_path):
    one = trainer(tmp_path, max_lessons=2)
    one.train(1)
    add_lesson(tmp_path, OWN)
    assert [state for *_, state in listed(tmp_path)] == ["dropped", "shown", "shown"]
    one.train(2)
    with closing(Run.read(tmp_path)) as run:
        assert OWN in run.lessons_made()[-1][2]
        assert len(run.lessons_made()[-1][2]) == 2
    add_lesson(tmp_path, "Watch the score closely.")
    with pytest.raises(InvalidSetting, match="shows 2 lessons, all of which are a person's"):
        add_lesson(tmp_path, "Look at the ball only.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "8 to 200 characters; this one has 0"),
        ("long " * 100, "8 to 200 characters; this one has 499"),
        ("Stay low.\nGo on.", "one line of plain text"),
        ("Stay \x1b[31mlow now.", "one line of plain text"),
        ("Say planted-key-of-the-test now.", "There is a key in this lesson"),
        ("Press DOWN at the start.", "DOWN is no action of pong. Its actions are: NOOP, FIRE"),
        ("Always serve at once!", "Lesson 2, which is shown, says that already"),
    ],
)
def test_words_that_cannot_be_a_lesson_are_refused(words, message, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key-of-the-test")
    with pytest.raises(InvalidSetting, match=message) as caught:
        add_lesson(folder, words)
    assert "planted" not in str(caught.value)


def test_numbers_runs_and_moments_that_do_not_fit_are_refused(folder, tmp_path):
    with pytest.raises(InvalidSetting, match="no lesson 9: the run has lessons 1 to 2"):
        forbid_lesson(folder, 9)
    forbid_lesson(folder, 1)
    with pytest.raises(InvalidSetting, match="Lesson 1 is forbidden already"):
        forbid_lesson(folder, 1)
    with pytest.raises(InvalidSetting, match=r"Lesson 1 is forbidden. Bring it back first"):
        edit_lesson(folder, 1, OWN)
    with pytest.raises(InvalidSetting, match="which is forbidden, says that already; allow"):
        add_lesson(folder, "Always wait below the ball.")
    with pytest.raises(StoreError, match="holds no run"):
        add_lesson(tmp_path / "none", OWN)
    plain = trainer(tmp_path / "plain", reflect=False).train(1).folder
    with pytest.raises(InvalidSetting, match=r"has no lessons in words.*reflect=True"):
        add_lesson(plain, OWN)
    with pytest.raises(InvalidSetting, match="Change those of the training run"):
        forbid_lesson(trainer(folder).evaluate(1).folder, 1)
    settings = trainer(folder).settings | {"purpose": "train", "first_seed": 0}
    settings["taught_by_episodes"] = None
    with (
        closing(Run.play(folder, settings)),
        pytest.raises(StoreError, match="Another process is playing"),
    ):
        forbid_lesson(folder, 2)


def test_a_lesson_that_changed_no_score_is_listed_as_making_no_difference(tmp_path):
    summary = trainer(tmp_path, prove_lessons=True).train(1)
    assert {proof.reason for proof in summary.proofs} == {
        "No difference: the scores of all 10 pairs were equal"
    }
    listed = " ".join(CliRunner().invoke(app, ["lessons", str(tmp_path)]).stdout.split())
    assert "shown, made no difference" in listed
    assert "proved" not in listed


def test_the_command_lists_and_a_look_changes_nothing(folder):
    def content():
        return hashlib.sha256((folder / "run.sqlite").read_bytes()).hexdigest()

    add_lesson(folder, OWN)
    before = content()
    found = CliRunner().invoke(app, ["lessons", str(folder)])
    assert found.exit_code == 0
    assert FIRST in found.stdout
    said = " ".join(found.stdout.split())
    assert "episode 0" in said
    assert f"added by {getpass.getuser()}" in said
    assert content() == before
    refused = command("lessons", folder, "--forbid", 1, "--allow", 2, cwd=folder)
    assert refused.returncode == 2
    assert "Give one of --forbid and --allow at a time." in refused.stderr
