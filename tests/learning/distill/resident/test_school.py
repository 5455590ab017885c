"""The resident school in miniature on the CPU: from no weights to players, and through mishaps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable, StoreError
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.models.embedded.checkpoints import checkpoint, weights
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.runs.schema import locked

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

GROUPS = (("pong",), ("freeway",))
TINY = {
    "groups": GROUPS,
    "device": "cpu",
    "precision": "fp32",
    "batch": 8,
    "workers": 0,
    "rows": 256,
    "chunk_rows": 64,
    "ready_rows": 64,
    "held_out_rows": 64,
    "opening": 0.1,
    "round_minutes": 0.002,
    "candidate_minutes": 0.004,
    "tuning_frames": 40,
    "checkpoint_seconds": 0.3,
    "report_seconds": 0.3,
    "episodes": 0,
}


def settings(out, **changes):
    return ResidentSettings(out=out, **{**TINY, "minutes": 0.04, **changes})


def raising(lines, error):
    """Takes lines, and raises an error instead of the first that reports steps."""

    def report(line):
        if line.startswith("step") and not any(each.startswith("step") for each in lines):
            lines.append(line)
            raise error
        lines.append(line)

    return report


def test_a_training_is_stopped_runs_out_of_memory_and_ends_in_weights_that_play(tmp_path):
    torch = pytest.importorskip("torch")
    from atari_vlm.learning.distill.resident.school import train_resident
    from atari_vlm.learning.distill.resident.selection import Selection

    short = settings(tmp_path, episodes=1, episode_frames=60)
    with locked(tmp_path), pytest.raises(StoreError, match="Another process is playing"):
        train_resident(short)
    with pytest.raises(KeyboardInterrupt):
        train_resident(replace(short, workers=1), raising([], KeyboardInterrupt()))
    assert (tmp_path / "checkpoint.pt").exists()
    lines = []
    result = train_resident(short, raising(lines, torch.OutOfMemoryError("CUDA out of memory")))

    said = "\n".join(lines)
    assert "Memory for 256 rows of 2 games" in said  # Freeway and Pong are easy ones
    assert "Continuing after" in said
    assert "anew, since rows are not kept" in said
    assert "with 0.5 times the rows and the batch" in said
    assert "decisions a second" in said
    assert "held out, minute" in said
    assert "| pong | " in said
    # The best snapshot is the one that was written.
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    selection = Selection(GROUPS)
    selection.load_state_dict(state["selection"])
    for number, choice in enumerate(result.choices):
        assert choice == selection.best(number)
        assert choice.games >= 4
        name = choice.group[0]
        snapshot = tmp_path / "snapshots" / f"{choice.version:06d}" / name
        written = (tmp_path / "weights" / name / "model.safetensors").read_bytes()
        assert written == (snapshot / "model.safetensors").read_bytes()
        assert choice.line() in said
    assert set(result.scores) == {"pong", "freeway"}
    assert result.rows["expert"] > 0
    assert short.command() in (tmp_path / "weights" / "README.md").read_text()
    assert set(EmbeddedModel(tmp_path).games) == {"pong", "freeway"}
    black = np.zeros((160, 160, 3), np.uint8)
    student = EmbeddedRuntime(tmp_path / "weights" / "pong")
    assert student.plan(black, "pong", np.random.default_rng(0)).frames >= 1
    with pytest.raises(InvalidSetting, match="holds a distillation with other settings"):
        train_resident(replace(short, rate=0.5))


SCRIPT = """
import json, os, sys
from pathlib import Path
from atari_vlm.learning.distill.resident.school import train_resident
from atari_vlm.learning.distill.resident.settings import ResidentSettings
asked = json.loads(sys.argv[2])
asked["groups"] = tuple(map(tuple, asked["groups"]))
os.write(1, f"{os.getpid()}\\n".encode())  # at once: two processes share the pipe
train_resident(ResidentSettings(out=Path(sys.argv[1]), **asked))
"""


def test_two_processes_are_killed_and_one_continues(tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.resident.school import train_resident

    script, out = tmp_path / "school.py", tmp_path / "out"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    asked = json.dumps({**TINY, "minutes": 60, "checkpoint_seconds": 0.1})
    running = subprocess.Popen(
        [*torchrun, "--nproc-per-node", "2", str(script), str(out), asked],
        env={
            **os.environ,
            "PYTHONPATH": os.path.dirname(os.path.dirname(weights().parent)),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in running.stdout:
        said.append(line.strip())
        if (out / "checkpoint.pt").exists():
            break
    pids = [int(line) for line in said if line.isdecimal()]
    for pid in (running.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    running.communicate()
    assert len(pids) == 2
    assert sum(line.startswith("Memory for") for line in said) == 1

    lines = []
    result = train_resident(settings(out, minutes=0.001), lines.append)
    assert any(line.startswith("Continuing after") for line in lines)
    assert result.steps >= 1
    assert EmbeddedRuntime(result.folder / "freeway").games == ("freeway",)


def test_a_loss_that_is_not_finite_stops_the_training_and_the_checkpoint_is_kept(dataset, tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.resident.school import train_resident

    lines = []
    wild = settings(tmp_path, rate=1e30, minutes=5, groups=(("pong",),), data=dataset)
    with pytest.raises(ModelUnusable, match=r"Training cannot go on after step .* not finite"):
        train_resident(wild, lines.append)
    assert f"120 rows of pong from {dataset}." in lines
    assert (tmp_path / "checkpoint.pt").exists()
    assert not (tmp_path / "weights").exists()


def test_older_weights_and_too_little_memory(tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.resident.school import train_resident

    little = settings(tmp_path / "new", base=checkpoint("pong"), groups=(("pong",),), memory=0.001)
    with pytest.raises(InvalidSetting, match="There is too little memory to train 1 game:"):
        train_resident(little)
    assert not (tmp_path / "new").exists()
