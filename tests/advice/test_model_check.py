"""The check of a model with one call: servers that see the picture, ignore it, or fail."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from atari_vlm.advice.model_check import LEGAL, check_model, draw
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import rgb
from atari_vlm.cli.app import app
from atari_vlm.errors import InvalidSetting, UnknownName
from atari_vlm.types import Frame
from tests.commands import command
from tests.hosted import OPENAI
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

ARROWS = ("UP", "LEFT", "DOWN", "RIGHT")
REQUIRED = {"server", "key", "vision", "legal answer"}


def seen(body) -> tuple[str, str]:
    """The number and the arrow of a request's picture, read from its pixels alone."""
    (data,) = OPENAI.image_files(body)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    digits = {k: rgb(Frame(draw(str(k) * 4, "UP")))[30:70, 20:44] for k in range(10)}
    number = ""
    for place in range(4):
        part = shown[30:70, 20 + 32 * place : 44 + 32 * place]
        number += next(str(k) for k, digit in digits.items() if (digit == part).all())
    arrow = next(a for a in ARROWS if (rgb(Frame(draw(number, a))) == shown).all())
    return number, arrow


def sees(number: int, body, **more) -> Answer:
    """The answer of a model that sees the picture."""
    read, arrow = seen(body)
    text = json.dumps({"reasoning": read, "action": arrow})
    return Answer(**{"text": text, "tokens": (210, 0, 14), **more})


def check(answers, name="x", **more):
    with Server(answers) as server:
        checked = check_model(name, base_url=server.base_url, **more)
    return checked, {found.aspect: found for found in checked.findings}, server


def test_a_model_that_sees_passes_with_one_call():
    checked, found, server = check(sees)
    assert checked.works
    assert len(server.requests) == 1
    assert {f.aspect for f in checked.findings if f.required} == REQUIRED
    assert {f.state for f in checked.findings} == {"works", "unknown"}
    assert found["model"].text == "x"
    assert found["tokens"].text == "210 in, 14 out"
    assert found["latency"].text.endswith(" s")
    assert found["structured answer"].state == "works"
    assert found["price"].state == "unknown"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_models_of_every_vendor_are_checked(provider, monkeypatch):
    pytest.importorskip({"google": "google.genai"}.get(provider, provider))
    names = {"openai": "gpt-6-luna", "anthropic": "claude", "google": "gemini"}
    with Server(lambda number, body: sees(number, body, model="newer-model")) as server:
        serve_as(monkeypatch, **{provider: server})
        checked = check_model(names[provider], api_key="k", seed=3)
    assert checked.works, checked
    found = {f.aspect: f for f in checked.findings}
    assert found["model"].text.startswith("newer-model, where ")
    assert found["vision"].state == "works"
    assert found["structured answer"].state == "works"


@pytest.mark.parametrize("blind", ['{"reasoning": "1234", "action": "UP"}', "I see no picture."])
def test_a_blind_model_does_not_work_however_well_it_answers(blind):
    checked, found, _ = check(Answer(text=blind), seed=1)
    assert not checked.works
    assert found["vision"].state == "fails"
    assert found["server"].state == found["key"].state == "works"


def test_the_number_is_in_the_picture_only():
    numbers = set()
    for seed in range(20):
        with Server() as server:
            check_model("x", base_url=server.base_url, seed=seed)
        body = server.requests[0].body
        number, _ = seen(body)
        words = [p["text"] for m in body["messages"] for p in m["content"] if p["type"] == "text"]
        assert number not in " ".join(words)
        numbers.add(number)
    assert len(numbers) == 20


def test_a_server_without_schemas_is_called_again_without_one():
    def answer(number, body):
        if "response_format" in body:
            return Answer(status=400, message="response_format is not supported")
        return sees(number, body)

    checked, found, server = check(answer)
    assert checked.works
    assert len(server.requests) == 2
    assert found["structured answer"].state == "fails"
    assert "response_format is not supported" in found["structured answer"].text
    assert "Play with prompt_type='basic', " in found["structured answer"].text


def test_a_server_that_ignores_the_schema_fails_that_finding_only():
    def answer(number, body):
        read, arrow = seen(body)
        return Answer(text=f"The number is {' '.join(read)}.\nACTION: {arrow}")

    checked, found, _ = check(answer)
    assert checked.works
    assert found["structured answer"].state == "fails"
    assert "schema is ignored" in found["structured answer"].text


def test_a_wrong_key_an_unknown_model_and_an_unreachable_server_fail_differently():
    _, wrong, _ = check(Answer(status=401, message="bad key"))
    assert (wrong["server"].state, wrong["key"].state) == ("works", "fails")
    assert "refused the key (401)" in wrong["key"].text
    _, missing, _ = check(Answer(status=404, message="no such model"))
    assert (missing["key"].state, missing["model"].state) == ("works", "fails")
    nowhere = check_model("x", base_url="http://127.0.0.1:9/v1")
    found = {f.aspect: f for f in nowhere.findings}
    assert (found["server"].state, found["key"].state) == ("fails", "unknown")
    assert "No server answers at" in found["server"].text
    assert not nowhere.works


def test_a_missing_key_fails_before_any_request(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    checked = check_model("gpt-4o")
    assert not checked.works
    assert "Set OPENAI_API_KEY or pass api_key" in checked.findings[0].text


def test_tokens_that_are_not_counted_are_unknown():
    checked, found, _ = check(lambda number, body: sees(number, body, tokens=None))
    assert checked.works
    assert found["tokens"].state == "unknown"


def test_the_answer_names_the_actions_of_a_game():
    checked, found, server = check(sees, game="freeway", seed=2)
    assert checked.works
    schema = OPENAI.schema(server.requests[0].body)
    assert schema["properties"]["action"]["enum"] == list(Emulator(get_game("freeway")).legal)
    assert found["legal answer"].text.split(",")[0] in ("UP", "DOWN")
    assert set(ARROWS) < set(LEGAL)


def test_embedded_models_and_unknown_names_are_refused():
    with pytest.raises(InvalidSetting, match=r"bench --models embedded,embedded\+blank"):
        check_model("embedded")
    with pytest.raises(UnknownName):
        check_model("gpt-4p")


def test_the_command_exits_with_1_if_a_required_finding_fails(tmp_path):
    arguments = ["models", "check", "x", "--base-url"]
    with Server(sees) as server:
        works = CliRunner().invoke(app, [*arguments, server.base_url])
    assert (works.exit_code, "It can play." in works.output) == (0, True)
    with Server(Answer(text="LEFT")) as server:
        fails = command(*arguments, server.base_url, cwd=tmp_path, COLUMNS="80")
    assert (fails.returncode, "FAILS" in fails.stdout) == (1, True)
    assert max(map(len, fails.stdout.splitlines())) <= 80
