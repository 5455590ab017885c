"""The run folder: what it keeps, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.runs.episode_log import EpisodeLog
from atari_vlm.runs.playback import environment, observations, pictures
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE, FORMAT
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Call, Decision, Lessons, Reply, Usage
from tests import hashing_player
from tests.run_files import change

SETTINGS = {
    "game": "pong",
    "model": "scripted",
    "frame_skip": 4,
    "frame_stack": 4,
    "repeat_action_probability": 0.25,
    "full_action_space": False,
    "max_frames": 108_000,
}


def played(folder, script=lambda prompt: "ACTION: RIGHT", game="pong", **settings):
    settings = {"max_decisions": 12, "prompt_type": "basic", **settings}
    trainer = VLMTrainer(
        game, "scripted", model=ScriptedModel(script), run_folder=folder, **settings
    )
    return trainer.train(1)


def test_what_was_asked_and_answered_is_read_back_word_for_word(tmp_path):
    asked = []

    def script(prompt):
        asked.append(prompt)
        return f"Réply {len(asked)} \ud83d </script>\nACTION: NOOP x{len(asked) % 4 + 1}"

    played(tmp_path, script)
    run = Run.read(tmp_path)
    frame = pictures(run)
    calls = [call for decision in run.decisions(0) for call in decision.calls]
    assert len(calls) == len(asked) == 12
    for call, prompt in zip(calls, asked, strict=True):
        assert call.prompt.text == prompt.text
        assert (call.prompt.legal, call.prompt.longest) == (prompt.legal, prompt.longest)
        for kept, shown in zip(call.prompt.frames, prompt.frames, strict=True):
            assert np.array_equal(frame(kept.episode, kept.step).pixels, shown.pixels)
    assert calls[3].reply.text == "Réply 4 \ud83d </script>\nACTION: NOOP x1"
    run.close()


def test_playback_shows_every_screen_and_the_end(tmp_path):
    played(tmp_path)
    run = Run.read(tmp_path)
    seen = list(observations(run, 0))
    assert len(seen) == 13
    assert [observation.step for observation in seen] == list(range(13))
    run.close()


def test_a_folder_of_another_game_is_not_touched(tmp_path):
    played(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match=r"it has game 'pong', not 'breakout'.*another folder"):
        played(tmp_path, game="breakout")
    assert (tmp_path / FILE).read_bytes() == before


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path):
    (tmp_path / FILE).write_bytes(b"SQLite format 3\0" + b"garbage" * 300)
    with pytest.raises(StoreError, match="damaged or not a run"):
        played(tmp_path)
    assert (tmp_path / FILE).read_bytes().startswith(b"SQLite format 3\0garbage")


def test_a_file_that_lost_its_middle_is_a_sentence(tmp_path):
    played(tmp_path, max_decisions=200)
    path = tmp_path / FILE
    blob = bytearray(path.read_bytes())
    for page in range(2, len(blob) // 4096):
        blob[page * 4096 : page * 4096 + 512] = b"\xff" * 512
    path.write_bytes(bytes(blob))
    with pytest.raises(StoreError, match="damaged"):
        played(tmp_path, max_decisions=200)


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(StoreError, match="holds no run"):
        Run.read(tmp_path)


def test_a_folder_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Not a directory"):
        Run.play(tmp_path / "file" / "run", SETTINGS)


def test_a_newer_format_is_not_guessed_at(tmp_path):
    Run.play(tmp_path, SETTINGS).close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("UPDATE settings SET value = '99' WHERE name = 'format'")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="format this version cannot read"):
        Run.read(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc lists the open files")
@pytest.mark.parametrize("opened", ["read", "play"])
def test_a_run_that_cannot_be_opened_leaves_no_file_open(tmp_path, opened):
    Run.play(tmp_path, SETTINGS).close()
    if opened == "read":
        with closing(sqlite3.connect(tmp_path / FILE)) as db:
            db.execute("UPDATE settings SET value = '99' WHERE name = 'format'")
            db.commit()
    with pytest.raises(StoreError) as caught:  # its traceback keeps what was not closed
        Run.read(tmp_path) if opened == "read" else Run.play(tmp_path, {**SETTINGS, "x": 1})
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert caught.value
    assert [link for link in links if link.startswith(str(tmp_path))] == []


def test_a_transaction_is_written_whole_or_not_at_all(tmp_path):
    run = Run.play(tmp_path, SETTINGS)

    def half():
        with run.writing() as db:
            db.execute("INSERT INTO texts(text) VALUES('half')")
            raise RuntimeError("stopped here")

    with pytest.raises(RuntimeError, match="stopped here"):
        half()
    run.close()
    db = sqlite3.connect(tmp_path / FILE)
    assert db.execute("SELECT count(*) FROM texts").fetchone() == (0,)
    db.close()


def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path):
    """The limit on the size of a file stands in for the disk: the kernel refuses to write on."""
    folder, log = tmp_path / "run", tmp_path / "calls"

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    program = [sys.executable, hashing_player.__file__, str(folder), str(log), "3", "1"]
    process = subprocess.run(program, preexec_fn=little_room, capture_output=True, check=False)
    assert process.returncode == 1
    assert b"the disk is full or failing" in process.stderr
    assert b"Everything up to the last decision is kept" in process.stderr
    run = Run.read(folder)
    kept = len(run.decisions(0)) + len(run.decisions(1)) + len(run.decisions(2))
    assert kept > 20
    run.close()
    hashing_player.play(tmp_path / "whole", tmp_path / "other", 3)
    hashing_player.play(folder, log, 3)
    for episode in range(3):
        ours, whole = Run.read(folder), Run.read(tmp_path / "whole")
        assert ours.plans(episode) == whole.plans(episode)
        assert ours.rewards(episode) == whole.rewards(episode)
        ours.close()
        whole.close()


def test_no_key_reaches_the_folder_and_no_address_may_hold_one(tmp_path):
    secret = "sk-very-secret-123"
    settings = {
        "model": ScriptedModel(lambda prompt: "RIGHT"),
        "prompt_type": "basic",
        "run_folder": tmp_path / "run",
        "max_decisions": 3,
    }
    address = f"http://user:{secret}@localhost:8000/v1?token={secret}"
    with pytest.raises(InvalidSetting, match="Keep name and password out of base_url") as refusal:
        VLMTrainer("pong", "scripted", secret, base_url=address, **settings)
    assert secret not in str(refusal.value)
    assert not (tmp_path / "run").exists()
    VLMTrainer("pong", "scripted", secret, **settings).train(1)
    for path in (tmp_path / "run").iterdir():
        assert secret.encode() not in path.read_bytes()


def test_what_a_decision_chose_between_is_read_back(tmp_path):
    env = environment(SETTINGS)
    env.begin(seed=0)
    observation = env.observe()
    prompt = get_strategy("basic")(observation, [], Lessons())

    def voice(number, **more):
        reply = Reply(text=f"Vöte {number} \ud83d", usage=Usage(1, 10, 0, 5, 0.5))
        call = Call(prompt, reply, number, "a fault")
        return Decision(action="NOOP", frames=2, source="repaired", calls=(call,), **more)

    inner = voice(3, reason="why", memory="remember")
    chosen = Decision(
        action="RIGHT", frames=4, source="searched", considered=(voice(1), voice(2), inner)
    )
    votes = Decision(action="LEFT", frames=1, source="searched", considered=(chosen,))
    run = Run.play(tmp_path, SETTINGS)
    log = EpisodeLog(run, 0, 0)
    log.decided(observation, votes)
    log.decided(replace(observation, step=1), inner)
    run.close()
    run = Run.read(tmp_path)
    (kept, plain) = run.decisions(0)
    assert plain.considered == ()
    (again,) = kept.considered
    assert (again.action, again.source, len(again.considered)) == ("RIGHT", "searched", 3)
    last = again.considered[2]
    assert (last.reason, last.memory, last.frames) == ("why", "remember", 2)
    assert [other.reply for other in again.considered] == [f"Vöte {k} \ud83d" for k in (1, 2, 3)]
    assert last.calls[0].prompt.text == prompt.text
    assert last.calls[0].fault == "a fault"
    assert kept.usage == votes.usage
    assert run.usage().calls == 3  # one of them was made once and stands in two decisions
    run.close()


def as_format_1(folder):
    """Make a run what the version before wrote."""
    db = sqlite3.connect(folder / FILE)
    db.executescript("DROP TABLE candidates; DROP TABLE lost;")
    db.execute("UPDATE settings SET value = '1' WHERE name = 'format'")
    db.commit()
    db.close()


def test_a_run_of_the_format_before_is_read_as_it_is_and_continued(tmp_path):
    played(tmp_path / "whole", max_decisions=20)
    played(tmp_path / "old", max_decisions=20)
    change(
        tmp_path / "old",
        "DELETE FROM steps WHERE step >= 9",
        "DELETE FROM calls WHERE step >= 9",
        "UPDATE episodes SET status = 'playing'",
    )
    as_format_1(tmp_path / "old")
    run = Run.read(tmp_path / "old")
    assert len(run.decisions(0)) == 9
    assert run.settings["format"] == 1
    run.close()
    db = sqlite3.connect(tmp_path / "old" / FILE)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
    db.close()
    assert "steps" in tables
    assert "candidates" not in tables  # reading changes nothing
    played(tmp_path / "old", max_decisions=20)
    old, whole = Run.read(tmp_path / "old"), Run.read(tmp_path / "whole")
    assert old.settings["format"] == FORMAT
    assert old.plans(0) == whole.plans(0)
    assert old.rewards(0) == whole.rewards(0)
    old.close()
    whole.close()


def test_a_run_of_format_2_opens_with_what_its_answers_cost_then(tmp_path):
    played(tmp_path, max_decisions=6)
    db = sqlite3.connect(tmp_path / FILE)
    for seed, reply in db.execute("SELECT seed, reply FROM replies").fetchall():
        then = json.loads(reply)
        then["usage"] = {
            "calls": 1,
            "input_tokens": 900,
            "cached_tokens": 300,
            "output_tokens": 40,
            "dollars": 0.5,
            "seconds": 1.0,
        }
        db.execute("UPDATE replies SET reply = ? WHERE seed = ?", (json.dumps(then), seed))
    db.execute("UPDATE settings SET value = '2' WHERE name = 'format'")
    db.execute("DROP TABLE lost")
    db.commit()
    db.close()
    run = Run.read(tmp_path)
    assert run.usage() == Usage(6, 5400, 1800, 240, 3.0, 6.0)
    assert run.spent() == (5640, 3.0)
    run.close()
    played(tmp_path, max_decisions=6)
    run = Run.read(tmp_path)
    assert run.settings["format"] == FORMAT
    run.close()


def test_a_run_of_format_4_is_read_as_it_is_and_then_counts_unbelievable_answers_too(tmp_path):
    played(tmp_path, max_decisions=6)
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("ALTER TABLE totals DROP COLUMN uncounted")
    db.execute("UPDATE settings SET value = '4' WHERE name = 'format'")
    db.commit()
    db.close()
    with closing(Run.read(tmp_path)) as run:
        before, settings = run.usage(), run.settings
        assert (before.calls, before.uncounted) == (6, 0)
    played(tmp_path, max_decisions=6)
    with closing(Run.play(tmp_path, settings)) as run:
        run.remember(99, Reply(text="", usage=Usage(calls=1, uncertain=1, uncounted=1)), 0)
        assert run.usage() == before + Usage(calls=1, uncertain=1, uncounted=1)
