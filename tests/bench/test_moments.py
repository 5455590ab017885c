"""A bench whose cells fail, whose workers are killed, and which is stopped."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from atari_vlm import Decision
from atari_vlm.bench.matrix import bench, play_bench
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import ModelUnusable, StoreError
from tests.commands import command
from tests.kill_trials import records
from tests.runs.test_resume import hear_ctrl_c
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

GAMES = ("breakout", "pong", "freeway", "qbert")


def settings(out, **more):
    quick = {"games": ("pong",), "players": ("random",), "episodes": 1, "max_decisions": 8}
    return BenchSettings(**{**quick, "out": out, **more})


def silent(line):
    pass


def rows_of(out):
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Fatal:
    """Does something bad at decision 3, unless it left a trace of that before."""

    folder: str
    deed: str
    name: str = "fatal"

    async def decide(self, observation, history, rng):
        trace = Path(self.folder) / "trace"
        if observation.step == 3 and not trace.exists():
            trace.touch()
            if self.deed == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("a bug of the player")
        return Decision(observation.legal[0], frames=observation.interval)


def test_a_cell_whose_worker_is_killed_goes_on_where_it_was_and_searches_decide_as_in_one(tmp_path):
    lines = []
    fatal = Fatal(str(tmp_path), "killed")
    players = (fatal, "noop+lookahead:240")
    cells = bench(settings(tmp_path / "b", players=players, processes=2), lines.append)
    assert [(cell.status, cell.decisions) for cell in cells] == [("played", 8)] * 2
    said = [line for line in lines if "worker process" in line]
    assert said == [
        "pong, fatal: its worker process was killed by signal 9; another one goes on where it was."
    ]
    cells = bench(settings(tmp_path / "one", players=players[1:]), silent)
    ((_, alone),) = records(tmp_path / "one").items()
    assert alone in records(tmp_path / "b").values()


def test_an_error_in_a_players_own_code_leaves_a_row_and_the_rest_is_played(tmp_path):
    fatal = Fatal(str(tmp_path), "raises")
    asked = settings(tmp_path / "b", players=(fatal, "random"))
    with pytest.raises(ZeroDivisionError):
        bench(asked, silent)
    stopped, played = rows_of(tmp_path / "b")
    assert stopped["status"] == "stopped"
    assert stopped["problem"] == "ZeroDivisionError: a bug of the player"
    assert played["status"] == "played"
    assert {cell.status for cell in bench(asked, silent)} == {"played"}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refused_key_is_tried_once_and_every_cell_says_so(tmp_path, monkeypatch, processes):
    with Server(Answer(status=401, message="bad key", delay=0.2)) as server:
        serve_as(monkeypatch, openai=server)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        asked = settings(
            tmp_path, games=GAMES, players=("gpt-4o", "gpt-4o+blank"), processes=processes
        )
        cells, error = play_bench(asked, silent)
        assert server.count == 1
    assert isinstance(error, ModelUnusable)
    assert [(cell.game, cell.status) for cell in cells] == [
        (game, "stopped") for game in GAMES for _ in range(2)
    ]
    assert len([row for row in rows_of(tmp_path) if row["problem"]]) == 8


def test_nonsense_in_every_cell_ends_with_a_row_for_each(tmp_path):
    with Server(Answer(text="Let me think about it.")) as server:
        asked = settings(
            tmp_path,
            games=GAMES,
            players=("m",),
            processes=2,
            max_decisions=None,
            base_url=server.base_url,
        )
        cells, error = play_bench(asked, silent)
    assert error is None
    assert [(cell.game, cell.status) for cell in cells] == [(game, "invalid") for game in GAMES]
    assert all("named no legal action" in row["problem"] for row in rows_of(tmp_path))


def test_results_that_cannot_be_written_are_said_after_the_cells_were_played(tmp_path):
    (tmp_path / "results.csv").mkdir()
    cells, error = play_bench(settings(tmp_path), silent)
    assert [cell.status for cell in cells] == ["played"]
    assert isinstance(error, StoreError)
    done = command(
        *("bench", "--games", "pong", "--models", "random", "--no-baselines", "--out", "."),
        *("--episodes", 1, "--max-decisions", 8),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "random" in done.stdout
    assert "Results:" not in done.stdout
    assert "Cannot write results.csv: Is a directory" in done.stderr


def alive_in_group(group):
    """The processes of a group, but for those that ended and that nobody has waited for."""
    stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists())
    rest = (text.rpartition(")")[2].split() for text in stats)
    return [fields for fields in rest if int(fields[2]) == group and fields[0] != "Z"]


@pytest.mark.parametrize(
    ("name", "group", "processes"),
    [("SIGINT", True, 2), ("SIGTERM", False, 1)],
)
def test_a_bench_that_is_stopped_leaves_no_process_and_continues(tmp_path, name, group, processes):
    program = [sys.executable, "-m", "atari_vlm.cli.app", "bench", "--no-baselines"]
    program += ["--games", "pong,freeway", "--models", "m", "--episodes", "1"]
    program += ["--max-decisions", "12", "--processes", str(processes), "--out", str(tmp_path)]
    with Server(Answer(text="ACTION: NOOP", delay=0.1)) as server:
        program += ["--base-url", server.base_url]
        process = subprocess.Popen(
            program,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=hear_ctrl_c,
        )
        while server.count < 3 + processes:
            assert process.poll() is None
            time.sleep(0.01)
        number = getattr(signal, name)
        for _ in range(2):  # the second changes nothing
            (os.killpg if group else os.kill)(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert errors == "Stopped. What was done is kept; the same command continues.\n"
        assert process.returncode == 128 + number
        for _ in range(40):  # Python's tracker of resources ends a moment later
            if not (left := alive_in_group(process.pid)):
                break
            time.sleep(0.1)
        assert not left
        assert "stopped" in {row["status"] for row in rows_of(tmp_path)} or processes > 1
        asked = server.count
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [row["decisions"] for row in rows_of(tmp_path)] == ["12", "12"]
        assert server.count <= 24 + processes
        assert server.count > asked
