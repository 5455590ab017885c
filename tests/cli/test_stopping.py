"""Commands that are stopped before they have begun, and outputs that cannot be written."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from atari_vlm.runs.run import Run
from tests.runs.test_resume import hear_ctrl_c

OURS = [sys.executable, "-m", "atari_vlm.cli.app"]
ROOT = Path(__file__).resolve().parents[2]

PRESS = """
import os, signal, sys

class Press:
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
"""
"""Presses Ctrl-C when a module is looked for."""


KEPT = "Stopped. What was done is kept; the same command continues.\n"


@pytest.mark.parametrize(
    ("program", "module", "code", "said"),
    [
        (["-m", "atari_vlm.cli.app", "play"], "gymnasium", -signal.SIGINT, ""),
        ([str(ROOT / "train_atari_vlm.py")], "gymnasium", -signal.SIGINT, ""),
        (["-m", "atari_vlm.cli.app", "play"], "atari_vlm.cli.live_view", 130, KEPT),
    ],
)
def test_ctrl_c_during_any_import_prints_no_traceback(tmp_path, program, module, code, said):
    (tmp_path / "sitecustomize.py").write_text(PRESS.format(name=module))
    done = subprocess.run(
        [sys.executable, *program, "--game", "pong", "--max-decisions", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"},
        preexec_fn=hear_ctrl_c,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, said)


def shell(words, redirections, cwd):
    """Run a command with redirections of a shell; its exit code and what it says."""
    line = f"{shlex.join(map(str, words))} {redirections}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_an_output_that_cannot_be_written_to_is_one_sentence_and_what_was_played_is_kept(tmp_path):
    words = [*OURS, "play", "--model", "random", "--max-decisions", 2, "--run", "r"]
    full = "Error: Cannot write to the standard output: No space left on device.\n"
    parallel = ["--episodes", 2, "--parallel", 2]
    assert shell([*words, *parallel], "> /dev/full", tmp_path) == (1, full)
    with closing(Run.read(tmp_path / "r")) as run:
        assert run.episodes()


def test_a_pipe_without_a_reader_and_a_closed_output_print_no_traceback(tmp_path):
    assert shell([*OURS, "--help"], "| true; exit ${PIPESTATUS[0]}", tmp_path) == (141, "")
    code, said = shell([*OURS, "--help"], "<&- >&-", tmp_path)
    assert code == 1
    assert said.startswith("Error: The standard output is closed, so nothing can be shown.")
