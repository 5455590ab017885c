"""Runs against a server that injects every kind of fault; and a search for leaked keys."""

from __future__ import annotations

import base64
import logging
import random
import traceback
import urllib.parse
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from atari_vlm.costs.prices import Price
from atari_vlm.errors import AtariVLMError, BudgetExceeded
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.commands import command
from tests.hosted import FakeClock
from tests.models.hosted.test_faults import ask
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

TOKENS = (1000, 0, 100)
PRICE = Price(2.5, 1.25, 10)
DOLLARS = PRICE.cost(*TOKENS)
GAMES, DECISIONS = 5, 100

GOOD = Answer(text="ACTION: LEFT x2", tokens=TOKENS)
FAULTS = {
    "429": Answer(status=429, headers={"retry-after": "3"}),
    "500": Answer(status=500),
    "drop": Answer(drop=True),
    "hang": Answer(delay=60),
    "garbage": Answer(text="lol {", tokens=TOKENS),
    "no json": Answer(raw="<html>"),
}
REFUSED = {"429", "500"}
"""All other requests are charged, even if the client receives no answer."""


class FaultyScript:
    """Injects a fault into three requests out of ten."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.sent: Counter[str] = Counter()

    def __call__(self, number: int, body: dict[str, Any]) -> Answer:
        kind = "good"
        if self.rng.random() < 0.3:
            # Hangs are rare, because they take real time.
            kind = self.rng.choices(list(FAULTS), weights=[6, 6, 6, 1, 6, 6])[0]
        self.sent[kind] += 1
        return FAULTS.get(kind, GOOD)

    @property
    def charged(self) -> int:
        return sum(count for kind, count in self.sent.items() if kind not in REFUSED)


def play(server: Server, folder: Path, budget: float) -> None:
    settings = HostedSettings(
        name="gpt-4o",
        model_id="gpt-4o",
        provider="openai",
        base_url=server.base_url,
        max_tokens=100,
        price=PRICE,
        timeout_s=4,
    )
    model = HostedModel(settings, api_key="k", clock=FakeClock([]))
    VLMTrainer(
        "breakout",
        "gpt-4o",
        model=model,
        prompt_type="basic",
        budget=budget,
        max_decisions=DECISIONS,
        parallel=GAMES,
        run_folder=folder,
    ).train(GAMES)


@pytest.fixture(scope="module")
def faulty_run(tmp_path_factory) -> tuple[FaultyScript, Path, list[tuple[int, float, float]]]:
    """A run of 500 decisions that reached its budget twice."""
    script, folder = FaultyScript(), tmp_path_factory.mktemp("faults")
    stops = []
    with Server(GOOD) as warm_up:  # imports of the first request must not count as a hang
        ask("openai", warm_up)
    with Server(script) as server:
        for budget in (0.5, 1.2):
            with pytest.raises(BudgetExceeded):
                play(server, folder, budget)
            with closing(Run.read(folder)) as run:
                stops.append((script.charged, run.spent()[1], budget))
        play(server, folder, 100)
    return script, folder, stops


def test_faults_lose_no_decision_and_invent_none(faulty_run):
    script, folder, _ = faulty_run
    assert min(script.sent.values()) > 0
    assert len(script.sent) == 1 + len(FAULTS)
    run = Run.read(folder)
    assert [row.decisions for row in run.episodes()] == [DECISIONS] * GAMES
    counted: Counter[str] = Counter()
    for game in range(GAMES):
        for decision in run.decisions(game):
            counted[decision.source] += 1
            if decision.source == "fallback":
                assert decision.action == "NOOP"
                assert decision.reason
                assert decision.reply in ("", "lol {")
            else:
                assert (decision.action, decision.frames, decision.reply) == ("LEFT", 2, GOOD.text)
                assert len(decision.calls) == (2 if decision.source == "repaired" else 1)
    assert counted == run.sources()
    assert counted["parsed"] > 400
    assert counted["repaired"] > 10
    run.close()


def test_every_charge_of_the_vendor_is_recorded_once(faulty_run):
    script, folder, _ = faulty_run
    run = Run.read(folder)
    usage = run.usage()
    calls = [call for game in range(GAMES) for made in run.decisions(game) for call in made.calls]
    answered = [call.reply.text for call in calls if call.reply.text]
    assert Counter(answered) == {GOOD.text: script.sent["good"], "lol {": script.sent["garbage"]}
    assert len({call.seed for call in calls}) == len(calls)
    silent = script.sent["drop"] + script.sent["hang"] + script.sent["no json"]
    assert usage.uncertain == silent
    assert len(answered) + usage.uncertain == script.charged
    assert usage.dollars == pytest.approx(len(answered) * DOLLARS)
    run.close()


def test_the_budget_is_never_exceeded_by_more_than_one_maximum(faulty_run):
    _, folder, stops = faulty_run
    run = Run.read(folder)
    usage = run.usage()
    maximum = usage.uncertain_dollars / usage.uncertain
    for charged, counted, budget in stops:
        # A request without an answer counts at its worst case, which is more than it costs.
        assert budget - 2 * maximum < counted <= budget
        assert charged * DOLLARS <= counted
    assert run.spent()[1] == pytest.approx(usage.dollars + usage.uncertain_dollars)
    run.close()


# -- keys -----------------------------------------------------------------------------------------

KEY = "sk-planted/0123456789+abcdef=="
ECHO = f"You sent {KEY}"


def encodings(key: str) -> list[bytes]:
    """The key and its encodings in headers, addresses and pages."""
    raw = key.encode()
    padded = [base64.b64encode(b"x" * shift + raw)[4:-4] for shift in range(3)]
    quoted = {
        urllib.parse.quote(key),
        urllib.parse.quote(key, safe=""),
        urllib.parse.quote_plus(key),
    }
    return [raw, raw[::-1], *padded, *[text.encode() for text in quoted], raw.hex().encode()]


def leaks(text: bytes) -> list[bytes]:
    return [encoded for encoded in encodings(KEY) if encoded in text]


def test_every_encoding_of_a_key_would_be_found():
    planted = [KEY, base64.b64encode(f"Bearer {KEY}".encode()).decode(), urllib.parse.quote(KEY)]
    for text in planted:
        assert leaks(f"... {text} ...".encode())
    assert not leaks(b"nothing of the kind")


BAD = [
    Answer(status=401, message=ECHO),
    Answer(status=429, message=ECHO, headers={"retry-after": "0"}),
    Answer(status=500, message=ECHO),
    Answer(raw=f"<html>{ECHO}</html>", headers={"content-type": "text/html"}),
    Answer(drop=True),
]


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("gpt-4o", "OPENAI"),
        ("gpt-6-luna", "OPENAI"),
        ("claude", "ANTHROPIC"),
    ],
)
def test_a_key_is_in_no_file_log_or_error_of_a_run(
    tmp_path, monkeypatch, caplog, capfd, model, variable
):
    caplog.set_level(logging.DEBUG)
    if variable == "ANTHROPIC":
        pytest.importorskip("anthropic", reason="an optional extra")
    monkeypatch.setenv(f"{variable}_API_KEY", KEY)
    errors = []
    for number, answers in enumerate([GOOD, *[[GOOD, bad] for bad in BAD]]):
        with Server(answers) as server:
            serve_as(monkeypatch, **{variable.lower(): server})
            trainer = VLMTrainer(
                "breakout",
                model,
                max_decisions=3,
                cache=tmp_path / "cache" / "answers",
                budget=1,
                timeout=5,
                seed=number,
                run_folder=tmp_path / str(number),
            )
            assert trainer.player.model is not None
            trainer.player.model._clock = FakeClock([])
            try:
                trainer.train(1)
            except AtariVLMError as error:
                errors += [repr(error), *traceback.format_exception(error)]
            assert any(KEY in str(request.headers) for request in server.requests)
        write_replay(tmp_path / str(number))
    assert errors
    logged = "".join(record.getMessage() for record in caplog.records)
    shown = "".join(capfd.readouterr())
    assert not leaks("".join([*errors, logged, shown]).encode())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"run.sqlite", "replay.html", "answers"} <= {path.name for path in files}
    assert not [(path, found) for path in files if (found := leaks(path.read_bytes()))]


def test_a_key_is_in_no_output_or_file_of_the_command_line(tmp_path):
    with Server([GOOD, GOOD, Answer(status=401, message=ECHO)]) as server:
        done = command(
            *("play", "--model", "any", "--base-url", server.base_url, "--api-key", KEY),
            *("--max-decisions", 3, "--run", "r", "--cache", "answers", "--budget-tokens", 99999),
            cwd=tmp_path,
        )
    assert done.returncode == 1
    assert "refused the key (401)" in done.stderr
    assert "[key]" in done.stderr
    assert not leaks((done.stdout + done.stderr).encode())
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or not leaks(path.read_bytes())
