"""Benches: games x players, their files, and continuing them."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from atari_vlm.bench.cells import Cell
from atari_vlm.bench.jobs import best_constant
from atari_vlm.bench.matrix import bench
from atari_vlm.bench.page import render, write_bench_page
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.bench.variants import settings_line
from atari_vlm.cli.bench_table import bench_table, print_bench
from atari_vlm.errors import AtariVLMError, BudgetExceeded, InvalidSetting, UnknownName
from atari_vlm.policies.baselines import RandomPolicy
from atari_vlm.runs.run import Run
from atari_vlm.stats import Interval
from tests.servers import Server
from tests.vendor_apis import Answer


def settings(out, **more):
    quick = {"games": ("freeway", "pong"), "players": ("random", "noop", "best-constant", "expert")}
    return BenchSettings(**{**quick, "episodes": 2, "max_decisions": 120, "out": out, **more})


def test_every_cell_is_played_in_the_same_settings_and_written_down(tmp_path):
    lines = []
    cells = bench(settings(tmp_path, processes=2), lines.append)
    assert [(c.game, c.player) for c in cells] == [
        (game, player)
        for game in ("freeway", "pong")
        for player in ("random", "noop", "best-constant", "expert")
    ]
    assert len([line for line in lines if " over 2 episodes" in line]) == 8
    random = [line.partition(": ")[2] for line in lines if line.startswith("pong, random: ")]
    assert random[0] == "begins, 2 episodes"
    assert [line[:23] for line in random[1:3]] == [
        "episode 1 of 2 scored -",
        "episode 2 of 2 scored -",
    ]
    assert random[1].endswith("in 120 decisions")
    assert "over 2 episodes" in random[3]
    assert "pong, best-constant: trying each action" in lines
    seeds = set()
    for place in ("random-s0", "noop-s0", "expert-s0"):
        run = Run.read(tmp_path / "freeway" / place)
        seeds.add(tuple(row.seed for row in run.episodes()))
        run.close()
    assert seeds == {(0, 1)}
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [cell.mean.value for cell in cells]
    assert {row["privileges"] for row in rows if row["player"] == "expert"} == {"ram"}
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["cells"][0]["scores"] == list(cells[0].scores)
    assert document["overall"] == {}  # games cut short are not normalised
    row = document["cells"][0]
    assert (row["low"], row["high"]) == (None, None)
    assert row["no_interval"] == "2 episodes are too few for an interval; 10 would do"
    assert row["no_interval"] in render(tmp_path, cells).lower()
    console = Console(width=80, file=io.StringIO())
    print_bench(console, cells, tmp_path)
    assert "2 episodes are too few for an interval; 10 would do." in console.file.getvalue()


def test_whole_games_are_normalised_and_summarised_over_games(tmp_path):
    whole = settings(tmp_path, players=("noop",), episodes=1, max_decisions=None)
    cells = bench(whole, lambda line: None)
    assert [cell.normalised for cell in cells] == [0.0, pytest.approx(-0.3 / 35.3)]
    document = json.loads((tmp_path / "results.json").read_text())
    noop = document["overall"]["noop"]
    assert noop["median"] == noop["mean"] == pytest.approx(-0.15 / 35.3)
    assert noop["no_interval"] == "1 episode a game is too few for an interval; 10 would do"


def test_the_best_constant_of_freeway_is_up(tmp_path):
    assert best_constant(settings(tmp_path), "freeway") == "always-UP"


def test_a_bench_continues_and_a_finished_one_plays_nothing(tmp_path):
    small = settings(tmp_path, games=("freeway",), players=("random",), episodes=1)
    bench(small, lambda line: None)
    more = settings(tmp_path, games=("freeway",), players=("random", "noop"), episodes=2)
    first = bench(more, lambda line: None)
    run = Run.read(tmp_path / "freeway" / "random-s0")
    assert len(run.episodes()) == 2
    run.close()
    assert bench(more, lambda line: None) == first
    (asked,) = bench(small, lambda line: None)
    assert len(asked.scores) == 1
    assert '<td class="number" data-label="episodes">2' in (
        write_bench_page(tmp_path).read_text("utf-8")
    )
    (row, _) = json.loads((tmp_path / "results.json").read_text("utf-8"))["cells"]
    assert (row["episodes"], len(row["scores"])) == (2, 2)  # as the page that links to it


def test_a_killed_bench_leaves_no_worker_behind_and_continues(tmp_path):
    arguments = ["--games", "pong", "--models", "random", "--no-baselines", "--episodes", "3"]
    command = [
        sys.executable,
        "-m",
        "atari_vlm.cli.app",
        "bench",
        *arguments,
        "--out",
        str(tmp_path),
    ]
    folder = tmp_path / "pong" / "random-s0"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (folder / "run.sqlite-wal").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for _ in range(20):  # the worker of the killed bench may need a moment to exit
        if "Another process" not in done.stderr:
            break
        time.sleep(0.25)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "over 3 episodes" in done.stdout


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"games": ()}, InvalidSetting),
        ({"players": ()}, InvalidSetting),
        ({"episodes": 0}, InvalidSetting),
        ({"games": ("pnog",)}, UnknownName),
        ({"players": ("nobody",)}, AtariVLMError),
        ({"players": ("always-DANCE",)}, UnknownName),
    ],
)
def test_a_bench_that_cannot_be_played_is_an_error(tmp_path, more, error):
    with pytest.raises(error):
        bench(settings(tmp_path, **more), lambda line: None)


def test_a_bench_passes_hosted_options_to_hosted_players_only(tmp_path):
    with pytest.raises(InvalidSetting, match="These players cannot follow budget;"):
        BenchSettings(games=("pong",), players=("random", "noop"), budget=1.0)
    hosted = {"games": ("pong",), "players": ("any", "random"), "episodes": 1, "out": tmp_path}
    with Server(Answer(text="ACTION: NOOP", tokens=(1000, 0, 100))) as server:
        asks = {"base_url": server.base_url, "max_decisions": 8}
        stopped = BenchSettings(**hosted, **asks, budget_tokens=18_000)
        with pytest.raises(BudgetExceeded, match="higher budget_tokens"):
            bench(stopped, lambda line: None)
        asked = server.count
        cached = BenchSettings(**hosted, **asks, cache=tmp_path / "c")
        cells = bench(cached, lambda line: None)
        assert (cells[0].decisions, server.count) == (8, 8)
    assert 0 < asked < 8


def test_numbers_are_not_wrapped_on_a_narrow_screen():
    cell = Cell(
        game="montezuma_revenge",
        player="iw-300",
        scores=(1.0,) * 10,
        mean=Interval(29196.5, 27443.0, 31453.2),
        normalised=0.42,
        privileges=("emulator",),
        fallbacks=3,
        decisions=9,
    )
    console = Console(width=80, file=io.StringIO())
    console.print(bench_table(console, [cell]))
    shown = console.file.getvalue()
    for part in ("montezuma_revenge", "29,196", "27,443 to 31,453", "0.42", "3 fallbacks"):
        assert part in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown


def test_a_bench_takes_no_key_that_would_reach_every_vendor_in_it():
    with pytest.raises(InvalidSetting, match="takes no api_key, which would reach every vendor"):
        BenchSettings(games=("pong",), players=("gpt-4o",), api_key="sk-x")


def test_a_bench_in_processes_ends_when_a_cell_fails_while_others_wait(tmp_path):
    players = ("always-DANCE", "random", "noop", "always-NOOP", "always-UP", "always-DOWN")
    with pytest.raises(UnknownName, match="always-DANCE"):
        bench(
            settings(tmp_path, games=("freeway",), players=players, processes=2), lambda line: None
        )


def test_a_folder_may_be_text_and_one_name_is_no_list_of_names(tmp_path):
    settings = BenchSettings(
        games=("freeway",), players=("noop",), episodes=1, max_decisions=2, out=str(tmp_path / "b")
    )
    bench(settings, lambda line: None)
    assert (tmp_path / "b" / "results.csv").exists()
    with pytest.raises(InvalidSetting, match=re.escape("write games=('freeway',)")):
        BenchSettings(games="freeway", players=("noop",))


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InvalidSetting, match="Two players are called 'random'"):
        BenchSettings(games=("pong",), players=("random", RandomPolicy()))


def test_a_setting_of_models_is_not_said_of_baselines():
    asked = {"seed": 0, "prompt": "basic", "frames_in_prompt": 2}
    players = {"gpt-4o": asked, "random": {**asked, "prompt": "none"}}
    cells = [Cell(game="pong", player=name, settings=its) for name, its in players.items()]
    of_models = "Of every model that follows them: prompt basic, frames 2."
    assert settings_line(cells) == f"Settings of every cell: seed 0. {of_models}"
    assert settings_line(cells[:1]) == "Settings of every cell: seed 0, prompt basic, frames 2."
