"""The requests that hosted models send, on every vendor's API."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atari_vlm.atari import images
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted import vendors
from atari_vlm.types import Message
from tests.hosted import (
    ANTHROPIC,
    APIS,
    COMPATIBLE,
    FRAMES,
    GOOGLE,
    LEGAL,
    OPENAI,
    ask,
    body_of,
    make_prompt,
)
from tests.servers import Server
from tests.vendor_apis import Answer


def test_a_chat_request_has_every_field_of_the_prompt():
    data_uri = "data:image/png;base64," + base64.b64encode(images.png(FRAMES[0])).decode()
    prompt = make_prompt(
        Message("system", ("You play Breakout.",)), Message("user", ("Now:", FRAMES[0], "Act."))
    )
    body = body_of(COMPATIBLE, prompt, max_tokens=300, temperature=0.3)
    assert body.pop("response_format")["json_schema"]["strict"] is True
    assert body == {
        "model": "Qwen/Qwen2-VL-7B-Instruct",
        "stream": False,
        "messages": [
            {"role": "system", "content": "You play Breakout."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Now:"},
                    {"type": "image_url", "image_url": {"url": data_uri}},
                    {"type": "text", "text": "Act."},
                ],
            },
        ],
        "max_tokens": 300,
        "temperature": 0.3,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("api", "more"),
    [(COMPATIBLE, {}), (OPENAI, {}), (OPENAI, {"effort": "low"}), (ANTHROPIC, {"max_tokens": 99})],
)
def test_prompts_go_past_the_client_and_arrive_as_it_would_send_them(api, more, monkeypatch):
    prompt = make_prompt(
        Message("system", ("You play Breakout.",)),
        Message("user", ("Now:", FRAMES[0])),
        Message("assistant", ("ACTION: LEFT",)),
        Message("user", (FRAMES[1], "Act. \ud83d \N{GREEN HEART}")),
    )
    sent = body_of(api, prompt, **more)
    monkeypatch.setattr(vendors, "_as_it_is", lambda resource, field: None)
    assert json.dumps(sent) == json.dumps(body_of(api, prompt, **more))


def test_every_vendor_receives_the_exact_frames_oldest_first(api):
    files = api.image_files(body_of(api))
    assert files == [images.png(frame) for frame in FRAMES[:2]]
    shown = np.asarray(Image.open(io.BytesIO(files[1])).convert("RGB"))
    assert shown.shape == (210, 160, 3)
    assert np.array_equal(shown, images.rgb(FRAMES[1]))


def test_frames_are_scaled_to_the_prompts_image_size(api):
    (image, _) = api.image_files(body_of(api, make_prompt(image_size=(320, 420))))
    assert Image.open(io.BytesIO(image)).size == (320, 420)


def test_the_schema_puts_reasoning_before_a_legal_action(api):
    schema = api.schema(body_of(api))
    assert list(schema["properties"]) == ["reasoning", "action", "frames"]
    assert schema["properties"]["action"]["enum"] == list(LEGAL)
    assert schema["required"] == ["reasoning", "action", "frames"]
    assert schema["additionalProperties"] is False


def test_frames_of_a_plan_are_bounded_by_the_interval():
    schema = COMPATIBLE.schema(body_of(COMPATIBLE, make_prompt(longest=6)))
    assert (schema["properties"]["frames"]["minimum"], schema["properties"]["frames"]["maximum"]) \
        == (1, 6)  # fmt: skip


def test_without_plans_the_schema_has_no_frames(api):
    schema = api.schema(body_of(api, make_prompt(plans=False)))
    assert list(schema["properties"]) == ["reasoning", "action"]


@pytest.mark.parametrize(("more", "structured"), [({"legal": ()}, True), ({}, False)])
def test_no_schema_is_sent_for_free_text(more, structured):
    assert "response_format" not in body_of(COMPATIBLE, make_prompt(**more), structured=structured)


def test_every_request_has_max_tokens_and_temperature(api):
    extra = {} if api is ANTHROPIC else {"temperature": 0.3}
    body = body_of(api, max_tokens=77, **extra)
    options = body.get("generationConfig", body)
    named = ("max_tokens", "max_completion_tokens", "maxOutputTokens")
    assert [options[name] for name in named if name in options] == [77]
    assert options.get("temperature") == extra.get("temperature")


def test_an_unset_temperature_is_not_sent(api):
    body = body_of(api)
    assert "temperature" not in body.get("generationConfig", body)


def test_only_a_compatible_server_receives_the_seed(api):
    body = body_of(api)
    assert body.get("seed") == (7 if api is COMPATIBLE else None)
    assert "seed" not in body.get("generationConfig", {})


def test_a_repair_continues_the_conversation(api):
    prompt = make_prompt().followed_by(
        Message("assistant", ("jump!",)), Message("user", ("No such action.", "Try again."))
    )
    body = body_of(api, prompt)
    turns = body.get("contents") or body["messages"]
    assert [turn["role"] for turn in turns if turn["role"] != "system"] == [
        "user",
        "model" if api is GOOGLE else "assistant",
        "user",
    ]
    assert "jump!" in str(turns[-2])
    assert "No such action." in str(turns[-1])
    assert "Try again." in str(turns[-1])
    assert len(api.image_files(body)) == 2


def test_consecutive_turns_of_one_role_are_merged_and_empty_turns_dropped():
    prompt = make_prompt(
        Message("system", ("One.",)),
        Message("system", ("Two.",)),
        Message("user", ("a",)),
        Message("assistant", ("",)),
        Message("user", ("b",)),
    )
    first, second = body_of(COMPATIBLE, prompt)["messages"]
    assert first == {"role": "system", "content": "One.\n\nTwo."}
    assert [part["text"] for part in second["content"]] == ["a", "b"]


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_frame_outside_the_users_turns_is_refused_before_anything_is_sent(role):
    prompt = make_prompt(Message("user", ("a",)), Message(role, ("b", FRAMES[0])))
    with Server() as server, pytest.raises(InvalidSetting, match=f"this {role} turn has one"):
        ask(COMPATIBLE, server, prompt)
    assert server.count == 0


@pytest.mark.parametrize("model_id", ["gpt-6-luna", "gpt-6.2-sol"])
def test_an_openai_reasoning_model_uses_the_responses_api(model_id):
    data_uri = "data:image/png;base64," + base64.b64encode(images.png(FRAMES[0])).decode()
    prompt = make_prompt(
        Message("system", ("You play Breakout.",)),
        Message("user", ("Now:", FRAMES[0])),
        Message("assistant", ("jump!",)),
        Message("user", ("No such action.",)),
    )
    with Server(Answer(thinking="hm", reasoned=30)) as server:
        api = replace(OPENAI, model_id=model_id)
        reply = ask(api, server, prompt, effort="low", max_tokens=300, detail="low")
    (request,) = server.requests
    assert request.path == "/v1/responses"
    text = request.body.pop("text")
    assert text["format"]["strict"] is True
    assert list(text["format"]["schema"]["properties"]) == ["reasoning", "action", "frames"]
    reasoning = request.body.pop("reasoning")
    assert (reasoning["effort"], reasoning["summary"]) == ("low", "auto")
    system, user, assistant, again = request.body.pop("input")
    (part,) = system["content"]
    assert (system["role"], part["text"]) == ("system", "You play Breakout.")
    assert user == {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Now:"},
            {"type": "input_image", "image_url": data_uri, "detail": "low"},
        ],
    }
    assert assistant == {"role": "assistant", "content": "jump!"}
    assert again["content"] == [{"type": "input_text", "text": "No such action."}]
    assert request.body == {
        "model": model_id,
        "stream": False,
        "max_output_tokens": 300,
        # Frames change with every decision, so only the fixed text is worth caching.
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    }
    assert (reply.thinking, reply.usage.reasoning_tokens) == ("hm", 30)


def test_an_openai_model_without_reasoning_uses_the_chat_api():
    with Server() as server:
        ask(OPENAI, server)
    assert server.requests[0].path == "/v1/chat/completions"


def test_anthropic_receives_the_effort_and_returns_a_reasoning_summary():
    pytest.importorskip("anthropic", reason="an optional extra")
    body = body_of(ANTHROPIC, effort="low")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"]["effort"] == "low"
    assert "cache_control" not in str(body["messages"])


def test_google_receives_the_effort_and_low_image_resolution():
    pytest.importorskip("google.genai", reason="an optional extra")
    body = body_of(GOOGLE, effort="low")
    assert body["generationConfig"]["thinkingConfig"]["thinking_level"] == "LOW"
    assert [
        part["mediaResolution"]["level"]
        for part in body["contents"][0]["parts"]
        if "inlineData" in part
    ] == ["MEDIA_RESOLUTION_LOW"] * 2


def test_the_image_detail_is_sent_only_if_set():
    def details(**more: Any) -> list[str | None]:
        (_, user) = body_of(OPENAI, **more)["messages"]
        return [p["image_url"].get("detail") for p in user["content"] if "image_url" in p]

    assert details() == [None, None]
    assert details(detail="low") == ["low", "low"]


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.provider)
def test_a_prompt_for_a_line_sends_no_schema(api):
    with Server(Answer(text="ACTION: LEFT x2")) as server:
        reply = ask(api, server, make_prompt(json=False))
    assert reply.text == "ACTION: LEFT x2"
    assert "schema" not in str(server.requests[0].body).lower()
