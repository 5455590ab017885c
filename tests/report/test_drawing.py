"""The screens of long episodes, drawn by other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from atari_vlm.atari.pooling import POOLINGS
from atari_vlm.errors import StoreError
from atari_vlm.report import drawing as helping
from atari_vlm.report.drawing import Film, drawing
from atari_vlm.report.screens import pack_screens
from atari_vlm.runs.playback import recording
from atari_vlm.runs.replaying import Recording
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import DEFAULTS
from atari_vlm.trainer import VLMTrainer

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="a second process needs a second core",
)


def film(game: str, decisions: int, **settings) -> Film:
    """An episode whose actions say nothing of importance, and whose rewards are not on record."""
    known = {
        **DEFAULTS,
        **{"game": game, "frame_stack": 2, "frame_skip": 4, "repeat_action_probability": 0.25},
        **{"full_action_space": True, "max_frames": 108_000, **settings},
    }
    actions = ("FIRE", "UP", "LEFT", "RIGHTFIRE", "NOOP")
    held = min(3, known["frame_skip"])
    plays = [(actions[k % 5], held, None) for k in range(decisions)]
    return Film(Recording("a-run", known, 0, 7, plays))


def test_two_other_processes_draw_the_very_same_screens():
    films = [
        *(film("asteroids", 130, pool_frames=pooling) for pooling in POOLINGS),
        film("pong", 40, frame_skip=1, pool_frames="flicker"),
        film("pong", 20, frame_skip=20, pool_frames="flicker"),
        film("pacman", 70, frame_skip=2, pool_frames="flicker"),  # its screens are higher
        film("breakout", 0),
    ]
    with drawing(films, long=0) as draw:
        assert draw is not helping._drawn
        drawn = [draw(each) for each in films]
        assert [process.returncode for process in draw.__self__._processes] == [0, 0]
    assert drawn == [pack_screens(each.screens()) for each in films]


def test_an_episode_that_does_not_replay_is_the_same_error_from_another_process(tmp_path):
    run = Run.read(
        VLMTrainer("pong", "random", run_folder=tmp_path, max_decisions=60).train(1).folder
    )
    with closing(run):
        record = recording(run, 0)
    lied = [(action, frames, 5.0) for action, frames, _ in record.plays]
    wrong = Film(Recording(record.folder, record.settings, 0, record.seed, lied))
    with pytest.raises(StoreError) as here:
        pack_screens(wrong.screens())
    with drawing([wrong], long=0) as draw, pytest.raises(StoreError) as there:
        draw(wrong)
    assert str(there.value) == str(here.value)
    assert "decision 0 earned 5 then and 0 now" in str(here.value)


def test_a_helper_that_is_killed_costs_time_and_no_screen():
    long = film("montezuma_revenge", 600)
    with drawing([long], long=0) as draw:
        first, second = draw.__self__._processes
        first.kill()
        assert draw(long) == pack_screens(long.screens())
    assert second.returncode is not None


def test_short_episodes_are_drawn_here():
    with drawing([film("pong", 500)]) as draw:
        assert draw is helping._drawn


SCRIPT = """
import sys, time
from tests.report.test_drawing import film
from atari_vlm.report.drawing import drawing
with drawing([film("montezuma_revenge", 27_000)], long=0) as draw:
    print(*(process.pid for process in draw.__self__._processes), flush=True)
    time.sleep(60)
"""  # without `if __name__ == "__main__":`, which a helper does not need


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_helpers_end_with_the_process_that_started_them(number):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    helpers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(helpers) == 2
    process.send_signal(number)
    assert "helpers.py" not in process.communicate()[1]
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/stat").exists() and not _ended(pid) for pid in helpers):
        assert time.monotonic() < until
        time.sleep(0.05)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
