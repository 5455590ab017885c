"""What a bench cost, where a price is unknown or a request was cut off."""

from __future__ import annotations

import json
import os
import signal

import pytest
from rich.console import Console

from atari_vlm.bench.matrix import BenchSettings, play_bench
from atari_vlm.bench.results import read_results
from atari_vlm.cli.bench_table import print_bench
from atari_vlm.errors import BudgetExceeded, InvalidSetting
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.options import SpendOptions
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

NOOP = Answer(text="ACTION: NOOP")


def settings(out, models, **more):
    options = {"episodes": 1, "max_decisions": 3, "prompt_type": "basic", **more}
    return BenchSettings(games=("pong",), players=models, out=out, **options)


def shown(out, cells, capsys):
    capsys.readouterr()
    print_bench(Console(width=120), read_results(out, cells), out, written=True)
    return capsys.readouterr().out


def test_an_unknown_price_is_no_zero_in_the_results_and_a_sentence_in_the_table(tmp_path, capsys):
    with Server(NOOP) as server:
        asked = settings(tmp_path, ("m", "n"), base_url=server.base_url, budget_tokens=10**6)
        cells, error = play_bench(asked, lambda line: None)
    assert error is None
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["spent"]["dollars"] is None
    assert document["spent"]["cells_of_unknown_price"] == 2
    assert document["budget"]["spent_dollars"] is None
    assert document["budget"]["spent_tokens"] == 6 * 940
    said = (
        "Spent on all cells: 6 calls, 5,400 tokens in, 240 tokens out, what the calls of 2 cells "
        "cost is not known."
    )
    assert said in shown(tmp_path, cells, capsys)


def test_an_answer_whose_tokens_cannot_be_counted_is_not_called_free(tmp_path, monkeypatch, capsys):
    with Server(Answer(text="ACTION: NOOP", tokens=(100, 900, 40))) as server:
        serve_as(monkeypatch, openai=server)
        monkeypatch.setenv("OPENAI_API_KEY", "planted")
        cells, error = play_bench(settings(tmp_path, ("gpt-4o",), budget=5), lambda line: None)
    assert error is None
    (row,) = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert row["dollars"] == 0 < row["uncertain_dollars"]
    said = f"unknown, at most ${row['uncertain_dollars']:.4f}"
    table, _, below = shown(tmp_path, cells, capsys).partition("Spent on all cells: 3 calls")
    assert said in table
    assert said in below


def test_a_bench_that_is_stopped_says_what_may_be_billed(tmp_path, capsys):
    def stop(number, body):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
            return Answer(delay=30)
        return NOOP

    lines = []
    with Server(stop) as server:
        asked = settings(tmp_path, ("m",), base_url=server.base_url)
        with pytest.raises(KeyboardInterrupt):
            play_bench(asked, lines.append)
    assert lines[-1] == f"In {tmp_path}, 1 request failed and may have been charged."
    with Server(NOOP) as server, pytest.warns(UserWarning, match="has 2 answers of the server"):
        cells, _ = play_bench(settings(tmp_path, ("m",), base_url=server.base_url), lines.append)
    assert "Of all cells, 1 request failed and may have been charged." in shown(
        tmp_path, cells, capsys
    )
    spent = json.loads((tmp_path / "results.json").read_text())["spent"]
    assert (spent["uncertain_requests"], spent["uncertain_dollars"]) == (1, None)


def test_a_cap_on_tokens_says_what_a_request_counts_for(tmp_path, capsys):
    with Server(NOOP) as server:
        asked = settings(tmp_path, ("m",), base_url=server.base_url, budget_tokens=100)
        cells, error = play_bench(asked, lambda line: None)
    assert isinstance(error, BudgetExceeded)
    assert "has spent 0 tokens of 100 tokens, and the next request may cost" in str(error)
    assert "(its words and pictures, and the longest answer it may get: max_tokens;" in str(error)
    assert cells[0].problem == str(error)
    screen = " ".join(shown(tmp_path, cells, capsys).split())
    assert "the longest answer it may get: --max-tokens;" in screen
    assert "max_tokens" not in screen
    assert server.count == 0


def test_a_cap_in_dollars_names_the_variable_that_takes_the_price_away(monkeypatch):
    capped = SpendOptions(budget=1)
    with Server() as server:
        serve_as(monkeypatch, openai=server)
        build_model("gpt-4o", api_key="k", spend=capped)
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        with pytest.raises(InvalidSetting, match="OPENAI_BASE_URL") as caught:
            build_model("gpt-4o", api_key="k", spend=capped)
    assert str(caught.value) == (
        "The price of gpt-4o at the address that OPENAI_BASE_URL names is not known, so a budget "
        "in dollars cannot be enforced. Cap it with budget_tokens, unset OPENAI_BASE_URL, or "
        "choose a model with a price (`atari-vlm models`)."
    )
