"""What a run will cost is said before it is played, what it cost afterwards, and caps hold."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from atari_vlm import Run, VLMTrainer
from tests.commands import command
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

TRAIN = ("train", "--game", "pong", "--model", "gpt-4o", "--icl", "--episodes", 1)
CUT = ("--evaluations", 1, "--max-decisions", 5, "--max-tokens", 100, "--save-dir", "runs")


@pytest.fixture
def server(monkeypatch):
    with Server(Answer(text='{"reasoning": "Wait.", "action": "NOOP", "frames": 2}')) as running:
        serve_as(monkeypatch, openai=running)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        yield running


def spent(folder):
    """Dollars of every run below a folder."""
    total = 0.0
    for file in folder.rglob("run.sqlite"):
        with closing(Run.read(file.parent)) as run:
            total += run.spent()[1]
    return total


def test_training_says_what_it_will_cost_and_what_all_phases_cost(tmp_path, server):
    done = command(*TRAIN, *CUT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("Evaluation before learning ...")
    assert re.search(r"Estimate: .*\$[0-9.]+", before)
    assert "All together:" in after
    billed = float(after.partition("All together:")[2].partition("$")[2].split()[0].rstrip(".,;"))
    assert billed == pytest.approx(spent(tmp_path), rel=0.02)
    assert server.count == 15


def test_one_budget_caps_training_and_evaluations_also_when_it_is_given_again(tmp_path, server):
    whole = command(*TRAIN, *CUT, "--run", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    price = spent(tmp_path / "whole") / 3
    capped = (*TRAIN, *CUT, "--run", "capped", "--budget", f"{1.5 * price:.6f}")
    for _ in range(2):
        done = command(*capped, cwd=tmp_path)
        assert done.returncode == 1
        assert "--budget" in done.stderr
        assert "the longest answer it may get: --max-tokens; what it really costs" in done.stderr
        assert 0 < spent(tmp_path / "capped") <= 1.5 * price


def test_an_estimate_of_games_and_models_has_a_row_for_each_and_their_total(tmp_path):
    done = command(
        *("estimate", "--games", "pong,freeway", "--models", "gpt-4o,gpt-6-luna,embedded"),
        *("--episodes", 2, "--max-decisions", 50, "--budget", 0.01),
        cwd=tmp_path,
        COLUMNS="120",
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    named = [row for row in rows if row[:1] in (["pong,"], ["freeway,"])]
    assert [row[1] for row in named] == ["gpt-4o"] * 2 + ["gpt-6-luna"] * 2
    for model in ("gpt-4o", "gpt-6-luna"):
        (theirs,) = [row for row in rows if row[:3] == ["all", "games,", model]]
        asked = [row for row in named if row[1] == model]
        assert float(theirs[-2]) == pytest.approx(sum(float(row[-2]) for row in asked), abs=0.02)
    (total,) = [row for row in rows if row[:1] == ["total"]]
    assert float(total[-2]) == pytest.approx(sum(float(row[-2]) for row in named), abs=0.02)
    assert "Not estimated: 'embedded' plays in this process" in done.stdout


def test_python_prints_the_estimate_with_its_progress_and_nothing_without(tmp_path, server, capfd):
    settings = {"max_decisions": 3, "run_folder": tmp_path / "a"}
    trained = VLMTrainer("pong", "gpt-4o", progress=True, **settings).train(1)
    assert trained.usage.dollars > 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("Estimate: ")
    assert "$" in lines[0]
    VLMTrainer("pong", "gpt-4o", progress=True, **settings).train(1)  # nothing is left to play
    VLMTrainer("pong", "gpt-4o", max_decisions=3, run_folder=tmp_path / "b").train(1)
    assert capfd.readouterr().err == ""
