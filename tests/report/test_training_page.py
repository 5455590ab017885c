"""The page of a training run and its evaluations, opened in a real browser."""

from __future__ import annotations

import numpy as np
import pytest

from atari_vlm.atari import images
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import evaluations_of, replay_of, write_replay
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer

pytest_plugins = ["tests.pages"]


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A training and an evaluation run; the model goes up until it is shown an example of that."""

    def script(prompt):
        return "ACTION: NOOP" if "this earned +" in prompt.text else "ACTION: UP"

    trainer = VLMTrainer(
        "freeway",
        "contrary",
        prompt_type="basic",
        use_in_context_learning=True,
        model=ScriptedModel(script),
        max_decisions=120,
        run_folder=tmp_path_factory.mktemp("taught"),
    )
    return trainer.train(2).folder, trainer.evaluate(1).folder


@pytest.mark.browser
def test_an_evaluation_shows_the_frames_of_the_training_run_it_was_taught_with(taught, browser):
    training, evaluation = (Run.read(folder) for folder in taught)
    (call,) = evaluation.decisions(0)[100].calls
    examples = [(frame.episode, frame.step) for frame in call.prompt.frames if frame.episode < 0]
    assert examples
    _ = browser.warnings
    browser.open(write_replay(evaluation.folder), "#episode=0&decision=100")
    browser.settled(100)
    for episode, step in examples:
        place = f'#saw canvas[data-episode="{episode}"][data-step="{step}"]'
        browser.painted(place)
        shown = browser.pixels(place)
        assert np.array_equal(shown, images.rgb(pictures(training)(-1 - episode, step)))
        assert not np.array_equal(shown, images.rgb(pictures(evaluation)(0, step)))
        assert f"training episode {-1 - episode}, decision {step}" in browser.text("saw")
    assert "not in this page" not in browser.text("saw")
    assert browser.warnings == []
    training.close()
    evaluation.close()


@pytest.mark.browser
def test_frames_of_an_episode_left_out_of_the_page_are_marked_as_missing(taught, tmp_path, browser):
    run = Run.read(taught[0])
    (call,) = run.decisions(1)[70].calls
    run.close()
    left_out = [frame.step for frame in call.prompt.frames if frame.episode == 0]
    assert left_out
    path = write_replay(taught[0], tmp_path / "second.html", episodes=[1])
    browser.open(path, "#episode=1&decision=70")
    browser.settled(70)
    missing = browser.run(
        "return [...document.querySelectorAll('#saw .missing + figcaption')]"
        ".map((caption) => caption.textContent)"
    )
    assert missing == [f"episode 0, decision {step}" for step in left_out]
    assert not browser.run("return document.querySelector('#saw canvas[data-episode=\"0\"]')")


def test_training_and_evaluation_are_shown_apart(taught):
    training, evaluation = (Run.read(folder) for folder in taught)
    replay = replay_of(training, evaluations=[evaluation])
    training.close()
    evaluation.close()
    assert [(episode.name, episode.phase) for episode in replay.episodes] == [
        ("0", "Training"),
        ("1", "Training"),
        ("evaluation 0", "Evaluation, after 2 training episodes"),
    ]
    assert len({episode.number for episode in replay.episodes}) == 3


def test_evaluations_before_and_after_training_are_told_apart(tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: UP")
    trainer = VLMTrainer(
        "freeway",
        "mine",
        model=model,
        prompt_type="basic",
        use_in_context_learning=True,
        max_decisions=3,
        run_folder=tmp_path,
    )
    before = trainer.evaluate(1, lessons=False).folder
    after = trainer.train(1).folder, trainer.evaluate(1).folder
    runs = [Run.read(folder) for folder in (after[0], before, after[1])]
    assert evaluations_of(runs[0]) == [before, after[1]]
    replay = replay_of(runs[0], evaluations=runs[1:])
    for run in runs:
        run.close()
    assert [(episode.name, episode.phase) for episode in replay.episodes] == [
        ("0", "Training"),
        ("before training, 0", "Evaluation, before training"),
        ("after 1, 0", "Evaluation, after 1 training episode"),
    ]
    assert ("Evaluation, before training", "mean score 0 over 1 finished episode") in replay.facts


def test_the_page_of_a_training_run_holds_the_evaluations_in_its_folder(taught):
    training, evaluation = (Run.read(folder) for folder in taught)
    assert evaluations_of(training) == [taught[1]]
    assert evaluations_of(evaluation) == []
    training.close()
    evaluation.close()


def test_an_episode_names_what_had_been_learned_before_it(taught):
    training, evaluation = (Run.read(folder) for folder in taught)
    first, second, evaluated = replay_of(training, evaluations=[evaluation]).episodes
    assert not first.lessons
    assert all("from an earlier game of yours" in lesson.text for lesson in second.lessons)
    prompt = training.decisions(1)[0].calls[0].prompt
    assert [frame for lesson in second.lessons for frame in lesson.frames] == [
        (frame.episode, frame.step) for frame in prompt.frames[:-1]
    ]
    assert len(evaluated.lessons) == 2
    training.close()
    evaluation.close()


@pytest.mark.browser
def test_a_page_of_training_and_evaluation_shows_phases_lessons_and_frames(
    taught, tmp_path, browser
):
    path = write_replay(taught[0], tmp_path / "both.html")
    _ = browser.warnings
    browser.open(path, "#episode=evaluation-0&decision=100")
    browser.settled(100)
    assert browser.text("phase") == "Evaluation"
    assert browser.text("lessons") == "2 examples learned before"
    stuck = "document.querySelector('.event[data-kind=stuck]')"
    assert browser.run(f"return {stuck}.textContent") == "Stuck1"  # it does nothing all along
    browser.press("S")
    browser.settled(8)
    assert "the same action 8 times in a row" in browser.text("later")
    groups = "return [...document.querySelectorAll('#episode optgroup')].map((g) => g.label)"
    assert browser.run(groups) == ["Training", "Evaluation, after 2 training episodes"]
    assert "not in this page" not in browser.text("saw")
    run = Run.read(taught[0])
    (shown, *_) = browser.run(
        "return [...document.querySelectorAll('#saw .parts canvas')].map((c) => c.dataset.step)"
    )
    browser.painted(f'#saw .parts canvas[data-step="{shown}"]')
    pixels = browser.pixels(f'#saw .parts canvas[data-step="{shown}"]')
    drawn = [images.rgb(pictures(run)(episode, int(shown))) for episode in (0, 1)]
    run.close()
    assert any(np.array_equal(pixels, each) for each in drawn)
    browser.run("document.getElementById('lessons').click()")
    browser.wait("document.querySelectorAll('.lessons canvas').length === 4")  # two of each
    browser.painted(".lessons canvas")
    assert "from an earlier game of yours (score" in browser.text("about-body")
    assert browser.warnings == []
