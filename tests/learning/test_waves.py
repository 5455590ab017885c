"""Every episode that has ended is reviewed once, however many are played beside one another."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from atari_vlm import Run, VLMTrainer
from atari_vlm.advice.estimate import estimate_of
from atari_vlm.cli.lessons import lessons as lessons_command
from atari_vlm.errors import ModelUnusable
from atari_vlm.models.hosted.model import HostedModel
from tests.hosted import COMPATIBLE, make_settings
from tests.servers import Server
from tests.vendor_apis import Answer

WORDS = ["Wait below.", "Serve at once.", "Aim for corners.", "Watch your score.", "Rest a while."]


class Script:
    """Each review brings the next lesson; the review of one number fails."""

    def __init__(self, *, fails_at=0):
        self.reviews, self.fails_at, self.shown = 0, fails_at, []

    def __call__(self, number, body):
        text = str(body["messages"])
        if "Review your gameplay" not in text:
            self.shown.append([words for words in WORDS if words in text])
            return Answer(text="ACTION: NOOP")
        self.reviews += 1
        if self.reviews == self.fails_at:
            return Answer(status=503)
        lesson = WORDS[(self.reviews - 1) % len(WORDS)]
        return Answer(text=json.dumps({"lessons": [lesson]}))


def trainer(server, folder, parallel, **more):
    model = HostedModel(make_settings(COMPATIBLE, server, tries=1, max_tokens=100))
    return VLMTrainer(
        "pong",
        "mine",
        model=model,
        prompt_type="basic",
        reflect=True,
        run_folder=folder,
        max_decisions=1,
        parallel=parallel,
        **more,
    )


def made(folder):
    with closing(Run.read(folder)) as run:
        return {row: list(advice) for row, _, advice, _ in run.lessons_made()}


def reviewed(folder):
    with closing(Run.read(folder)) as run:
        return [episode for episode, _ in run.reviews()]


@pytest.mark.parametrize(("episodes", "parallel"), [(3, 4), (3, 2), (1, 2), (4, 2), (2, 1)])
def test_every_episode_is_reviewed_when_those_that_were_asked_for_have_ended(
    episodes, parallel, tmp_path
):
    script = Script()
    with Server(script) as server:
        one = trainer(server, tmp_path, parallel)
        summary = one.train(episodes)
        assert summary.usage.calls == estimate_of(one.player, episodes).expected.calls
        one.train(episodes)
        assert server.count == summary.usage.calls  # the same call again asks nothing
        trainer(server, tmp_path, parallel).evaluate(1)
    assert script.reviews == episodes
    assert reviewed(tmp_path) == [*range(episodes)]
    assert script.shown[-1] == WORDS[:episodes]


def test_evaluations_within_a_training_show_what_every_episode_before_them_taught(tmp_path):
    script = Script()
    with Server(script) as server:
        one = trainer(server, tmp_path, 2)
        curve = one.train(5, evaluate_every=3, num_evaluations=1).curve
        count = server.count
        one.train(5, evaluate_every=3, num_evaluations=1)
        assert server.count == count
    assert [(point.after, point.lessons) for point in curve.learning.points] == [
        (0, 0),
        (3, 3),
        (5, 5),
    ]
    assert reviewed(tmp_path) == [*range(5)]


def test_a_run_with_more_episodes_goes_on_after_a_short_wave_and_reviews_none_twice(tmp_path):
    script = Script()
    with Server(script) as server:
        trainer(server, tmp_path, 2).train(3)
        trainer(server, tmp_path, 2).train(6)
    assert script.reviews == 6
    assert [*made(tmp_path)] == [0, 2, 3, 5, 6]
    assert script.shown == [[], [], WORDS[:2], WORDS[:3], WORDS[:3], WORDS]


def test_reviews_of_a_short_wave_that_were_stopped_go_on_when_more_is_asked_for(tmp_path):
    script = Script(fails_at=2)
    with Server(script) as server:
        with pytest.raises(ModelUnusable, match="no answer to a review"):
            trainer(server, tmp_path, 4).train(3)
        trainer(server, tmp_path, 4).train(4)
    assert script.reviews == 4 + 1  # the one that failed is asked again, the first is not
    assert reviewed(tmp_path) == [0, 1, 2, 3]
    assert [*made(tmp_path)] == [0, 3, 4]


def test_a_run_under_its_default_name_is_found_again_while_a_review_is_missing(tmp_path):
    with Server(Script(fails_at=1)) as server:
        one = trainer(server, None, 2, save_dir=tmp_path)
        with pytest.raises(ModelUnusable, match="no answer to a review"):
            one.train(1)
        assert (one.unplayed_seed(1), one.ended(1)) == (0, False)
        one.train(1)
        assert (one.unplayed_seed(1), one.ended(1)) == (1, True)
        one.train(2)
        assert one.unplayed_seed(1) == 1


def as_of_before(folder):
    """Make a run one of an earlier version, which did not review a short last wave."""
    with closing(sqlite3.connect(folder / "run.sqlite")) as db, db:
        db.execute("DELETE FROM settings WHERE name = 'short_waves'")
        db.execute("DELETE FROM lessons WHERE episode = 3")


def test_a_run_of_before_is_reviewed_by_the_command_that_played_it(tmp_path, capsys):
    script = Script()
    with Server(script) as server:
        trainer(server, tmp_path, 4).train(3)
        as_of_before(tmp_path)
        lessons_command(tmp_path, None, None, None, None)
        said = " ".join(capsys.readouterr().out.split())
        assert said.endswith("The command that played the run goes on with it.")
        trainer(server, tmp_path, 4).train(3)
    assert [*made(tmp_path)] == [0, 3]
    lessons_command(tmp_path, None, None, None, None)
    assert WORDS[0] in capsys.readouterr().out


def test_a_run_of_before_goes_on_with_the_wave_that_it_had_begun(tmp_path):
    script = Script()
    with Server(script) as server:
        trainer(server, tmp_path, 2).train(3)
        as_of_before(tmp_path)
        trainer(server, tmp_path, 2).train(4)
        assert [*made(tmp_path)] == [0, 2, 4]
        trainer(server, tmp_path, 2).train(3)  # what later episodes were shown stays as it was
    assert [*made(tmp_path)] == [0, 2, 4]
    assert script.shown == [[], [], WORDS[:2], WORDS[:2]]
