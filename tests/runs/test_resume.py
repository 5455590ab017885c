"""A run stopped at any moment continues as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atari_vlm.errors import StoreError
from atari_vlm.runs.run import Run
from tests import hashing_player
from tests.run_files import change

EPISODES = 3


def record(folder: Path):
    """Everything a run holds, but for the clock."""
    run = Run.read(folder)
    rows = [
        (row.episode, row.seed, row.status, row.score, row.decisions, row.frames)
        for row in run.episodes()
    ]
    played = [
        (d.action, d.frames, d.source, d.reason, [(c.prompt.text, c.reply.text) for c in d.calls])
        for row in run.episodes()
        for d in run.decisions(row.episode)
    ]
    rewards = [run.rewards(row.episode) for row in run.episodes()]
    run.close()
    return rows, played, rewards


def hear_ctrl_c():
    """What a script starts in the background is told to ignore Ctrl-C, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder, log, parallel=1):
    program = [sys.executable, hashing_player.__file__, str(folder), str(log), str(EPISODES)]
    program.append(str(parallel))
    return subprocess.Popen(program, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c)


def wait_for_calls(process, log, count):
    while not log.exists() or log.stat().st_size < count:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.001)


def play_whole(place, parallel=1):
    hashing_player.play(place / "run", place / "calls", EPISODES, parallel=parallel)
    return record(place / "run"), (place / "calls").stat().st_size


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return play_whole(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("parallel", [1, 2])
def test_kill_9_at_random_moments_changes_nothing_and_repeats_at_most_one_call_each(
    tmp_path, tmp_path_factory, parallel
):
    whole, calls = play_whole(tmp_path_factory.mktemp("whole"), parallel)
    folder, log = tmp_path / "run", tmp_path / "calls"
    rng, kills = random.Random(0), 0
    while True:
        process = start(folder, log, parallel)
        target = (log.stat().st_size if log.exists() else 0) + rng.randint(50, 130)
        while process.poll() is None and (not log.exists() or log.stat().st_size < target):
            time.sleep(0.0005)
        if process.poll() is not None:
            break
        time.sleep(rng.random() * 0.004)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stderr.close()
    assert process.returncode == 0, process.stderr.read().decode()
    process.stderr.close()
    assert kills >= 4
    assert record(folder) == whole
    repeated = log.stat().st_size - calls
    assert 0 <= repeated <= kills


def test_ctrl_c_stops_cleanly_and_the_same_command_continues(tmp_path, uninterrupted):
    whole, _ = uninterrupted
    folder, log = tmp_path / "run", tmp_path / "calls"
    process = start(folder, log)
    wait_for_calls(process, log, 60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    run = Run.read(folder)
    stopped = len(run.decisions(0))
    assert stopped
    assert None not in run.rewards(0)
    run.close()
    again = start(folder, log)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors.decode()
    assert record(folder) == whole


def test_two_runs_of_one_seed_are_identical(tmp_path, uninterrupted):
    whole, calls = uninterrupted
    hashing_player.play(tmp_path / "run", tmp_path / "calls", EPISODES)
    assert record(tmp_path / "run") == whole
    assert (tmp_path / "calls").stat().st_size == calls


def test_a_finished_run_asks_nothing_more_and_can_be_made_longer(tmp_path):
    folder, log = tmp_path / "run", tmp_path / "calls"
    first = hashing_player.play(folder, log, 1)
    asked = log.stat().st_size
    assert hashing_player.play(folder, log, 1).scores == first.scores
    assert log.stat().st_size == asked
    longer = hashing_player.play(folder, log, 2)
    assert longer.scores[:1] == first.scores
    assert len(longer.scores) == 2


def test_a_run_that_no_longer_replays_says_so(tmp_path):
    folder, log = tmp_path / "run", tmp_path / "calls"
    hashing_player.play(folder, log, 1)
    change(
        folder,
        "UPDATE steps SET reward = reward + 1 WHERE step = 7",
        "UPDATE episodes SET status = 'playing'",
    )
    with pytest.raises(StoreError, match="does not replay: decision 7 earned 1 then and 0 now"):
        hashing_player.play(folder, log, 1)


def test_two_processes_cannot_play_one_run(tmp_path):
    folder, log = tmp_path / "run", tmp_path / "calls"
    process = start(folder, log)
    try:
        wait_for_calls(process, log, 5)
        process.send_signal(signal.SIGSTOP)  # or it ends while the other one still waits for it
        with pytest.raises(StoreError, match="Another process is playing"):
            hashing_player.play(folder, log, 1)
    finally:
        process.kill()
        process.communicate()
