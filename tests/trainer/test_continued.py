"""The same command, without a folder, continues a run whose source has changed since."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from atari_vlm import VLMTrainer, play
from atari_vlm.cli.app import app
from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.reflection.edits import add_lesson
from atari_vlm.models.scripted import ScriptedModel
from tests.servers import Server
from tests.vendor_apis import Answer

UP, CARS = "Walk up without a pause.", "Wait for the cars to pass."


def script(prompt):
    review = "Review your gameplay" in prompt.text
    return json.dumps({"lessons": [UP]}) if review else "ACTION: NOOP"


MODEL = ScriptedModel(script, name="mine")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    VLMTrainer(
        "freeway",
        "mine",
        model=MODEL,
        prompt_type="basic",
        reflect=True,
        max_decisions=1,
        run_folder=folder,
    ).train(1)
    return folder


def played(tmp_path, source, episodes, **more):
    chosen = {"prompt_type": "basic", "max_decisions": 1, "save_dir": tmp_path / "runs", **more}
    return play("freeway", MODEL, episodes=episodes, lessons_from=source, **chosen)


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_that_is_not_ended_goes_on_in_its_folder(tmp_path, source, gone):
    def stop(episode, step):
        if episode:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        played(tmp_path, source, 2, watch=stop, max_decisions=2)
    (begun,) = (tmp_path / "runs").iterdir()
    add_lesson(source, CARS)
    if gone:
        shutil.rmtree(source)
    with pytest.warns(UserWarning, match="goes on with what it was begun with, 1 lesson of mine"):
        summary = played(tmp_path, source, 2, max_decisions=2)
    assert summary.folder == begun
    assert len(summary.scores) == 2
    assert [*(tmp_path / "runs").iterdir()] == [begun]


def test_a_run_that_is_ended_or_another_one_does_not_stand_for_a_new_one(tmp_path, source):
    ended = played(tmp_path, source, 1).folder
    add_lesson(source, CARS)
    assert played(tmp_path, source, 1).folder != ended
    other = played(tmp_path, source, 2, max_decisions=2).folder
    assert other.is_dir()
    shutil.rmtree(source)
    with pytest.raises(InvalidSetting, match="holds none"):
        played(tmp_path, source, 2, max_decisions=3)


def test_training_goes_on_until_its_evaluation_is_played_and_then_begins_anew(tmp_path, source):
    with Server(Answer(text="ACTION: UP")) as server:

        def train(episodes):
            flags = ["--episodes", str(episodes), "--evaluations", "1", "--max-decisions", "1"]
            place = ["--base-url", server.base_url, "--save-dir", str(tmp_path / "runs")]
            asked = ["train", "--game", "freeway", "--model", "x", "--lessons", str(source)]
            done = CliRunner().invoke(app, [*asked, *flags, *place, "--no-replay"])
            assert done.exit_code == 0, done.output
            return sorted(each.name for each in (tmp_path / "runs").glob("*-train-*"))

        begun = train(1)
        add_lesson(source, CARS)
        with pytest.warns(UserWarning, match="has changed since"):
            assert train(2) == begun
        asked = server.count
        assert len(train(2)) == 2  # nothing of the first one was left to play
        assert server.count > asked
