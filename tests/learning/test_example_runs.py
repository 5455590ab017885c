"""`--examples RUN`: moments of another run are shown from the first episode on."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.example_runs import ExampleRun, example_run
from atari_vlm.learning.examples import BestMoments
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import locked
from atari_vlm.trainer import VLMTrainer
from atari_vlm.trainer.continued import continued


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "freeway-expert"
    return VLMTrainer("freeway", "expert", max_decisions=90, run_folder=folder).train(1).folder


def pupil(folder, teacher, game="freeway", script=lambda prompt: "ACTION: NOOP", **more):
    return VLMTrainer(
        game,
        "pupil",
        model=ScriptedModel(script),
        prompt_type="basic",
        examples_from=teacher,
        max_decisions=3,
        run_folder=folder,
        **more,
    )


def test_a_teachers_moments_are_shown_from_the_first_episode_on_and_kept(tmp_path, teacher):
    shown = []

    def script(prompt):
        shown.append("from a game of another player" in prompt.text)
        return "ACTION: NOOP"

    copied = tmp_path / "freeway-expert"
    shutil.copytree(teacher, copied)
    one = pupil(tmp_path / "run", copied, script=script)
    assert one.settings["examples_from"].startswith("1 episode of expert (")
    one.train(1)
    assert shown == [True] * 3
    shutil.rmtree(copied)
    with closing(Run.read(tmp_path / "run")) as run:
        (example,) = run.lessons(0, pictures(run)).examples
    assert example.source.startswith("expert in freeway-expert, episode 0, decision ")
    assert [frame.episode for frame in example.frames] == [-1, -1]


def test_an_evaluation_without_training_shows_them_too(tmp_path, teacher):
    one = pupil(tmp_path / "run", teacher)
    folder = one.evaluate(1).folder
    with closing(Run.read(folder)) as run:
        assert len(run.lessons(0, pictures(run)).examples) == 1


def test_a_run_that_cannot_be_shown_is_refused_before_anything_is_played(tmp_path, teacher):
    with pytest.raises(InvalidSetting, match="is of freeway, and not of pong"):
        pupil(tmp_path / "run", teacher, "pong")
    with pytest.raises(InvalidSetting, match=r"holds none: there is no run\.sqlite"):
        pupil(tmp_path / "run", tmp_path / "nowhere")
    with pytest.raises(InvalidSetting, match=r"Let it play first: atari-vlm play --game freeway"):
        pupil(tmp_path / "run", "expert")
    with locked(teacher), pytest.raises(InvalidSetting, match="is being played now"):
        pupil(tmp_path / "run", teacher)
    with pytest.raises(InvalidSetting, match=r"\); leave out examples_from, or"):
        VLMTrainer("freeway", "embedded", examples_from=teacher)
    damaged = tmp_path / "damaged"
    shutil.copytree(teacher, damaged)
    (damaged / "run.sqlite").write_bytes(b"no run" * 1000)
    with pytest.raises(StoreError, match="is damaged"):
        pupil(tmp_path / "run", damaged)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_finished_episode_is_refused(tmp_path):
    def stops(prompt):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        VLMTrainer("freeway", "x", model=ScriptedModel(stops), run_folder=tmp_path / "r").train(1)
    with pytest.raises(InvalidSetting, match="has no finished episode"):
        pupil(tmp_path / "run", tmp_path / "r")


def test_a_run_with_no_moment_to_show_is_refused_and_beside_others_it_is_said(tmp_path):
    empty = VLMTrainer("freeway", "random", max_decisions=3, run_folder=tmp_path / "e").train(1)
    said = "no example in the run in .*: in its 1 episode random earned nothing and lost nothing"
    with pytest.raises(InvalidSetting, match=f"{said}; give a run in which points"):
        pupil(tmp_path / "run", empty.folder)
    assert not (tmp_path / "run").exists()
    for more in ({"use_in_context_learning": True}, {"reflect": True}):
        with pytest.warns(UserWarning, match=f"{said}. No example of it is shown"):
            pupil(tmp_path / "run", empty.folder, **more)


def test_a_run_that_was_begun_with_no_moment_to_show_goes_on(tmp_path, monkeypatch):
    empty = VLMTrainer("freeway", "random", max_decisions=3, run_folder=tmp_path / "e").train(1)
    with monkeypatch.context() as before:
        before.setattr(ExampleRun, "check_shows", lambda self, alone: None)
        pupil(tmp_path / "run", empty.folder).train(1)
        named = pupil(None, empty.folder, save_dir=tmp_path / "runs").train(1)
    assert len(pupil(tmp_path / "run", empty.folder).train(2).scores) == 2
    found = continued(
        lambda folder, seed: pupil(folder, empty.folder, save_dir=tmp_path / "runs", seed=seed),
        Options(examples_from=empty.folder, save_dir=tmp_path / "runs"),
        None,
        lambda begun: begun.ended(2),
    )
    assert found.train(2).folder == named.folder


def test_without_screens_moments_in_the_same_words_are_shown_once(tmp_path):
    """The expert walks up from kerb to kerb each time, and says nothing."""
    teacher = VLMTrainer("freeway", "expert", max_decisions=270, run_folder=tmp_path / "t").train(1)
    assert teacher.mean.value >= 2
    source = example_run(teacher.folder, "freeway", ("NOOP", "UP", "DOWN"))
    told = BestMoments(source=source, own=False, pictures=False)
    words = [example.text for example in told.at_once]
    assert len(words) == len(set(words)) >= 1
    before = [example.text for example in replace(told, rule=2).at_once]
    assert len(before) > len(set(before))
    assert len(replace(told, pictures=True).at_once) >= 2
