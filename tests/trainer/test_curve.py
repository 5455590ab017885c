"""Learning curves: a model that reads its lessons climbs, and its controls do not."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field

import numpy as np
import pytest

from atari_vlm import Lessons, VLMTrainer
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.scripted import ScriptedModel

LESSONS = {
    "above": "When the ball is above the paddle, play RIGHT.",
    "below": "When the ball is below the paddle, play LEFT.",
}
"""What is right in Pong, where RIGHT moves the paddle up."""


class Notes:
    """Learns one more of the lessons from each episode."""

    name = "notes"

    async def learn(self, trajectories, study):
        return Lessons(advice=tuple(LESSONS.values())[: len(trajectories)])


def pong(prompt):
    """Looks where the ball is, and plays what a lesson says of that; without one it waits."""
    play = prompt.frames[-1].pixels[34:194]
    ball = np.argwhere(play[:, 20:140] == 14)
    paddle = np.argwhere(play[:, 140:144] == 200)
    if not len(ball) or not len(paddle):
        return "ACTION: NOOP"
    off = ball[:, 0].mean() - paddle[:, 0].mean()
    where = "above" if off < 0 else "below"
    told = re.search(rf"When the ball is {where} the paddle, play (\w+)\.", prompt.text)
    frames = min(4, 1 + int(abs(off)) // 4)
    return f"ACTION: {told[1]} x{frames}" if told and abs(off) > 2 else "ACTION: NOOP"


@dataclass
class Counted:
    """Counts what it is asked, and is interrupted once, in the middle of a curve."""

    calls: int = 0
    stops_at: int = 0
    steps: list[int] = field(default_factory=list)

    def script(self, prompt):
        self.calls += 1
        return pong(prompt)

    def watch(self, episode, step):
        self.steps.append(episode)
        if len(self.steps) == self.stops_at:
            raise KeyboardInterrupt


def curve(folder, counted):
    trainer = VLMTrainer(
        "pong",
        "reader",
        model=ScriptedModel(counted.script),
        learner=Notes(),
        prompt_type="basic",
        max_decisions=75,
        run_folder=folder,
        watch=counted.watch,
    )
    return trainer.train(3, evaluate_every=1, num_evaluations=1, control=True, shuffled=True)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A curve of Pong that was stopped once; what it was asked, and its folder."""
    folder = tmp_path_factory.mktemp("curve") / "pong"
    counted = Counted(stops_at=525)
    with pytest.raises(KeyboardInterrupt):
        curve(folder, counted)
    return curve(folder, counted), counted


def test_a_model_that_reads_its_lessons_climbs_where_every_score_is_negative(played):
    summary, _ = played
    learning = summary.curve.learning
    before, *_, after = means = [point.mean.value for point in learning.points]
    assert means == sorted(means)
    assert [point.lessons for point in learning.points] == [0, 1, 2, 2]
    assert max(learning.training) <= 0
    assert learning.training[0] < learning.training[-1]
    assert summary.curve.gain.value == after - before > 0


def test_with_learning_off_it_stays_flat_and_shuffled_lessons_do_not_help(played):
    curve = played[0].curve
    control, shuffled = (
        next(arm for arm in curve.controls if arm.name == name) for name in ("control", "shuffled")
    )
    before = curve.learning.points[0].scores
    assert control.points[-1].scores == before
    assert [point.scores for point in shuffled.points] == [before] * 3
    assert [point.lessons for point in shuffled.points] == [1, 2, 2]
    assert control.training[0] == curve.learning.training[0]
    assert control.training[-1] < curve.learning.training[-1]
    assert curve.advantage(control).value == curve.gain.value


def test_what_was_stopped_goes_on_and_nothing_is_asked_twice(played):
    summary, counted = played
    episodes = 3 + 4 + 3 + 3 + 1  # learning, its evaluations, shuffled ones, the control's
    assert len(counted.steps) == episodes * 75
    assert counted.calls == len(counted.steps)
    again = curve(summary.folder, counted)
    assert counted.calls == episodes * 75
    assert again.curve == summary.curve
    assert again.played == 0


def test_the_files_say_what_the_values_say(played):
    summary, _ = played
    rows = list(csv.DictReader((summary.folder / "curve.csv").read_text().splitlines()))
    means = [
        float(row["score"])
        for row in rows
        if (row["kind"], row["arm"]) == ("evaluation", "learning")
    ]
    assert means == [point.mean.value for point in summary.curve.learning.points]
    training = [float(row["score"]) for row in rows if row["kind"] == "training"]
    assert training[:3] == list(summary.scores)
    assert [row["arm"] for row in rows if row["kind"] == "difference"] == [
        "after 3 episodes minus before, held-out seeds",
        "learning minus shuffled, held-out seeds",
        "learning minus control, held-out seeds",
        "learning minus control, training seeds",
    ]
    figure = (summary.folder / "curve.svg").read_text()
    assert f"learning {summary.curve.learning.points[-1].mean.value_text()}</text>" in figure
    page = (summary.folder / "learning.html").read_text()
    for words in (*LESSONS.values(), "After episode 0, which scored", "too few for an interval"):
        assert words in page


def test_the_best_moments_of_freeway_help_and_their_words_in_another_order_do_not(tmp_path):
    """It goes UP on a third of the screens, and always where an example shows that UP earned."""

    def script(prompt):
        shown = re.search(r"you played UP.*this earned \+\d", prompt.text)
        tries = "Example" not in prompt.text and len(prompt.text) % 3 == 0
        return "ACTION: UP" if shown or tries else "ACTION: NOOP"

    trainer = VLMTrainer(
        "freeway",
        "reader",
        model=ScriptedModel(script),
        prompt_type="basic",
        use_in_context_learning=True,
        max_decisions=120,
        run_folder=tmp_path,
    )
    curve = trainer.train(3, num_evaluations=1, shuffled=True).curve
    assert [point.mean.value for point in curve.learning.points] == [0, 2]
    assert [point.mean.value for point in curve.controls[0].points] == [0]
    shown = curve.controls[0].points[0], curve.learning.points[1]
    assert [(point.examples, point.lessons) for point in shown] == [(1, 0)] * 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"evaluate_every": 0}, "evaluate_every must be a whole number of at least 1, not 0"),
        ({"evaluate_every": 3}, "evaluate_every=3 is more than the 2 episodes of training"),
        ({"control": True}, "control"),
        ({"num_evaluations": 0}, "num_evaluations must be"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_before_anything_is_played(asked, said, tmp_path):
    model = ScriptedModel(lambda prompt: "ACTION: NOOP")
    trainer = VLMTrainer("pong", "mine", model=model, run_folder=tmp_path / "run")
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        trainer.train(2, **asked)
    assert not (tmp_path / "run").exists()


def test_a_player_that_cannot_learn_is_told_so_in_one_sentence_wherever_it_is_asked_to():
    embedded = r"embedded reads no lessons, so it learns nothing from what it plays \(`atari-vlm d"
    with pytest.raises(InvalidSetting, match=embedded + r".*leave out evaluate_every, or c"):
        VLMTrainer("pong", "embedded").train(4, evaluate_every=2)
    for asked in ({"use_in_context_learning": True}, {"reflect": True}, {"learner": Notes()}):
        (name,) = asked
        with pytest.raises(InvalidSetting, match=rf"{embedded}.*\); leave out {name}, or choose a"):
            VLMTrainer("pong", "embedded", **asked)
    with pytest.raises(InvalidSetting, match="random has no model, so it learns nothing from what"):
        VLMTrainer("pong", "random", reflect=True)
    model = ScriptedModel(lambda prompt: "ACTION: NOOP")
    without = "use_in_context_learning, examples_from, reflect or lessons_from. There is no learn"
    with pytest.raises(InvalidSetting, match=without):
        VLMTrainer("pong", "mine", model=model).train(4, control=True)
