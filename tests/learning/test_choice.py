"""Which learner a player gets, and several learners as one."""

from __future__ import annotations

from contextlib import closing

from atari_vlm.learning.choice import (
    LearnerSetting,
    Together,
    as_begun,
    choose_learner,
    learners_in,
    learning_record,
)
from atari_vlm.learning.examples import BestMoments
from atari_vlm.learning.options import LearningOptions
from atari_vlm.learning.progress import Progress
from atari_vlm.learning.reflection.learner import Reflection
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Lessons
from tests.run_files import change


class Says:
    name = "says"

    async def learn(self, trajectories, study):
        drawn = int(study.rng.integers(100))
        return Lessons(
            advice=(f"Played {len(trajectories)}, drew {drawn}.",) if trajectories else ()
        )


PLAYER = LearnerSetting(game="pong", legal=tuple, num_examples=2)


def test_a_player_learns_in_context_only_if_it_is_asked_to():
    on, off = LearningOptions(True), LearningOptions(False)
    assert choose_learner("cot", on, PLAYER) == BestMoments(2)
    assert choose_learner("cot", LearningOptions(None), PLAYER) == BestMoments(2)
    reflection = choose_learner("cot", LearningOptions(None, reflect=True), PLAYER)
    assert isinstance(reflection, Reflection)  # the way of learning that is named, and no other
    assert choose_learner("cot", off, PLAYER) is None
    assert choose_learner("adaptive", off, PLAYER) == Progress()


def test_the_record_of_a_learner_has_what_differs_from_earlier_versions():
    assert learning_record(None) == {"learner": None, "examples": None}
    assert learning_record(Progress()) == {"learner": "progress", "examples": None}
    newest = {"learner": "in-context", "examples": 2, "learner_version": 3}
    assert learning_record(BestMoments(2)) == newest
    assert learning_record(BestMoments(2, tokens=500, pictures=False)) == {
        **newest,
        "example_tokens": 500,
        "example_pictures": False,
    }


def test_a_run_of_the_first_rule_goes_on_with_it():
    both = Together((BestMoments(2), Says()))
    assert as_begun(both, {"learner_version": 1}).learners[0] == BestMoments(2, rule=1)
    assert as_begun(both, {"learner_version": 2}).learners[0] == BestMoments(2, rule=2)
    assert as_begun(both, {"learner_version": 3}) == both
    assert as_begun(None, {"learner_version": 1}) is None


def test_a_run_that_was_begun_before_the_second_rule_goes_on_with_the_first(tmp_path):
    def train(episodes):
        return VLMTrainer(
            "freeway",
            "up",
            model=ScriptedModel(lambda prompt: "ACTION: UP"),
            prompt_type="basic",
            use_in_context_learning=True,
            max_decisions=60,
            run_folder=tmp_path,
        ).train(episodes)

    train(1)
    change(tmp_path, "DELETE FROM settings WHERE name = 'learner_version'")
    train(2)
    with closing(Run.read(tmp_path)) as run:
        (example,) = run.lessons(1, pictures(run)).examples
    assert example.text.startswith("From an earlier episode that scored 1: on this screen you ")


def test_several_learners_are_one_whose_lessons_are_joined(tmp_path):
    both = Together((BestMoments(1), Says()))
    assert (both.name, learners_in(both)) == ("in-context+says", both.learners)
    trainer = VLMTrainer(
        "freeway",
        "up",
        model=ScriptedModel(lambda prompt: "ACTION: UP"),
        prompt_type="basic",
        learner=both,
        max_decisions=60,
        run_folder=tmp_path,
    )
    trainer.train(2)
    with closing(Run.read(tmp_path)) as run:
        lessons = run.lessons(1, pictures(run))
        assert run.lessons(0, pictures(run)) == Lessons()
    assert len(lessons.examples) == 1
    assert lessons.advice[0].startswith("Played 1, drew ")
    assert (lessons.episodes, lessons.mean_score) == (1, None)
