"""Lessons of one run brought into another: shown from the first episode on, listed, and refused."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from atari_vlm.advice.estimate import estimate_of
from atari_vlm.costs.prompt_tokens import text_tokens
from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.reflection.edits import add_lesson, forbid_lesson
from atari_vlm.learning.reflection.listing import lessons_of
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options, resolve
from atari_vlm.report.run_page import replay_of
from atari_vlm.report.settings_text import settings_line
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Lessons

UP, CARS = "Walk up without a pause.", "Wait for the cars to pass."


def player(folder, said, *words, game="freeway", **chosen):
    """A player that keeps what it is asked in `said`, and learns `words` if it reflects."""

    def script(prompt):
        said.append(prompt.text)
        review = "Review your gameplay" in prompt.text
        return json.dumps({"lessons": words}) if review else "ACTION: NOOP"

    model = ScriptedModel(script, name="mine")
    settings = {"prompt_type": "basic", "max_decisions": 1, "run_folder": folder, **chosen}
    return VLMTrainer(game, "mine", model=model, **settings)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    player(folder, [], UP, reflect=True).train(1)
    return folder


def test_the_low_end_of_an_estimate_has_the_lessons_that_are_shown_at_once(teacher):
    def low(episodes, **learning):
        options = Options(max_decisions=10, prompt_type="basic", **learning)
        model = ScriptedModel(str, name="gpt-4o")
        player = resolve("freeway", "gpt-4o", options, model=model)
        return estimate_of(player, episodes).low.input_tokens

    without = low(1, use_in_context_learning=True)
    given = low(1, lessons_from=teacher) - without
    assert given >= 10 * text_tokens(UP)
    assert low(2, lessons_from=teacher) == pytest.approx(2 * (without + given), abs=2)
    # A review may drop them, so that only the first episode surely shows them.
    reflecting = low(2, lessons_from=teacher, reflect=True) - low(2, reflect=True)
    assert reflecting == pytest.approx(given, abs=2)


def test_lessons_of_another_run_are_shown_from_the_first_episode_on(teacher, tmp_path):
    said = []
    trainer = player(tmp_path, said, lessons_from=teacher)
    summary = trainer.train(1)
    assert UP in said[0]
    assert trainer.settings["learner"] == "lessons"
    assert "lessons 1 lesson of mine (" in settings_line(summary)
    assert trainer.evaluate(1).taught_by == 1
    assert UP in said[1]
    with closing(Run.read(tmp_path)) as run:
        (lesson,) = lessons_of(run)
    assert (lesson.words, lesson.source, lesson.state) == (UP, "another run", "shown")
    add_lesson(tmp_path, CARS)
    forbid_lesson(tmp_path, 1)
    trainer.train(2)
    assert CARS in said[-1]
    assert UP not in said[-1]
    evaluated = player(tmp_path / "untrained", said, lessons_from=teacher).evaluate(1)
    assert UP in said[-1]
    assert evaluated.scores == (0.0,)


@pytest.mark.parametrize("first", ["before learning", "taught"])
def test_a_training_stopped_in_its_first_episode_leaves_both_evaluations_true(
    teacher, tmp_path, first
):
    said = []

    def stop(episode, step):
        raise KeyboardInterrupt

    stopped = player(tmp_path, said, lessons_from=teacher, watch=stop, max_decisions=2)
    trainer = player(tmp_path, said, lessons_from=teacher, max_decisions=2)
    if first == "before learning":
        trainer.evaluate_after(0, 1)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(1)
    said.clear()
    taught = trainer.evaluate(1)
    assert taught.taught_by is None
    assert all(UP in words for words in said)
    assert len(said) == 2
    said.clear()
    plain = trainer.evaluate_after(0, 1)
    assert plain.folder != taught.folder
    assert len(said) == (0 if first == "before learning" else 2)
    assert not any(UP in words for words in said)
    with closing(Run.read(plain.folder)) as run:
        assert run.lessons_made() == []
    points = trainer.train(1, evaluate_every=1, num_evaluations=1).curve.learning.points
    assert [point.lessons for point in points] == [0, 1]
    assert points[0].folder == plain.folder
    with closing(Run.read(taught.folder)) as one, closing(Run.read(plain.folder)) as other:
        shown = replay_of(one, evaluations=[one, other])
    assert shown.episodes[1].phase == "Evaluation, taught by another run"
    names = [episode.name for episode in shown.episodes]
    assert names[1:] == ["taught by another run, 0", "before training, 0"]


def test_what_is_shown_before_a_training_is_shuffled_on_request(teacher, tmp_path):
    said = []
    trainer = player(tmp_path, said, lessons_from=teacher)
    trainer.evaluate(1)
    shuffled = trainer.evaluate_after(1, 1, shuffled=True)
    assert [UP in words for words in said] == [True, False]
    assert shuffled.settings["lessons"] == "shuffled"


def test_a_run_without_lessons_that_shows_some_is_refused(teacher, tmp_path):
    trainer = player(tmp_path, [], lessons_from=teacher)
    shown = trainer.evaluate(1).folder
    with closing(Run.read(shown)) as run:
        value = dict(run.settings, taught_by_episodes=0)
    with closing(Run.play(tmp_path / "evaluate-after-0", value)) as run:
        run.store_lessons(0, "lessons", Lessons(advice=(UP,)), ())
    with pytest.raises(StoreError, match="was played with lessons by an earlier version"):
        trainer.evaluate_after(0, 1)


def test_reflection_goes_on_from_them(teacher, tmp_path):
    said = []
    player(tmp_path, said, CARS, reflect=True, lessons_from=teacher).train(2)
    first, _, second = said[:3]
    assert UP in first
    assert CARS not in first
    assert UP in second
    assert CARS in second
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["lessons_from"].startswith("1 lesson of mine (")
        assert [lesson.source for lesson in lessons_of(run)] == ["another run", "0"]


def test_lessons_that_cannot_be_shown_are_refused_in_one_sentence(teacher, tmp_path):
    refused = {
        "are about freeway, and not about pong; give a run of pong": (teacher, "pong"),
        "holds none: there is no run.sqlite in it": (tmp_path, "freeway"),
    }
    for sentence, (folder, game) in refused.items():
        with pytest.raises(InvalidSetting, match=sentence):
            player(tmp_path / "run", [], game=game, lessons_from=folder)
    plain = player(tmp_path / "plain", [])
    assert "lessons_from" not in plain.settings
    plain.train(1)
    with pytest.raises(InvalidSetting, match="has no lessons in words for this player"):
        player(tmp_path / "run", [], lessons_from=tmp_path / "plain")
    with pytest.raises(InvalidSetting, match=r"leave out lessons_from, or"):
        VLMTrainer("freeway", "embedded", lessons_from=teacher)


def test_lessons_are_shown_whole_and_all_and_what_is_left_out_is_said(tmp_path):
    long = "Look at each of the ten lanes, " * 8 + "and do not press UP."
    many = ["Stop before trucks.", "Count the gaps first.", "Yellow ones are slow."]
    many += ["Never turn around.", "Hurry on the last lane.", "Begin when it is green."]
    source = tmp_path / "source"
    wide = {"lesson_length": 400, "max_lessons": 20, "full_action_space": True}
    player(source, [], long, UP, "Press LEFT at once, and wait.", reflect=True, **wide).train(1)
    for words in many:
        add_lesson(source, words)
    said = []
    with pytest.warns(UserWarning, match="1 left out, since LEFT is no action here"):
        player(tmp_path / "shown", said, lessons_from=source).train(1)
    assert all(words in said[0] for words in (long, UP, *many))
    with pytest.warns(UserWarning, match="first 4 left out.*1 cut|first 5 left out"):
        player(tmp_path / "few", said, lessons_from=source, reflect=True, max_lessons=3).train(1)


def test_shuffled_lessons_of_a_control_are_refused(tmp_path):
    trained = player(tmp_path / "run", [], UP, reflect=True)
    trained.train(1, evaluate_every=1, shuffled=True)
    (control,) = tmp_path.rglob("*-shuffled")
    with pytest.raises(InvalidSetting, match="shown shuffled lessons, as a control"):
        player(tmp_path / "other", [], lessons_from=control)
