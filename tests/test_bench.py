"""The matrix of games and players."""

from __future__ import annotations

import csv
import json

import pytest

from atari_vlm.bench import BenchSettings, bench, best_constant
from atari_vlm.errors import AtariVLMError, InvalidSetting, UnknownName
from atari_vlm.store import Run


def settings(out, **more):
    quick = {"games": ("freeway", "pong"), "players": ("random", "noop", "best-constant", "expert")}
    return BenchSettings(**{**quick, "episodes": 2, "max_decisions": 120, "out": out, **more})


def test_every_cell_is_played_in_the_same_settings_and_written_down(tmp_path):
    told = []
    cells = bench(settings(tmp_path, processes=2), told.append)
    assert [(c.game, c.player) for c in cells] == [
        (game, player)
        for game in ("freeway", "pong")
        for player in ("random", "noop", "best-constant", "expert")
    ]
    assert len(told) == 8
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
    assert document["overall"]["noop"]["games"] == 2


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
def test_a_bench_that_cannot_be_played_says_why(tmp_path, more, error):
    with pytest.raises(error):
        bench(settings(tmp_path, **more), lambda line: None)
