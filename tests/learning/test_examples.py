"""In-context learning: what earlier episodes earned reaches the prompt, and helps."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable, RunInvalid, StoreError
from atari_vlm.learning.examples import BestMoments
from atari_vlm.learning.progress import Progress
from atari_vlm.models.hosted.budget import UNLIMITED
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.protocols import Study
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision, Frame, Observation, Step, Trajectory


def trajectory(episode, rewards, whole=True):
    steps = tuple(
        Step(
            terminated=whole and k == len(rewards) - 1,
            observation=Observation(game="pong", frames=(), legal=(), interval=4, step=k),
            decision=Decision(action=f"A{k}", frames=k % 4 + 1, source="parsed"),
            reward=reward,
        )
        for k, reward in enumerate(rewards)
    )
    return Trajectory(game="pong", episode=episode, seed=0, policy="x", steps=steps)


@pytest.fixture
def learn():
    """The lessons that a learner makes of trajectories, without a model."""
    study = Study(
        model=None,
        rng=np.random.default_rng(0),
        account=UNLIMITED,
        frame=lambda episode, step: Frame(np.zeros((2, 2), np.uint8), episode, step),
    )
    return lambda learner, trajectories: asyncio.run(learner.learn(trajectories, study))


def test_the_first_rule_shows_the_best_rewards_of_the_best_episodes(learn):
    played = [trajectory(0, [0, 1, 0, 0, 0, 5]), trajectory(1, [0] * 6 + [7]), trajectory(2, [1])]
    lessons = learn(BestMoments(2, rule=1), played)
    assert [(e.frame.episode, e.frame.step) for e in lessons.examples] == [(1, 3), (0, 2)]
    assert lessons.examples[0].text == (
        "From an earlier episode that scored 7: on this screen you played "
        "A3 x4, then A4 x1, then A5 x2, then A6 x3, and earned +7."
    )
    assert (lessons.episodes, lessons.mean_score) == (3, 14 / 3)
    assert learn(BestMoments(rule=1), [trajectory(0, [0, -1, 0])]).examples == ()


def test_games_cut_short_say_nothing_about_how_well_it_goes(learn):
    lessons = learn(Progress(), [trajectory(0, [0, 0], whole=False)])
    assert (lessons.episodes, lessons.mean_score) == (1, None)


def test_before_the_first_episode_nothing_is_known(learn):
    for learner in (BestMoments(), Progress()):
        lessons = learn(learner, [])
        assert (lessons.examples, lessons.episodes, lessons.mean_score) == ((), 0, None)


def test_a_model_that_copies_its_examples_plays_better_with_them(tmp_path):
    """It goes UP for its first episode only by order; later only if an example shows it."""
    calls = iter(range(10**6))

    def script(prompt):
        if "this earned +" in prompt.text:
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
        shown.append("this earned +" in prompt.text)
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


def trainer(folder, script=lambda prompt: "ACTION: UP", **more):
    settings = {"prompt_type": "basic", "use_in_context_learning": True, "max_decisions": 120}
    model = ScriptedModel(script)
    return VLMTrainer("freeway", "up", model=model, run_folder=folder, **{**settings, **more})


def test_training_on_and_evaluating_again_is_another_evaluation(tmp_path):
    one = trainer(tmp_path)
    untaught = one.evaluate(1)
    one.train(1)
    first = one.evaluate(1)
    one.train(2)
    second = one.evaluate(1)
    assert [s.taught_by for s in (untaught, first, second)] == [0, 1, 2]
    assert len({s.folder for s in (untaught, first, second)}) == 3


def test_the_frames_of_another_run_are_kept_as_they_were_shown(tmp_path):
    shown = {}

    def script(prompt):
        for frame in prompt.frames:
            shown.setdefault((frame.episode, frame.step), frame.pixels)
        return "ACTION: UP"

    one = trainer(tmp_path, script)
    one.train(2)
    shown.clear()
    evaluated = one.evaluate(1)
    foreign = {place: pixels for place, pixels in shown.items() if place[0] < 0}
    assert foreign
    run = Run.read(evaluated.folder)
    frame = pictures(run)
    for place, pixels in shown.items():
        assert np.array_equal(frame(*place).pixels, pixels)
    run.close()


def test_a_trainer_works_where_an_event_loop_runs_already(tmp_path):
    async def notebook():
        return trainer(tmp_path).train(1)

    assert asyncio.run(notebook()).scores[0] > 0


def test_an_error_in_a_model_of_your_own_is_that_error(tmp_path):
    def script(prompt):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        trainer(tmp_path, script).train(1)


def test_other_weights_do_not_continue_a_run(tmp_path):
    class Versioned(ScriptedModel):
        version = "1"

    def play(version):
        model = Versioned(lambda prompt: "ACTION: UP")
        model.version = version
        one = VLMTrainer("freeway", "x", model=model, max_decisions=5, run_folder=tmp_path)
        return one.train(1)

    play("1")
    with pytest.raises(StoreError, match="version '1', not '2'"):
        play("2")


def test_what_cannot_be_followed_is_refused_and_not_recorded():
    def with_options(vlm, **more):
        with pytest.raises(InvalidSetting) as caught:
            VLMTrainer("pong", vlm, **more)
        return str(caught.value)

    assert "The embedded model cannot follow plans=False" in with_options("embedded", plans=False)
    assert "cannot follow resize_shape" in with_options("embedded", resize_shape=(84, 84))
    assert "cannot follow temperature" in with_options("random", temperature=0.5)
    assert "cannot follow prompt_type" in with_options("random", prompt_type="cot")
    assert "does not read the prompt 'cot'" in with_options("embedded", prompt_type="cot")
    assert "every 4 frames, not every 8" in with_options("embedded", frame_skip=8)
    with pytest.raises(ModelUnusable, match=r"was not taught tetris. It .*, pong, "):
        VLMTrainer("tetris", "embedded")


def test_the_embedded_prompt_may_be_named_specialist_and_is_recorded_as_embedded(tmp_path):
    for name in ("specialist", "embedded", None):
        folder = tmp_path / str(name)
        one = VLMTrainer("pong", "embedded", prompt_type=name, max_decisions=3, run_folder=folder)
        one.train(1)
        assert Run.read(folder).settings["prompt"] == "embedded"


def test_half_a_character_in_a_reply_is_stored_and_the_run_ends_invalid(tmp_path):
    with pytest.raises(RunInvalid):
        trainer(tmp_path, lambda prompt: "ACTION: \ud83d", max_decisions=None).train(1)
    run = Run.read(tmp_path)
    assert run.episodes()[0].status == "invalid"
    run.close()


@pytest.mark.parametrize("seed", [-1, 1.5, 10**14, True])
def test_a_seed_that_cannot_be_kept_is_refused(seed):
    with pytest.raises(InvalidSetting, match="seed must be a whole number"):
        VLMTrainer("pong", "random", seed=seed)
