"""Every setting that a user chooses is in the request, or refused in a sentence: never dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.dialects import DIALECTS
from atari_vlm.models.hosted.options import HostedOptions
from tests.hosted import COMPATIBLE, KEY, VendorApi, ask, make_prompt
from tests.servers import Server
from tests.vendor_apis import Answer

MODELS = (
    *("openai:o3", "openai:o4-mini", "openai:gpt-5-mini", "openai:gpt-4.1", "gpt-4o"),
    *("openai:gpt-99", "gpt-6-luna", "claude", "anthropic:claude-opus-4-7"),
    *("anthropic:claude-opus-4-5", "google:gemini-2.0-flash"),
    *("google:gemini-2.5-flash", "google:gemini-3.5-flash-lite", "google:gemini-4-hydrogen"),
)
CHOICES: tuple[dict[str, Any], ...] = (
    {"temperature": 0.25},
    {"effort": "high"},
    {"detail": "high"},
    {"max_tokens": 1234},
    {"temperature": 0.25, "effort": "high"},
)


def holds(body: Any, value: Any) -> bool:
    """Whether a value is anywhere in a body but in its texts."""
    if isinstance(body, dict):
        return any(holds(entry, value) for entry in body.values())
    if isinstance(body, list):
        return any(holds(entry, value) for entry in body)
    if isinstance(value, str):
        return isinstance(body, str) and value in body.lower() and len(body) < 40
    return body == value and type(body) is type(value)


def body_of(name: str, chosen: dict[str, Any], **server: Any) -> dict[str, Any] | AtariVLMError:
    """The body of the request with these settings, or the error that refuses them."""
    own = {key: chosen[key] for key in ("temperature", "max_tokens") if key in chosen}
    rest = {key: value for key, value in chosen.items() if key not in own}
    with Server(Answer()) as loopback:
        try:
            options = HostedOptions(**rest, **server)
            model = build_model(name, api_key=KEY, hosted=options, **own)
            settings = model.settings
            api = VendorApi(settings.provider, settings.model_id)
            more = {key: getattr(settings, key) for key in chosen}
            more["dialect"] = settings.dialect
            ask(api, loopback, make_prompt(), tries=1, name=name, **more)
        except AtariVLMError as error:
            return error
        return loopback.requests[0].body


@pytest.mark.filterwarnings("ignore:Sampling parameters")
@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: ",".join(chosen))
@pytest.mark.parametrize("name", MODELS)
def test_a_chosen_setting_is_sent_or_refused(name, chosen):
    if name.startswith(("claude", "anthropic")):
        pytest.importorskip("anthropic", reason="an optional extra")
    if name.startswith("google"):
        pytest.importorskip("google.genai", reason="an optional extra")
    body = body_of(name, chosen)
    if isinstance(body, AtariVLMError):
        assert "max_tokens" not in chosen
        assert any(setting in str(body) for setting in chosen)
    else:
        for value in chosen.values():
            assert holds(body, value), json.dumps(body)[:2000]


@pytest.mark.filterwarnings("ignore:Sampling parameters")
@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: ",".join(chosen))
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_chosen_setting_is_sent_or_refused_in_every_dialect(dialect, chosen):
    server = {"dialect": dialect, "base_url": "http://127.0.0.1:1/v1"}
    for name in ("Qwen/Qwen3-VL", "o3", "gpt-5"):
        body = body_of(name, chosen, **server)
        if isinstance(body, AtariVLMError):
            assert any(setting in str(body) for setting in chosen)
        else:
            for value in chosen.values():
                assert holds(body, value), json.dumps(body)[:2000]


@pytest.mark.filterwarnings("ignore:Sampling parameters")
def test_what_a_client_would_drop_is_refused_before_the_first_request():
    with Server() as server, pytest.raises(ModelUnusable) as refused:
        ask(VendorApi("openai", "gpt-4.1"), server, temperature=0.5, effort="low")
    assert server.count == 0
    assert "takes no temperature" in str(refused.value)


@pytest.mark.filterwarnings("ignore:Sampling parameters")
def test_a_word_in_a_prompt_is_not_taken_for_a_setting():
    from atari_vlm.types import Message

    prompt = make_prompt(Message("user", ('{"temperature": 1, "effort": "high"}',)))
    with Server() as server, pytest.raises(ModelUnusable):
        ask(VendorApi("openai", "gpt-4.1"), server, prompt, temperature=0.5, effort="low")
    assert server.count == 0


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("openai:o3", {"temperature": 0.5}),
        ("openai:gpt-5", {"temperature": 0.0}),
        ("anthropic:claude-opus-4-7", {"temperature": 0.5}),
        ("google:gemini-2.0-flash", {"detail": "low"}),
        ("claude", {"detail": "high"}),
    ],
)
def test_what_is_known_is_refused_when_the_model_is_built(name, chosen):
    refused = body_of(name, chosen)
    assert isinstance(refused, InvalidSetting)
    assert str(refused).startswith(f"{name} ")


def test_a_repair_and_free_text_have_the_same_settings():
    with Server() as server:
        ask(COMPATIBLE, server, make_prompt(legal=(), json=False), temperature=0.25)
        assert server.requests[0].body["temperature"] == 0.25
