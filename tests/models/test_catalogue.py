"""The catalogue of models, and building models by name."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest
from genai_prices import Usage, calc_price

from atari_vlm.errors import InvalidSetting, ModelUnusable, UnknownName
from atari_vlm.models.build import build_model
from atari_vlm.models.catalogue import (
    AS_OF,
    MODELS,
    get_model_spec,
    recommendations,
)
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.types import Message, Prompt
from tests.servers import Server

SPECIFIED_NAMES = (
    "gpt-4o",
    "gpt-4v",
    "claude",
    "gemini",
    "qwen-vl",
    "llava",
    "cogvlm2",
    "video-llava",
    "idefics2",
)
HOSTED = [spec for spec in MODELS.values() if spec.provider in VENDORS]
LOCAL = [spec for spec in MODELS.values() if spec.provider == "local"]
NOON = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, tzinfo=UTC)


def name_of(spec) -> str:
    return spec.name


def needs(provider: str) -> None:
    """Skip where the vendor's client, an optional extra, is not installed."""
    pytest.importorskip(VENDORS[provider].package, reason="an optional extra")


@pytest.mark.parametrize("name", SPECIFIED_NAMES)
def test_every_model_of_the_specification_has_a_name(name):
    spec = get_model_spec(name.upper())
    assert spec.name == name
    assert spec.best_for
    assert spec.status


@pytest.mark.parametrize("spec", HOSTED, ids=name_of)
def test_every_hosted_model_is_built_from_its_name_and_a_key(spec):
    needs(spec.provider)
    model = build_model(spec.name, api_key="k", max_tokens=9, timeout_s=5)
    assert isinstance(model, HostedModel)
    assert (model.name, model.prompt_type) == (spec.name, "basic")
    settings = model.settings
    assert (settings.model_id, settings.provider) == (spec.model_id, spec.provider)
    assert (settings.max_tokens, settings.timeout_s) == (9, 5)
    assert settings.base_url is None


@pytest.mark.parametrize("spec", HOSTED, ids=name_of)
def test_every_hosted_model_names_its_key_and_has_a_price(spec, monkeypatch):
    for vendor in VENDORS.values():
        for variable in vendor.key_variables:
            monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ModelUnusable, match=f"Set {spec.key_variable} or pass api_key"):
        build_model(spec.name)
    assert spec.price_on(AS_OF) is not None


@pytest.mark.parametrize("spec", HOSTED, ids=name_of)
def test_prices_agree_with_the_public_list(spec):
    used = Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=100)
    try:
        public = calc_price(
            used, spec.model_id, provider_id=spec.provider, genai_request_timestamp=NOON
        ).total_price
    except LookupError:
        assert not spec.listed, "the list lacks it, so the catalogue's price must be used"
        return
    assert spec.listed
    assert spec.price_on(AS_OF).cost(1000, 400, 100) == pytest.approx(float(public))


def test_a_price_changes_on_its_day():
    spec = MODELS["gemini-3.8-flash"]
    assert spec.price_on(date(2026, 12, 31)).output == 3.75
    assert spec.price_on(date(2027, 1, 1)).output == 7.5
    assert spec.price_on(date(2020, 1, 1)).output == 3.75


def test_retired_names_state_the_model_they_use_today():
    assert get_model_spec("claude").model_id == "claude-sonnet-5-5"
    assert "claude-3-5-sonnet was retired on 28 October 2025" in get_model_spec("claude").status
    assert "gemini-1.5-pro was retired on 24 September 2025" in get_model_spec("gemini").status
    assert "shuts down on 14 January 2027" in get_model_spec("gpt-4o").status
    assert "gpt-6-luna" in build_model("gpt-4o", api_key="k").settings.advice


def test_any_id_of_a_vendor_is_accepted():
    needs("anthropic")
    model = build_model("anthropic:claude-next", api_key="k", temperature=1)
    assert (model.name, model.settings.model_id) == ("anthropic:claude-next", "claude-next")
    assert model.settings.provider == "anthropic"
    assert get_model_spec("openai:gpt-6-luna") is MODELS["gpt-6-luna"]


@pytest.mark.parametrize("name", ["gtp-4o", "random", "openai:", "other:model", ""])
def test_an_unknown_model_lists_the_choices(name):
    with pytest.raises(UnknownName, match="Choose from: embedded, gpt-4o") as caught:
        build_model(name, api_key="k")
    assert ("Did you mean 'gpt-4o'?" in str(caught.value)) == (name == "gtp-4o")


def test_a_model_that_reasons_takes_no_temperature():
    with pytest.raises(InvalidSetting, match="claude takes no temperature"):
        build_model("claude", api_key="k", temperature=0.3)
    assert build_model("gpt-4o", api_key="k", temperature=0.3).settings.temperature == 0.3


@pytest.mark.parametrize("spec", LOCAL, ids=name_of)
def test_open_weights_without_a_server_explain_how_to_serve_them(spec):
    with pytest.raises(ModelUnusable) as caught:
        build_model(spec.name)
    assert spec.serve in str(caught.value)
    assert spec.model_id in str(caught.value)
    assert f"add base_url='http://localhost:{spec.port}/v1'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("qwen-vl", "Qwen/Qwen2-VL-7B-Instruct"),
        ("claude", "claude-sonnet-5-5"),
        ("llava:34b", "llava:34b"),
        ("my-own/finetune", "my-own/finetune"),
    ],
)
def test_with_a_base_url_any_name_is_accepted(name, model_id):
    prompt = Prompt(messages=(Message("user", ("Act.",)),), legal=("NOOP",), longest=4)

    async def ask(address: str) -> str:
        model = build_model(name, base_url=address, temperature=0.5)
        reply = await model.answer(prompt, seed=1)
        await model.close()
        return f"{model.name} {reply.model}"

    with Server() as server:
        assert asyncio.run(ask(server.base_url)) == f"{name} {model_id}"
    assert server.requests[0].body["model"] == model_id
    assert server.requests[0].body["temperature"] == 0.5


def test_the_embedded_model_refuses_settings_of_hosted_models():
    with pytest.raises(InvalidSetting, match="leave out base_url"):
        build_model("embedded", base_url="http://localhost:8000/v1")
    with pytest.raises(InvalidSetting, match="takes no temperature"):
        build_model("embedded", temperature=0.5)


def test_the_comparison_has_the_specifications_nine_rows_in_order():
    rows = recommendations()
    assert [row.model for row in rows] == [
        "GPT-4o",
        "Claude 3.5",
        "Gemini 1.5 Pro",
        "Qwen2-VL-72B",
        "Qwen2-VL-7B",
        "LLaVA-1.6-34B",
        "CogVLM2-19B",
        "Video-LLaVA",
        "Idefics2-8B",
    ]
    assert [row.performance for row in rows] == [5, 5, 4, 4, 3, 4, 3, 4, 2]
    for row in rows:
        assert row.today == MODELS[row.ask].status
        assert row.claim
        assert row.evidence


def test_no_claim_of_the_specification_is_shown_as_measured():
    verdicts = {row.model: row.verdict for row in recommendations()}
    assert verdicts.pop("GPT-4o") == "contradicted"
    assert set(verdicts.values()) == {"unsupported"}
    assert "-22.5" in recommendations()[0].evidence


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("gpt-5", "openai:gpt-5"),
        ("GPT-5-mini", "openai:gpt-5-mini"),
        ("o3", "openai:o3"),
        ("o4-mini", "openai:o4-mini"),
        ("claude-opus-9", "anthropic:claude-opus-9"),
        ("gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("openai/gpt-5", "openai:gpt-5"),
        ("llava-hf/llava-1.5-7b-hf", "local:llava-hf/llava-1.5-7b-hf"),
    ],
)
def test_a_name_that_a_vendor_may_have_is_answered_with_how_to_ask_for_it(name, asked):
    with pytest.raises(UnknownName) as caught:
        get_model_spec(name)
    assert f"is asked for as {asked}" in str(caught.value)


def test_a_name_of_no_vendor_gets_no_vendor():
    with pytest.raises(UnknownName) as caught:
        get_model_spec("gptx")
    assert "asked for" not in str(caught.value)
