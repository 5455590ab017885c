"""The request fields that each dialect sends."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from atari_vlm.costs.prices import Price
from atari_vlm.errors import InvalidSetting, ModelUnusable, UnknownName
from atari_vlm.models.build import build_model
from atari_vlm.models.hosted.dialects import DIALECTS, AnswerFormat, get_dialect
from atari_vlm.models.hosted.options import HostedOptions, SpendOptions
from atari_vlm.replies.plan_parser import parse_plan
from tests.hosted import COMPATIBLE, LEGAL, VendorApi, ask, make_prompt
from tests.servers import Server
from tests.vendor_apis import Answer

FIXED = ("model", "messages", "stream", "max_tokens")


def sent(dialect: str, prompt=None, **more):
    """The fields of a request that depend on the dialect."""
    with Server() as server:
        ask(COMPATIBLE, server, prompt, dialect=dialect, **more)
    (request,) = server.requests
    return {name: value for name, value in request.body.items() if name not in FIXED}


LINES = make_prompt(json=False)
NAMES = make_prompt(json=False, plans=False)


@pytest.mark.parametrize("dialect", ["generic", "vllm", "sglang", "lmdeploy", "openrouter"])
def test_a_json_answer_is_constrained_to_its_schema(dialect):
    schema = sent(dialect)["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert list(schema["schema"]["properties"]) == ["reasoning", "action", "frames"]


@pytest.mark.parametrize("dialect", ["ollama", "llamacpp"])
def test_servers_without_strict_do_not_receive_it(dialect):
    schema = sent(dialect)["response_format"]["json_schema"]
    assert "strict" not in schema
    assert schema["schema"]["properties"]["action"]["enum"] == list(LEGAL)


def test_a_server_that_ignores_schemas_receives_none():
    assert sent("transformers-serve") == {"seed": 7}


def test_vllm_receives_the_legal_lines():
    assert sent("vllm", NAMES) == {"seed": 7, "structured_outputs": {"choice": list(LEGAL)}}
    lines = sent("vllm", LINES)["structured_outputs"]["choice"]
    assert len(lines) == len(LEGAL) * 4
    assert lines[0] == "ACTION: NOOP x1"


def test_sglang_and_lmdeploy_receive_a_pattern():
    assert sent("sglang", NAMES) == {"seed": 7, "regex": "(NOOP|FIRE|RIGHT|LEFT)"}
    pattern = sent("sglang", LINES)["regex"]
    assert sent("lmdeploy", LINES)["response_format"] == {
        "type": "regex_schema",
        "regex_schema": pattern,
    }


def test_a_chunk_is_constrained_to_its_number_of_plans():
    several = replace(LINES, chunk_size=3)
    pattern = sent("sglang", several)["regex"]
    assert sent("vllm", several)["structured_outputs"] == {"regex": pattern}
    assert re.fullmatch(pattern, "ACTIONS: LEFT x2, NOOP x4, FIRE x1")
    for wrong in ("ACTION: LEFT x2", "ACTIONS: LEFT x2, NOOP x4", "ACTIONS: LEFT, NOOP, UP"):
        assert not re.fullmatch(pattern, wrong)
    root = sent("llamacpp", several)["grammar"].splitlines()[0]
    one = 'name " x" frames'
    assert root == f'root ::= "ACTIONS: " {one} ", " {one} ", " {one}'
    schema = sent("ollama", replace(several, json=True))["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["actions"]["maxItems"] == 3


def test_llamacpp_receives_a_grammar():
    assert sent("llamacpp", NAMES)["grammar"].splitlines() == [
        "root ::= name",
        'name ::= "NOOP" | "FIRE" | "RIGHT" | "LEFT"',
    ]
    assert sent("llamacpp", LINES)["grammar"].splitlines() == [
        'root ::= "ACTION: " name " x" frames',
        'name ::= "NOOP" | "FIRE" | "RIGHT" | "LEFT"',
        'frames ::= "1" | "2" | "3" | "4"',
    ]


@pytest.mark.parametrize("dialect", ["generic", "ollama", "transformers-serve"])
def test_servers_without_a_line_constraint_receive_none(dialect):
    assert sent(dialect, LINES) == {"seed": 7}


@pytest.mark.parametrize("plans", [True, False])
def test_every_legal_line_is_parsed_as_its_plan(plans):
    answer = AnswerFormat(LEGAL, 4, plans, json=False)
    plans_read = set()
    for line in answer.lines:
        assert re.fullmatch(answer.pattern, line)
        plans_read.add(parse_plan(line, LEGAL, 4).plan)
    assert None not in plans_read
    assert len(plans_read) == len(LEGAL) * (4 if plans else 1)


def test_free_text_is_not_constrained():
    assert "structured_outputs" not in sent("vllm", make_prompt(legal=(), json=False))
    assert sent("vllm", LINES, structured=False) == {"seed": 7}


def test_openrouter_requires_providers_that_support_all_parameters():
    fields = sent("openrouter", effort="low", detail="low")
    assert fields["provider"] == {"require_parameters": True}
    assert fields["reasoning"] == {"effort": "low"}
    assert "seed" not in fields


def test_effort_is_sent_in_the_servers_own_field():
    assert sent("vllm", LINES, effort="high")["reasoning_effort"] == "high"


def test_a_dialect_has_a_default_address():
    model = build_model("qwen3-vl", hosted=HostedOptions(dialect="ollama"))
    assert model.settings.base_url == "http://localhost:11434/v1"
    model = build_model("qwen3-vl", base_url="http://h/v1", hosted=HostedOptions(dialect="ollama"))
    assert model.settings.base_url == "http://h/v1"
    with pytest.raises(InvalidSetting, match="Name it with base_url"):
        build_model("qwen3-vl", hosted=HostedOptions(dialect="generic"))


def test_openrouter_needs_its_own_key_and_has_prices(monkeypatch):
    asked = {"hosted": HostedOptions(dialect="openrouter"), "spend": SpendOptions(budget=1)}
    with pytest.raises(ModelUnusable, match=r"key from OpenRouter\. Set OPENROUTER_API_KEY"):
        build_model("openai/gpt-4o", **asked)
    monkeypatch.setenv("OPENROUTER_API_KEY", "k")
    model = build_model("openai/gpt-4o", **asked)
    assert model.price == Price(2.5, 1.25, 10)


def test_an_openrouter_answer_is_charged_by_its_price_list():
    with Server(Answer(tokens=(1000, 0, 100))) as server:
        api = VendorApi("openai-compatible", "openai/gpt-4o")
        reply = ask(api, server, dialect="openrouter")
    assert reply.usage.dollars == pytest.approx((1000 * 2.5 + 100 * 10) / 1e6)


def test_an_unknown_dialect_names_the_nearest():
    with pytest.raises(UnknownName, match=r"No dialect is called 'olama'. Did you mean 'ollama'\?"):
        HostedOptions(dialect="olama")


def test_settings_that_a_server_would_ignore_are_refused():
    with pytest.raises(InvalidSetting, match=r"llama\.cpp takes no reasoning effort; leave out"):
        build_model(
            "m", base_url="http://h/v1", hosted=HostedOptions(dialect="llamacpp", effort="low")
        )
    with pytest.raises(InvalidSetting, match="vLLM takes no detail of images; leave out detail"):
        build_model("m", base_url="http://h/v1", hosted=HostedOptions(dialect="vllm", detail="low"))


def test_every_dialect_answers(tmp_path):
    for name in DIALECTS:
        with Server(Answer(text="FIRE")) as server:
            assert ask(COMPATIBLE, server, LINES, dialect=name).text == "FIRE"
        assert get_dialect(name).label
