"""kill -9 while votes are in flight: nothing is lost, drawn differently or paid for twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from atari_vlm.runs.run import Run
from tests.kill_trials import made
from tests.policies.think.seeded_player import play

ROOT = Path(__file__).resolve().parents[3]


def record(folder):
    with closing(Run.read(folder)) as run:
        usage = replace(run.usage(), seconds=0.0)
        return [made(each) for each in run.decisions(0)], run.rewards(0), usage


WRAPPERS = "vote:3+adaptive:best-of:2+lookahead:40+summary:3"
"""Six votes at once, then a judge between the two that they elect, if these differ; what it prefers
is tried ahead, and every few decisions the model writes a note to itself."""


def test_kill_9_among_votes_changes_nothing_and_repeats_only_the_calls_in_flight(tmp_path):
    play(tmp_path / "whole", tmp_path / "whole.log", WRAPPERS)
    expected = (tmp_path / "whole.log").read_text().split()
    log = tmp_path / "cut.log"
    command = [sys.executable, "-m", "tests.policies.think.seeded_player"]
    arguments = [str(tmp_path / "cut"), str(log), WRAPPERS, "23"]
    process = subprocess.run([*command, *arguments], cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    summary = play(tmp_path / "cut", log, WRAPPERS)
    assert record(tmp_path / "cut") == record(tmp_path / "whole")
    asked = log.read_text().split()
    assert {*asked} == {*expected}
    assert len(asked) - len(expected) <= 6  # the votes of the decision that was interrupted
    assert summary.usage.calls == len(expected)
    assert summary.thought.decisions > 5
    with closing(Run.read(tmp_path / "cut")) as run:
        decisions = run.decisions(0)
    assert any("by the judge: answer" in each.reason for each in decisions)
    assert any(each.source == "searched" for other in decisions for each in other.considered)
    assert decisions[-1].memory
    assert any("try something else" in told_to(each) for each in decisions)


def told_to(decision):
    """The prompts of a decision, those of its candidates included."""
    own = "".join(call.prompt.text for call in decision.calls)
    return own + "".join(map(told_to, decision.considered))
