"""What the record of a run keeps beside decisions: costs, latencies, pictures, lessons, origins."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import StoreError
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.runs.episode_log import EpisodeJournal, EpisodeLog
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import SETTINGS_VERSION, completed, current_versions
from atari_vlm.runs.totals import LEARNING
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import (
    Call,
    Decision,
    Example,
    Frame,
    Lessons,
    Message,
    Plan,
    Prompt,
    Reply,
    Spent,
    Thinking,
    Usage,
)

SETTINGS = {"game": "pong", "model": "mine", "frame_skip": 4}


@pytest.fixture
def observation():
    env = AtariVLMEnvironment("pong")
    env.begin(seed=0)
    return env.observe()


@pytest.fixture
def run(tmp_path):
    with closing(Run.play(tmp_path / "run", SETTINGS)) as run:
        yield run


def frame(value, episode=-1, step=0):
    return Frame(np.full((210, 160), value, np.uint8), episode, step)


def showing(*frames, text="Look."):
    return Prompt(messages=(Message("user", (*frames, text)),), legal=("NOOP",), longest=4)


def decided(prompt, seed=1, **more):
    call = Call(prompt, Reply(text="NOOP", usage=Usage(1, 100, 0, 10, 0.5)), seed)
    return Decision("NOOP", 4, source="parsed", calls=(call,), **more)


def test_a_decision_is_read_back_with_memory_queue_and_what_it_took(run, observation):
    made = Decision(
        "LEFT",
        2,
        memory="Stay left.",
        queue=(Plan("NOOP", 4), Plan("FIRE", 9)),
        waited=8,
        thinking=Thinking("a life at risk", Spent(2, 90, None, 600), Spent(5, 210, None, 1200)),
    )
    EpisodeLog(run, 0, 0).decided(observation, made, 1.25)
    (again,) = run.decisions(0)
    assert (again.plan, again.memory, again.queue) == (made.plan, made.memory, made.queue)
    assert (again.waited, run.latencies(0)) == (8, [1.25])
    (step,) = run.trajectory(0).steps
    assert (step.decision.queue, step.decision.memory) == (made.queue, "Stay left.")
    assert again.thinking == step.decision.thinking == made.thinking
    assert run.episodes()[0].worker.endswith(f":{os.getpid()}")


def test_every_decision_of_a_run_has_its_latency(tmp_path):
    VLMTrainer("pong", "random", run_folder=tmp_path, max_decisions=5).train(1)
    with closing(Run.read(tmp_path)) as run:
        assert len(run.latencies(0)) == 5
        assert all(0 <= seconds < 60 for seconds in run.latencies(0))


def test_totals_are_stored_with_each_decision_and_are_the_sums(tmp_path):
    script = ScriptedModel(lambda prompt: "ACTION: FIRE" if len(prompt.messages) > 2 else "Hm.")
    trainer = VLMTrainer("pong", "mine", model=script, run_folder=tmp_path, max_decisions=7)
    trainer.train(2)
    with closing(Run.read(tmp_path)) as run:
        for episode in (0, 1, None):
            stored, computed = run.totals(episode), run._computed_totals(episode)
            assert stored.sources == computed.sources
            assert replace(stored.usage, seconds=0) == replace(computed.usage, seconds=0)
            assert stored.spent == computed.spent
        assert run.totals().sources == {"repaired": 14}
        assert run.usage().calls == 28


def test_thoughts_in_an_answer_are_stored_as_thinking_and_not_played(tmp_path):
    """Also where the answer has no action beside them; the words stay as they were."""
    script = ScriptedModel(
        lambda prompt: (
            "<THINK>ACTION: LEFT</THINK>ACTION: FIRE x2"
            if len(prompt.messages) > 2
            else "[THINK]Maybe ACTION: LEFT because"
        )
    )
    trainer = VLMTrainer("pong", "mine", model=script, run_folder=tmp_path, max_decisions=2)
    trainer.train(1)
    with closing(Run.read(tmp_path)) as run:
        for decision in run.decisions(0):
            assert (decision.plan, decision.source) == (("FIRE", 2), "repaired")
            assert "breaks off while thinking" in decision.calls[0].fault
            thinking = [call.reply.thinking for call in decision.calls]
            assert thinking == ["Maybe ACTION: LEFT because", "ACTION: LEFT"]
            assert decision.reply == "<THINK>ACTION: LEFT</THINK>ACTION: FIRE x2"


def test_an_answer_is_counted_once_by_whoever_stores_it_first(run, observation):
    journal, log = EpisodeJournal(run, 0), EpisodeLog(run, 0, 0)
    made = decided(get_strategy("basic")(observation, [], Lessons()), seed=7)
    journal.remember(7, made.calls[0].reply)
    assert run.usage().calls == 1
    log.decided(observation, made)
    assert (run.usage().calls, run.spent()) == (1, (110, 0.5))
    assert run.spent(0) == run.spent()
    assert run.spent(1) == (0, 0.0)


def test_what_was_not_committed_is_forgotten(run, observation):
    """A text, picture or sum of a transaction that failed is written again by the next."""
    log = EpisodeLog(run, 0, 0)
    run._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON steps BEGIN SELECT RAISE(ABORT, 'stop'); END"
    )
    lost = decided(showing(frame(1), text="lost"))
    with pytest.raises(Exception, match="stop"):
        log.decided(observation, lost)
    run._db.execute("DROP TRIGGER full")
    log.decided(observation, decided(showing(frame(2), text="kept"), seed=2))
    log.decided(replace(observation, step=1), lost)
    texts = [made.calls[0].prompt.messages[0].parts[-1] for made in run.decisions(0)]
    assert texts == ["kept", "lost"]
    assert run.usage().calls == 2
    assert run.sources() == {"parsed": 2}


def test_what_is_read_after_a_full_file_is_what_was_written(run, observation):
    """Commits fail for real: the file may not grow. Then there is room again."""
    log = EpisodeLog(run, 0, 0)
    (pages,) = run._db.execute("PRAGMA page_count").fetchone()
    prompts = [showing(frame(k, step=k % 3), text=f"{k} " * 3000) for k in range(40)]
    written, failed = [], 0
    for k, prompt in enumerate(prompts):
        room = pages + 4 * len(written) + 30 * (k % 3 == 0)
        run._db.execute(f"PRAGMA max_page_count = {room}")
        try:
            log.decided(replace(observation, step=len(written)), decided(prompt, seed=k))
            written.append(k)
        except StoreError as error:
            failed += "full" in str(error)
    assert failed > 5
    assert len(written) > 5
    run._db.execute("PRAGMA max_page_count = 100000")
    kept = run.adopted()
    for k, made in zip(written, run.decisions(0), strict=True):
        (call,) = made.calls
        assert call.prompt.messages[0].parts[-1] == f"{k} " * 3000
        (shown,) = call.prompt.frames
        assert np.array_equal(kept[shown.episode, shown.step].pixels, frame(k).pixels)
        assert call.seed == k
    assert run.usage().calls == len(written)


def test_a_screen_that_a_wrapper_drew_on_is_kept_beside_the_true_one(run, observation):
    """An example, an ablation and the observation may all have the place (0, 0)."""
    true = observation.frames[-1]
    drawn = replace(true, pixels=np.full_like(true.pixels, 7))
    ablated, example = frame(8, -1, 0), frame(9, -1, 0)
    pal = replace(frame(8, -1, 0), standard="pal")
    log = EpisodeLog(run, 0, 0)
    log.decided(observation, decided(showing(true, drawn, ablated, example, pal)))
    places = [(each.episode, each.step) for each in run.decisions(0)[0].calls[0].prompt.frames]
    kept = run.adopted()
    assert places[0] == (0, 0)
    assert len(set(places)) == 5
    shown = [(int(kept[place].pixels[0, 0]), kept[place].standard) for place in places[1:]]
    assert shown == [(7, "ntsc"), (8, "ntsc"), (9, "ntsc"), (8, "pal")]


def test_pictures_of_one_place_that_differ_are_both_kept(run, observation):
    """An example of another run and the screen of an ablation may have the same numbers."""
    one, other = frame(1, -1, 3), frame(2, -1, 3)
    log = EpisodeLog(run, 0, 0)
    log.decided(observation, decided(showing(one, other, frame(1, -1, 3))))
    first, second, third = run.decisions(0)[0].calls[0].prompt.frames
    kept = run.adopted()
    assert np.array_equal(kept[first.episode, first.step].pixels, one.pixels)
    assert np.array_equal(kept[second.episode, second.step].pixels, other.pixels)
    assert (first.episode, first.step) == (third.episode, third.step) == (-1, 3)
    assert len(kept) == 2


def test_lessons_are_read_back_with_their_screens_and_what_they_cost(run, observation):
    EpisodeLog(run, 0, 0)
    lessons = Lessons(
        examples=(Example("Go up.", frame(5)), Example("Words alone.")),
        advice=("Wait \ud83d for it.",),
        episodes=3,
        mean_score=1.5,
    )
    call = Call(
        showing(text="What did you learn?"), Reply(text="Wait.", usage=Usage(1, 9, 0, 1, 0)), 4
    )
    run.store_lessons(3, "mine", lessons, [call])
    again = run.lessons(3, pictures(run))
    assert [example.text for example in again.examples] == ["Go up.", "Words alone."]
    assert np.array_equal(again.examples[0].frame.pixels, frame(5).pixels)
    assert again.examples[1].frame is None
    assert again.advice == ("Wait \\ud83d for it.",)
    assert (again.episodes, again.mean_score) == (3, 1.5)
    assert run.lessons(0, pictures(run)) is None
    (stored,) = run.learning_calls()
    assert (stored.prompt.text, stored.reply.text) == ("What did you learn?", "Wait.")
    assert run.totals(LEARNING).usage.calls == run.usage().calls == 1
    assert [row.episode for row in run.episodes()] == [0]


def test_tokens_and_their_probabilities_are_kept_where_a_model_gives_them():
    reply = Reply(text="UP", token_ids=(5, 7), log_probabilities=(-0.5, -1.25))
    assert reply_from_json(reply_to_json(reply)) == reply
    plain = Reply(text="UP")
    assert "token_ids" not in json.loads(reply_to_json(plain))
    assert reply_from_json(reply_to_json(plain)) == plain


def test_a_fork_names_its_parent(run, tmp_path):
    assert run.parent() is None
    run.fork_of(tmp_path / "first", 2, 40)
    run.fork_of(tmp_path / "first", 2, 41)
    assert run.parent() == (str(tmp_path / "first"), 2, 41)


def test_settings_have_versions_and_defaults_for_absent_keys(tmp_path):
    VLMTrainer("pong", "random", run_folder=tmp_path, max_decisions=2).train(1)
    with closing(Run.read(tmp_path)) as run:
        assert {name: run.settings[name] for name in current_versions()} == current_versions()
        assert run.settings["settings_version"] == SETTINGS_VERSION
    old = completed({"game": "pong", "prompt": "specialist"})
    assert old["settings_version"] == old["prompt_version"] == old["pooling_version"] == 1
    assert (old["mode"], old["decide"], old["prompt"]) == (None, "words", "embedded")


def test_a_game_mode_is_played_recorded_and_part_of_what_a_run_is(tmp_path):
    def play(folder, **options):
        trainer = VLMTrainer("breakout", "random", run_folder=folder, max_decisions=60, **options)
        trainer.train(1)
        with closing(Run.read(folder)) as run:
            return run.settings, [screen.frames[-1].pixels for screen in pictures_of(run)]

    def pictures_of(run):
        from atari_vlm.runs.playback import observations

        return list(observations(run, 0))

    usual, plain = play(tmp_path / "a")
    settings, other = play(tmp_path / "b", mode=12, difficulty=1)
    assert (usual["mode"], settings["mode"], settings["difficulty"]) == (None, 12, 1)
    assert any(not np.array_equal(a, b) for a, b in zip(plain, other, strict=True))
    with pytest.raises(Exception, match="mode 12, not None"):
        play(tmp_path / "b")


def test_a_run_is_created_whole_under_a_name_nobody_can_guess(tmp_path):
    (tmp_path / "run.new").symlink_to(tmp_path / "target")
    (tmp_path / "target").write_text("mine")
    Run.play(tmp_path, SETTINGS).close()
    assert (tmp_path / "target").read_text() == "mine"
    assert sqlite3.connect(tmp_path / "run.sqlite").execute("SELECT 1 FROM settings").fetchone()
    assert not list(tmp_path.glob(".run.sqlite.*"))
