"""In-context learning: what earlier episodes earned reaches the prompt, and helps."""

from __future__ import annotations

import numpy as np
import pytest

from atari_vlm.learning.examples import BestMoments, Progress
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Frame, Observation, Step, Trajectory


def trajectory(episode, rewards):
    steps = tuple(
        Step(
            observation=Observation(game="pong", frames=(), legal=(), interval=4, step=k),
            decision=Decision(action=f"A{k}", frames=k % 4 + 1, source="parsed"),
            reward=reward,
        )
        for k, reward in enumerate(rewards)
    )
    return Trajectory(game="pong", episode=episode, seed=0, policy="x", steps=steps)


@pytest.fixture
def picture():
    return lambda episode, step: Frame(np.zeros((2, 2), np.uint8), episode, step)


def test_the_best_moments_come_from_the_best_episodes(picture):
    played = [trajectory(0, [0, 1, 0, 0, 0, 5]), trajectory(1, [0] * 6 + [7]), trajectory(2, [1])]
    lessons = BestMoments(2).learn(played, picture)
    assert [(e.frame.episode, e.frame.step) for e in lessons.examples] == [(1, 3), (0, 2)]
    assert lessons.examples[0].text == (
        "From an earlier episode that scored 7: on this screen you played "
        "A3 x4, then A4 x1, then A5 x2, then A6 x3, and earned +7."
    )
    assert (lessons.episodes, lessons.mean_score) == (3, 14 / 3)


def test_with_nothing_earned_there_is_nothing_to_show(picture):
    lessons = BestMoments().learn([trajectory(0, [0, -1, 0])], picture)
    assert lessons.examples == ()
    assert lessons.mean_score == -1


def test_before_the_first_episode_nothing_is_known(picture):
    for learner in (BestMoments(), Progress()):
        lessons = learner.learn([], picture)
        assert (lessons.examples, lessons.episodes, lessons.mean_score) == ((), 0, None)


def test_a_model_that_copies_its_examples_plays_better_with_them(tmp_path):
    """It goes UP for its first episode only by order; later only if an example shows it."""
    calls = iter(range(10**6))

    def script(prompt):
        if "and earned +" in prompt.text:
            return "ACTION: UP"
        return "ACTION: UP" if next(calls) < 150 else "ACTION: NOOP"

    def scores(learn):
        nonlocal calls
        calls = iter(range(10**6))
        trainer = VLMTrainer(
            "freeway",
            "copycat",
            prompt_type="basic",
            use_in_context_learning=learn,
            model=ScriptedModel(script),
            max_decisions=150,
            run_folder=tmp_path / str(learn),
        )
        return trainer.train(3).scores

    taught, untaught = scores(True), scores(False)
    assert taught[0] == untaught[0] > 0
    assert min(taught[1:]) > 0
    assert untaught[1:] == (0, 0)


def test_evaluation_uses_what_training_taught_and_other_seeds(tmp_path):
    shown = []

    def script(prompt):
        shown.append("and earned +" in prompt.text)
        return "ACTION: UP"

    trainer = VLMTrainer(
        "freeway",
        "copycat",
        prompt_type="basic",
        use_in_context_learning=True,
        model=ScriptedModel(script),
        max_decisions=120,
        run_folder=tmp_path,
    )
    trained = trainer.train(1)
    assert trained.scores[0] > 0
    assert not any(shown)
    shown.clear()
    evaluated = trainer.evaluate(2)
    assert all(shown)
    assert {row.seed for row in evaluated.episodes}.isdisjoint(row.seed for row in trained.episodes)
    assert evaluated.folder != trained.folder


def test_waves_make_parallel_learning_repeatable(tmp_path):
    def play(name):
        trainer = VLMTrainer(
            "freeway",
            "up",
            prompt_type="basic",
            use_in_context_learning=True,
            model=ScriptedModel(lambda p: "ACTION: UP" if "earned" in p.text else "ACTION: UP x3"),
            max_decisions=100,
            parallel=2,
            run_folder=tmp_path / name,
        )
        return [(row.score, row.frames) for row in trainer.train(4).episodes]

    assert play("one") == play("two")
