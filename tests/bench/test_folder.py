"""Several benches in one folder: their rows, their files, their budget and their page."""

from __future__ import annotations

import csv
import json
import re
import shutil

import pytest

from atari_vlm import Decision
from atari_vlm.bench.matrix import bench, play_bench
from atari_vlm.bench.page import write_bench_page
from atari_vlm.bench.results import read_results
from atari_vlm.bench.settings import BenchSettings, without_lessons
from atari_vlm.errors import BudgetExceeded, InvalidSetting, ModelUnusable, StoreError
from atari_vlm.models.scripted import ScriptedModel
from tests.commands import command
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

PLAYS = Answer(text='{"reasoning": "", "action": "NOOP"}', tokens=(1000, 0, 100))
PRICE = 1000 * 2.5e-6 + 100 * 10e-6
"""Of one answer of gpt-4o above."""


def settings(out, **more):
    quick = {"games": ("pong",), "players": ("random",), "episodes": 1, "max_decisions": 8}
    return BenchSettings(**{**quick, "out": out, **more})


def silent(line):
    pass


@pytest.fixture
def hosted(monkeypatch):
    """A server that speaks OpenAI's protocol, at the vendor's price."""
    with Server(PLAYS) as server:
        serve_as(monkeypatch, openai=server)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        yield server


def rows_of(out):
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


# --- checked first -------------------------------------------------------------------------------


def test_a_player_that_cannot_play_a_game_is_an_empty_cell_and_the_rest_is_played(tmp_path):
    lines = []
    players = ("expert", "embedded", "always-UP", "random")
    cells = bench(settings(tmp_path, games=("tetris",), players=players), lines.append)
    assert [cell.status for cell in cells] == ["cannot play"] * 3 + ["played"]
    assert "no scripted expert for 'tetris'" in cells[0].problem
    assert "was not taught" in cells[1].problem
    assert lines.index(f"tetris, embedded: cannot play. {cells[1].problem}") < lines.index(
        "tetris, random: begins, 1 episode"
    )
    rows = rows_of(tmp_path)
    assert [(row["status"], row["mean"], bool(row["problem"])) for row in rows] == [
        *[("cannot play", "", True)] * 3,
        ("played", "0.0", False),
    ]
    again = bench(settings(tmp_path), silent)
    assert [cell.game for cell in again] == ["pong"]
    assert [row["status"] for row in rows_of(tmp_path)].count("cannot play") == 3


@pytest.mark.parametrize(
    ("players", "message"),
    [
        (("expert",), "No player can play any of the games. There is no scripted expert"),
        (("random", "gpt-4p"), "No model is called 'gpt-4p'"),
        (("random", "gpt-4o"), "OPENAI_API_KEY"),
        (("random", "always-DANCE"), "No constant player is called 'always-DANCE'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_played(tmp_path, players, message):
    with pytest.raises((InvalidSetting, LookupError, ModelUnusable), match=message):
        bench(settings(tmp_path, games=("tetris",), players=players), silent)
    assert not list(tmp_path.rglob("run.sqlite"))


def test_an_option_that_no_player_follows_is_refused(tmp_path):
    with pytest.raises(InvalidSetting, match="These players cannot follow prompt_type, history;"):
        settings(tmp_path, players=("embedded", "random"), history=6, prompt_type="cot")


def test_a_bench_says_which_players_learn_nothing_though_others_do(tmp_path):
    players = ("embedded", "gpt-4o", "expert", "random")
    (embedded, expert) = without_lessons(
        settings(tmp_path, players=players, reflect=True, use_in_context_learning=True)
    )
    assert embedded.startswith("embedded reads no lessons, so it learns nothing from what it plays")
    assert str(InvalidSetting(embedded)).endswith("plays without use_in_context_learning, reflect.")
    assert expert.startswith("expert has no model, so it learns nothing")
    assert not [*without_lessons(settings(tmp_path, players=players))]


def test_the_command_says_which_cells_are_empty_and_fails_if_all_are(tmp_path):
    arguments = ("--models", "expert", "--no-baselines", "--max-decisions", 8, "--episodes", 1)
    failed = command("bench", "--games", "tetris", *arguments, cwd=tmp_path)
    assert failed.returncode != 0
    assert failed.stderr.startswith("Error: No player can play any")
    done = command("bench", "--games", "tetris,pong", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "tetris, expert: cannot play. There is no scripted expert" in done.stdout


# --- invalid and stopped cells -------------------------------------------------------------------


def test_an_invalid_cell_is_a_row_with_its_reason_now_and_on_every_rerun(tmp_path):
    silly = ScriptedModel(lambda prompt: "Let me think about it.", name="silly")
    asked = settings(tmp_path, players=(silly, "random"), max_decisions=None, games=("freeway",))
    for _ in range(2):
        invalid, played = bench(asked, silent)
        assert (invalid.status, invalid.mean, invalid.scores) == ("invalid", None, ())
        assert "named no legal action 20 times in a row" in invalid.problem
        assert "The last reason:" in invalid.problem
        assert played.status == "played"
        row = json.loads((tmp_path / "results.json").read_text())["cells"][0]
        assert (row["mean"], row["problem"]) == (None, invalid.problem)


def test_the_command_fails_at_the_end_if_a_cell_is_invalid(tmp_path):
    with Server(Answer(text="Let me think about it.")) as server:
        done = command(
            *("bench", "--games", "pong", "--models", "x,random", "--no-baselines"),
            *("--episodes", 1, "--max-decisions", 30, "--base-url", server.base_url),
            cwd=tmp_path,
        )
    assert done.returncode == 1, done.stderr
    assert "1 of 2 cells is invalid: pong, x. It is played again" in done.stderr
    assert "pong, random" in done.stdout
    assert [row["status"] for row in rows_of(tmp_path / "bench")] == ["invalid", "played"]


def test_a_server_that_refuses_a_key_stops_its_player_and_no_other(tmp_path, monkeypatch):
    with Server(Answer(status=401, message="bad key")) as server:
        serve_as(monkeypatch, openai=server)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        asked = settings(tmp_path, games=("pong", "freeway"), players=("gpt-4o", "random"))
        cells, error = play_bench(asked, silent)
        assert server.count == 1
    assert isinstance(error, ModelUnusable)
    assert [cell.status for cell in cells] == ["stopped", "played"] * 2


# --- one folder, several benches -----------------------------------------------------------------


def test_results_hold_every_bench_of_the_folder_with_the_settings_that_differ(tmp_path, hosted):
    bench(settings(tmp_path, players=("gpt-4o", "random"), prompt_type="basic"), silent)
    bench(settings(tmp_path, players=("gpt-4o",), prompt_type="cot", temperature=0.3), silent)
    bench(settings(tmp_path, games=("freeway",), players=("noop",)), silent)
    rows = rows_of(tmp_path)
    assert sorted((row["game"], row["player"], row["prompt"], row["run"]) for row in rows) == [
        ("freeway", "noop", "none", "freeway/noop-s0"),
        ("pong", "gpt-4o", "basic", "pong/gpt-4o-basic-s0"),
        ("pong", "gpt-4o", "cot", "pong/gpt-4o-cot-s0"),
        ("pong", "random", "none", "pong/random-s0"),
    ]
    asked = hosted.count
    bench(settings(tmp_path, players=("gpt-4o",), prompt_type="basic", history=2), silent)
    assert hosted.count == asked + 8
    assert len(rows_of(tmp_path)) == 5
    bench(settings(tmp_path, players=("gpt-4o",), prompt_type="basic"), silent)
    assert hosted.count == asked + 8


def test_every_setting_that_decides_a_score_is_in_the_files(tmp_path, hosted):
    bench(settings(tmp_path, players=("gpt-4o",), seed=3, frame_skip=8, history=6), silent)
    document = json.loads((tmp_path / "results.json").read_text())
    (row,), (cell,) = rows_of(tmp_path), document["cells"]
    decides = {"seed": 3, "frame_skip": 8, "history": 6, "max_decisions": 8, "prompt": "basic"}
    for name, value in decides.items():
        assert (row[name], cell["settings"][name]) == (str(value), value)
        assert document["settings"][name] == value
    named = {"prompt_version", "base_url", "repeat_action_probability", "frames_in_prompt"}
    named |= {"resize_shape", "temperature", "max_tokens", "decisions_per_call", "plans"}
    named |= {"atari_vlm", "ale_py", "pooling_version", "frame_stack", "max_frames"}
    assert named <= row.keys()
    assert named <= cell["settings"].keys()


def test_names_that_a_spreadsheet_would_run_are_escaped(tmp_path):
    class Formula:
        name = "=HYPERLINK(A1)"

        async def decide(self, observation, history, rng):
            return Decision("NOOP", frames=observation.interval)

    bench(settings(tmp_path, players=(Formula(),)), silent)
    (row,) = rows_of(tmp_path)
    assert row["player"] == "'=HYPERLINK(A1)"


# --- money ---------------------------------------------------------------------------------------


def test_a_bench_says_what_it_will_cost_and_what_it_cost(tmp_path, hosted):
    lines = []
    cells = bench(settings(tmp_path, players=("gpt-4o", "random")), lines.append)
    assert lines[0].startswith("Estimate: about 8 calls, ")
    assert next(line for line in lines if "scored" in line).endswith(f"; ${8 * PRICE:.4f} spent")
    assert cells[0].usage.dollars == pytest.approx(8 * PRICE)
    assert [float(row["dollars"]) for row in rows_of(tmp_path)] == [pytest.approx(8 * PRICE), 0]
    spent = json.loads((tmp_path / "results.json").read_text())["spent"]
    assert spent["dollars"] == pytest.approx(8 * PRICE)
    lines.clear()
    bench(settings(tmp_path, players=("gpt-4o", "random")), lines.append)
    assert not [line for line in lines if line.startswith("Estimate")]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_budget_caps_the_whole_bench_and_what_is_left_goes_to_the_next_cell(
    tmp_path, hosted, processes
):
    asked = {"games": ("pong", "freeway", "breakout"), "players": ("gpt-4o", "noop")}
    asked |= {"max_tokens": 200, "processes": processes}
    budget = 20 * PRICE  # of 24 calls
    cells, error = play_bench(settings(tmp_path, **asked, budget=budget), silent)
    assert isinstance(error, BudgetExceeded)
    assert "This bench has spent" in str(error)
    paid = [cell for cell in cells if cell.player == "gpt-4o"]
    assert 8 * PRICE < sum(cell.usage.dollars for cell in paid) <= budget
    assert hosted.count <= 20
    assert {cell.status for cell in cells if cell.player == "noop"} == {"played"}
    assert "stopped" in {cell.status for cell in paid}
    recorded = json.loads((tmp_path / "results.json").read_text())["budget"]
    assert recorded["dollars"] == budget
    assert recorded["spent_dollars"] == pytest.approx(hosted.count * PRICE)
    higher = bench(settings(tmp_path, **asked, budget=30 * PRICE), silent)
    assert {cell.status for cell in higher} == {"played"}
    assert hosted.count == 24


# --- the page ------------------------------------------------------------------------------------


def test_the_page_of_a_bench_links_to_the_replay_of_each_cell(tmp_path):
    bench(settings(tmp_path, players=("random", "expert"), games=("pong", "tetris")), silent)
    done = command("report", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text()
    links = re.findall('href="([^"]+replay.html)"', page)
    runs = ("pong/random-s0", "pong/expert-s0", "tetris/random-s0")
    assert links == [f"{run}/replay.html" for run in runs]
    assert all((tmp_path / link).is_file() for link in links)
    assert "no scripted expert for &#x27;tetris&#x27;" in page
    part = command("report", tmp_path / "pong", cwd=tmp_path)
    assert part.returncode == 2
    assert f"holds 2 runs: name one, such as {tmp_path / 'pong'}" in part.stderr
    assert f", or the bench, {tmp_path}." in part.stderr


def test_a_folder_of_an_older_bench_keeps_its_rows_and_has_a_page(tmp_path):
    """It named neither prompts nor runs, and kept the best constant under its action's name."""
    bench(settings(tmp_path, games=("freeway",), players=("best-constant",)), silent)
    shutil.move(tmp_path / "freeway" / "best-constant-s0", tmp_path / "freeway" / "always-NOOP-s0")
    old = {"game": "freeway", "player": "best-constant", "note": "always-NOOP"}
    document = {"settings": {"seed": 0}, "cells": [old]}
    (tmp_path / "results.json").write_text(json.dumps(document))
    write_bench_page(tmp_path)
    assert [cell.player for cell in read_results(tmp_path)] == ["best-constant"]
    lines = []
    bench(settings(tmp_path, games=("freeway",), players=("best-constant", "noop")), lines.append)
    assert "freeway, best-constant: trying each action" not in lines
    assert [row["run"] for row in rows_of(tmp_path)] == [
        "freeway/always-NOOP-s0",
        "freeway/noop-s0",
    ]


# --- folders that are not as they should be ------------------------------------------------------


def test_a_damaged_run_of_another_game_stops_no_bench_without_a_budget(tmp_path):
    bench(settings(tmp_path, games=("freeway",), players=("noop",)), silent)
    (damaged,) = tmp_path.glob("freeway/*/run.sqlite")
    damaged.write_bytes(b"no database" * 300)
    (cell,) = bench(settings(tmp_path, players=("random",)), silent)
    assert cell.status == "played"


def test_a_bench_that_cannot_be_written_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Cannot write a bench to .*file: it is a file"):
        bench(settings(tmp_path / "file", players=("random",)), silent)
    assert command("bench", "--models", "random", "--out", "file", cwd=tmp_path).returncode == 2


def test_pooling_is_for_players_that_can_follow_it(tmp_path):
    asked = settings(tmp_path, players=("embedded", "random"), pool_frames="last")
    assert "pool_frames='last'" in repr(asked)
    assert len(repr(asked)) < 400
    bench(asked, silent)
    assert [row["pool_frames"] for row in rows_of(tmp_path)] == ["brighter", "last"]
