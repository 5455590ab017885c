"""`atari-vlm train`: what it learns from, and what it says meanwhile."""

from __future__ import annotations

from contextlib import closing
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from atari_vlm.cli.app import app
from atari_vlm.cli.console import console
from atari_vlm.cli.live_view import LiveView
from atari_vlm.cli.train import _begun_with_examples
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.servers import Server
from tests.vendor_apis import Answer

BEGUN = "was begun with examples of its own play (--icl) and goes on with them"


@pytest.fixture
def server():
    with Server(Answer(text='ACTION: UP {"lessons": ["Walk up without a pause."]}')) as running:
        yield running


def reflecting(server, folder, *flags):
    """Train with --reflect; returns the learner in the record, and what was said."""
    flags += ("--no-before", "--episodes", "1", "--evaluations", "1", "--max-decisions", "1")
    asked = ["train", "--game", "freeway", "--model", "x", "--reflect", "--no-replay", *flags]
    place = ["--base-url", server.base_url, "--run", str(folder)]
    done = CliRunner().invoke(app, [*asked, *place])
    assert done.exit_code == 0, done.output
    with closing(Run.read(folder)) as run:
        return run.settings["learner"], " ".join(done.output.split())


def test_reflection_alone_shows_no_examples_and_no_page_is_written_if_none_is_wanted(
    server, tmp_path
):
    learner, said = reflecting(server, tmp_path / "new")
    assert learner == "reflection"
    assert BEGUN not in said
    assert not (tmp_path / "new" / "replay.html").exists()


def test_a_run_that_was_begun_with_examples_goes_on_with_them(server, tmp_path):
    options = {"base_url": server.base_url, "max_decisions": 1, "run_folder": tmp_path}
    VLMTrainer("freeway", "x", reflect=True, use_in_context_learning=True, **options).train(1)
    learner, said = reflecting(server, tmp_path)
    assert learner == "in-context+reflection"
    assert f"The training in {tmp_path} {BEGUN}" in said
    assert f"{BEGUN}; --no-icl with another --run begins one without." in said


def test_in_a_folder_of_its_own_a_training_without_examples_comes_first(server, tmp_path):
    options = {"base_url": server.base_url, "max_decisions": 1, "save_dir": tmp_path}
    both = VLMTrainer("freeway", "x", reflect=True, use_in_context_learning=True, **options)
    begun = both.train(1).folder

    asked = {"reflect": True, "run_folder": None, **options}
    with console.capture() as said:
        assert _begun_with_examples("freeway", "x", asked) is True
    line = " ".join(said.get().split())
    assert f"{begun.name} {BEGUN}" in line
    assert f"{BEGUN}; --no-icl begins one without." in line
    VLMTrainer("freeway", "x", reflect=True, **options).train(1)
    with console.capture() as said:
        assert _begun_with_examples("freeway", "x", asked) is None
    assert not said.get()


@pytest.mark.parametrize("others", ["reflect", "examples", "lessons", "all"])
def test_the_folder_of_a_training_without_own_examples_is_known_from_the_one_with_them(
    server, tmp_path, others
):
    place = {"base_url": server.base_url, "max_decisions": 90, "save_dir": tmp_path}
    taught = VLMTrainer("freeway", "x", reflect=True, **{**place, "max_decisions": 1}).train(1)
    shown = VLMTrainer("freeway", "expert", max_decisions=90, save_dir=tmp_path).train(1)
    learning = {
        "reflect": {"reflect": True},
        "examples": {"examples_from": shown.folder},
        "lessons": {"lessons_from": taught.folder},
    }
    chosen = learning.get(others) or {k: v for each in learning.values() for k, v in each.items()}
    both = VLMTrainer("freeway", "x", use_in_context_learning=True, **chosen, **place)
    alone = VLMTrainer("freeway", "x", **chosen, **place)
    assert both.without_own_moments().settings == alone.settings
    assert both.without_own_moments().player.learner == alone.player.learner
    assert both.settings != alone.settings


def test_a_log_names_the_games_in_which_a_lesson_is_tried():
    out = StringIO()
    with LiveView(Console(file=out), "freeway, x") as view:
        view.announce("Trying the lesson: 3 of 10 games with it are played")
    assert out.getvalue() == "Trying the lesson: 3 of 10 games with it are played\n"
