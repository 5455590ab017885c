"""The figures of a bench as people read them: what stands beside a score, and what is said."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from atari_vlm import stats
from atari_vlm.bench.cells import Cell
from atari_vlm.bench.matrix import bench
from atari_vlm.bench.page import render
from atari_vlm.bench.results import overall, write_results
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.cli.bench_table import print_bench
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run

pytest_plugins = ["tests.pages"]

SPREAD = tuple(float(score) for score in (14, 17, 12, 18, 15, 17, 11, 13, 19, 16))


def cell(game, scores, player="mine"):
    return Cell(
        game=game,
        player=player,
        scores=tuple(scores),
        mean=stats.mean_interval(scores),
        normalised=0.5,
        folder=f"{game}/{player}-s0",
        settings={"seed": 0},
    )


def printed(cells, tmp_path):
    console = Console(width=200, file=io.StringIO())
    print_bench(console, cells, tmp_path)
    return console.file.getvalue()


def test_a_reason_names_its_rows(tmp_path):
    cells = [cell("pong", SPREAD), cell("freeway", [0.0] * 10)]
    said = "No interval for freeway, mine: all 10 scores were equal."
    assert said in printed(cells, tmp_path)
    assert said in render(tmp_path, cells)
    assert "All 10 scores were equal." in printed(cells[1:], tmp_path)


def test_table_and_page_round_by_the_interval_and_the_files_do_not(tmp_path):
    cells = [cell("pong", [0.0, 1.0] * 5)]
    for text in (printed(cells, tmp_path), render(tmp_path, cells)):
        assert "0.07 to 0.93" in text
        assert "0.50" in text
    write_results(tmp_path, cells, None)
    (row,) = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert (row["mean"], row["low"]) == (0.5, cells[0].mean.low)
    assert len(str(row["low"])) > 10


def test_the_interval_over_games_says_which_games_it_takes_as_certain(tmp_path):
    cells = [cell("pong", SPREAD), cell("freeway", [0.0] * 10), cell("breakout", SPREAD)]
    (line,) = (each.line(name) for name, each in overall(cells).items())
    assert " if freeway, whose scores were all equal, never scores otherwise)" in line
    assert line in printed(cells, tmp_path)
    write_results(tmp_path, cells, None)
    record = json.loads((tmp_path / "results.json").read_text())["overall"]["mine"]
    assert record["equal_scores"] == ["freeway"]
    assert (record["no_interval"], record["iqm_low"]) == ("", None)
    assert record["no_iqm_interval"] == (
        "3 games are too few for an interval of the IQM; 5 would do"
    )
    assert " if " not in overall([cells[0], cells[2]])["mine"].line("mine")


def test_the_table_of_results_says_how_sure_its_intervals_are(tmp_path):
    write_results(tmp_path, [cell("pong", SPREAD), cell("freeway", [0.0] * 10)], None)
    with (tmp_path / "results.csv").open() as file:
        assert [row["confidence"] for row in csv.DictReader(file)] == ["0.95", ""]


class Doubting:
    """Considers what its model says, twice, before it plays it."""

    def __init__(self, policy):
        self.policy, self.name = policy, "doubting"

    async def decide(self, observation, history, rng):
        decision = await self.policy.decide(observation, history, rng)
        return replace(decision, calls=(), considered=(decision, decision))


@pytest.mark.parametrize("considered", [False, True])
def test_refusals_are_counted_beside_the_score(tmp_path, considered):
    def script(prompt):
        words = [part for turn in prompt.messages for part in turn.parts if isinstance(part, str)]
        asked_again = any("Nothing in this Atari game is real" in each for each in words)
        return "ACTION: RIGHT" if asked_again else "I'm sorry, but I can't help with that."

    player = ScriptedModel(script, name="mine")
    if considered:
        from atari_vlm.policies.vlm import VLMPolicy
        from atari_vlm.prompts.strategies import get_strategy

        player = Doubting(VLMPolicy(player, get_strategy("basic")))
    settings = BenchSettings(
        games=("pong",), players=(player, "noop"), episodes=1, max_decisions=3, out=tmp_path
    )
    cells = bench(settings, lambda line: None)
    assert [each.refusals for each in cells] == [6 if considered else 3, 0]
    assert f"{cells[0].refusals} refusals" in printed(cells, tmp_path)
    assert f"{cells[0].refusals} refusals" in render(tmp_path, cells)
    rows = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert [row["refusals"] for row in rows] == [each.refusals for each in cells]
    run = Run.read(tmp_path / cells[0].folder)
    assert ("Answers that refused to play", str(cells[0].refusals)) in replay_of(run).facts
    run.close()


def test_a_narrow_screen_shows_every_figure_of_a_bench(tmp_path, browser):
    (tmp_path / "index.html").write_text(render(tmp_path, [cell("pong", SPREAD, "m" * 90)]))
    size = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.driver.get((tmp_path / "index.html").as_uri())
    inside = (
        "return [...document.querySelectorAll('td')].filter(td => td.textContent)"
        ".every(td => td.scrollWidth <= td.clientWidth"
        " && td.getBoundingClientRect().right <= 420)"
    )
    assert browser.run(inside)
    assert browser.run("return document.documentElement.scrollWidth") <= 420
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
