"""Type checkers see every option of `play` and `VLMTrainer`, and the protocols of extensions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GOOD = """
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atari_vlm import (
    Decision, Lessons, Message, Observation, Policy, Prompt, Reply, Step, Study, Trajectory,
    VLMTrainer, play,
)


class Up:
    name = "up"

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        return Decision(observation.legal[2], frames=observation.interval)


class Mine:
    name = "mine"
    prompt_type = "basic"

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        return Reply(text=prompt.legal[0])

    async def close(self) -> None: ...


class Learns:
    name = "learns"

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        return Lessons()


def terse(observation: Observation, history: Sequence[Step], lessons: Lessons) -> Prompt:
    return Prompt(messages=(Message("user", ("Act.",)),), legal=observation.legal, longest=4)


play("pong", Up(), episodes=2, max_decisions=30, progress=False)
play("pong", Mine(), strategy=terse, learner=Learns(), temperature=0.5, budget=1.0)
play("pong", "embedded+blank", seed=3, parallel=4)
one = VLMTrainer("pong", "mine", model=Mine(), strategy=terse, frame_skip=8, run_folder="runs/a")
two = VLMTrainer("pong", "up", policy=Up(), learner=Learns(), mode=1, difficulty=0)
score: float = one.train(3).scores[0]
"""

BAD = """
from atari_vlm import VLMTrainer, play

play("pong", "embedded", max_decision=30)
play("pong", "embedded", max_decisions="30")
play("pong", "embedded", episodes="2")
VLMTrainer("pong", "embedded", frameskip=4)
VLMTrainer("pong", "embedded", frame_skip="4")
VLMTrainer("pong", "embedded", use_in_context_learning="yes")
play("pong", 3)
"""


def test_keywords_and_extensions_are_checked(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    # Messages of both files come from one run, which reads the package once.
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(ROOT / "pyproject.toml"),
            str(tmp_path / "good.py"),
            str(tmp_path / "bad.py"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"(good|bad)\.py:(\d+): error: (.*)", checked.stdout)
    assert checked.returncode == 1, checked.stderr
    assert not [error for error in errors if error[0] == "good"]
    told = {int(line): message for _, line, message in errors}
    assert 'Unexpected keyword argument "max_decision" for "play"' in told[4]
    assert 'Argument "max_decisions" to "play" has incompatible type "str"' in told[5]
    assert 'Argument "episodes" to "play" has incompatible type "str"' in told[6]
    assert 'Unexpected keyword argument "frameskip" for "VLMTrainer"' in told[7]
    assert 'Argument "frame_skip" to "VLMTrainer" has incompatible type "str"' in told[8]
    assert 'Argument "use_in_context_learning" to "VLMTrainer"' in told[9]
    assert 'Argument 2 to "play" has incompatible type "int"' in told[10]
    assert len(told) == 7
