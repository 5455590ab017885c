"""Environment variables that move a vendor or send something along: said, recorded, or hidden."""

from __future__ import annotations

import json
import os
from contextlib import closing

import pytest

from atari_vlm.advice.estimate import estimate_run
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted.environment import NEVER
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.commands import play
from tests.hosted import ANTHROPIC, COMPATIBLE, GOOGLE, KEY, OPENAI, ask
from tests.models.hosted.test_usage import RESPONSES
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

MOVED = {
    "OPENAI_BASE_URL": (OPENAI, "gpt-4o", {}),
    "ANTHROPIC_BASE_URL": (ANTHROPIC, "claude", {}),
    "GOOGLE_GEMINI_BASE_URL": (GOOGLE, "gemini", {}),
}
NOOP = Answer(text="ACTION: NOOP")


@pytest.mark.parametrize("variable", MOVED)
def test_a_variable_that_moves_a_vendor_is_said_and_recorded_without_a_price(
    variable, tmp_path, monkeypatch
):
    api, name, _ = MOVED[variable]
    pytest.importorskip({"google": "google.genai"}.get(api.provider, api.provider))
    with Server(NOOP) as server:
        address = api.address(server)
        monkeypatch.setenv(variable, f" {address}/ ".strip())
        with pytest.warns(UserWarning, match=f"^{variable} is set: .* at {address}/, which gets"):
            game = VLMTrainer("pong", name, KEY, max_decisions=2, save_dir=tmp_path)
        with pytest.raises(InvalidSetting, match=r"price of .* is not known"):
            VLMTrainer("pong", name, KEY, budget=1)
        assert estimate_run("pong", name).price is None
        summary = game.train(1)
    assert server.count == 2
    assert summary.usage.dollars is None
    with closing(Run.read(summary.folder)) as run:
        assert run.settings["base_url"] == f"{address}/"
    monkeypatch.delenv(variable)
    assert estimate_run("pong", name).price is not None
    assert HostedSettings(name="m", model_id="m", provider=api.provider).base_url is None


def test_the_vendors_own_address_is_no_other(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1/")
    settings = HostedSettings(name="gpt-4o", model_id="gpt-4o", provider="openai")
    assert settings.base_url is None
    assert settings.known_price is not None
    HostedModel(settings, api_key=KEY)  # without a warning
    monkeypatch.setenv("OPENAI_BASE_URL", "api.example.org")
    with pytest.raises(InvalidSetting, match="is not the address of a server"):
        HostedSettings(name="gpt-4o", model_id="gpt-4o", provider="openai")


def test_a_command_says_where_the_key_goes_before_it_plays(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-7")
    with Server(NOOP) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        done = play("--game", "pong", "--model", "gpt-4o", "--max-decisions", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    note = f"Note: OPENAI_BASE_URL is set: gpt-4o is asked at {server.base_url}, which gets the key"
    assert f"{note} of OpenAI, and OPENAI_ORG_ID. Its price is not known.\n" in done.stderr
    assert "price unknown" in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_a_variable_that_is_not_followed_is_said(monkeypatch):
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1")
    settings = HostedSettings(name="gpt-4o", model_id="gpt-4o", provider="openai")
    said = "OPENAI_API_BASE is not followed: gpt-4o is asked at https://api.openai.com/v1"
    with pytest.warns(UserWarning, match=said):
        HostedModel(settings, api_key=KEY)


PLANTED = {
    **dict.fromkeys(NEVER, "planted-1"),
    "OPENAI_ORG_ID": "planted-2",
    "OPENAI_PROJECT_ID": "planted-2",
    "OPENAI_CUSTOM_HEADERS": "x-planted: planted-2",
    "ANTHROPIC_CUSTOM_HEADERS": "x-planted: planted-3",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_CLIENT_MODE": "record",
    "GOOGLE_API_KEY": "planted-4",
    "GEMINI_API_KEY": "planted-4",
    "OPENAI_API_KEY": "planted-5",
    "ANTHROPIC_API_KEY": "planted-6",
}
SENT_ALONG = {"openai": {"planted-2"}, "anthropic": {"planted-3"}}


@pytest.mark.parametrize(
    ("api", "more"),
    [(OPENAI, {}), (RESPONSES, {"effort": "low"}), (COMPATIBLE, {}), (ANTHROPIC, {}), (GOOGLE, {})],
    ids=["openai", "responses", "compatible", "anthropic", "google"],
)
def test_nothing_of_another_variable_is_sent_anywhere(api, more, tmp_path, monkeypatch):
    package = {"google": "google.genai", "anthropic": "anthropic"}.get(api.provider, "openai")
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    with Server() as server:
        if api.provider in ("openai", "anthropic", "google"):
            serve_as(monkeypatch, **{api.provider: server})
        ask(api, server, **more)
    (request,) = server.requests
    sent = json.dumps([request.path, request.headers, request.body])
    assert KEY in sent
    found = {f"planted-{number}" for number in range(1, 7) if f"planted-{number}" in sent}
    assert found == SENT_ALONG.get(api.provider, set())
    assert {name: os.environ[name] for name in PLANTED} == PLANTED
    assert os.listdir(tmp_path) == []
