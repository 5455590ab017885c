"""`benchmarks/choose_weights.py`: the better player of each game, from folders of benches."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from atari_vlm.bench.matrix import bench
from atari_vlm.bench.settings import BenchSettings
from atari_vlm.errors import AtariVLMError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "choose_weights.py"
choose = runpy.run_path(str(SCRIPT))["main"]


def played(out, *players, **more):
    settings = {"games": ("qbert",), "players": players, "episodes": 1, **more}
    bench(BenchSettings(out=out, **settings), lambda line: None)
    return out


def test_the_better_player_of_each_game_is_named_with_the_scores_of_all(tmp_path, capsys):
    down = played(tmp_path / "down", "always-DOWN", "random")
    choose([played(tmp_path / "up", "always-UP"), down])
    told = capsys.readouterr().out
    assert told.startswith("qbert: always-DOWN (always-DOWN ")
    assert "; always-UP 0 in 1 episodes)" in told
    assert "random" not in told


def test_what_cannot_be_compared_is_refused_in_a_sentence(tmp_path):
    whole = played(tmp_path / "whole", "always-UP")
    cut = played(tmp_path / "cut", "always-DOWN", max_decisions=8)
    other = played(tmp_path / "other", "always-DOWN", seed=1)
    with pytest.raises(AtariVLMError, match=r"qbert, always-DOWN cannot be .*: its games were cut"):
        choose([whole, cut])
    with pytest.raises(AtariVLMError, match="The cells differ in seed: 0, 1"):
        choose([whole, other])
    with pytest.raises(AtariVLMError, match=r"There are no scores of a model in .*empty"):
        choose([tmp_path / "empty"])
