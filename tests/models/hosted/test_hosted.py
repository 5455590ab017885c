"""What a hosted model is sent, and what is made of its answers, on every vendor's own wire."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atari_vlm.atari import images
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.costs.prices import Price
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.types import Frame, Message, Prompt, Reply
from tests.servers import Server
from tests.vendor_apis import Answer

KEY = "sk-planted-0123456789abcdef"
LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")


@dataclass(frozen=True)
class Wire:
    """How one vendor's requests are read."""

    provider: str
    model_id: str

    def address(self, server: Server) -> str:
        return server.base_url if self.provider.startswith("openai") else server.url

    def schema(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.provider == "anthropic":
            return body["output_config"]["format"]["schema"]
        if self.provider == "google":
            return body["generationConfig"]["responseJsonSchema"]
        return body["response_format"]["json_schema"]["schema"]

    def pictures(self, body: dict[str, Any]) -> list[bytes]:
        """The picture files of a request, in order."""
        turns = body.get("contents") or body.get("messages") or body["input"]
        parts = [part for turn in turns for part in turn.get("parts") or turn["content"]]
        found = [self._picture(part) for part in parts if isinstance(part, dict)]
        return [base64.b64decode(data, altchars=b"-_") for data in found if data]

    @staticmethod
    def _picture(part: dict[str, Any]) -> str | None:
        address = part.get("image_url", "")
        address = address.get("url", "") if isinstance(address, dict) else address
        data = (
            address.partition(",")[2]
            or part.get("source", {}).get("data")
            or part.get("inlineData", {}).get("data")
        )
        return data.replace("+", "-").replace("/", "_") if data else None


OPENAI = Wire("openai", "gpt-4o")
COMPATIBLE = Wire("openai-compatible", "Qwen/Qwen2-VL-7B-Instruct")
ANTHROPIC = Wire("anthropic", "claude-sonnet-5-5")
GOOGLE = Wire("google", "gemini-3.5-flash-lite")
WIRES = (OPENAI, COMPATIBLE, ANTHROPIC, GOOGLE)


@pytest.fixture(params=WIRES, ids=lambda wire: wire.provider)
def wire(request) -> Wire:
    needed = {"anthropic": "anthropic", "google": "google.genai"}.get(request.param.provider)
    if needed:
        pytest.importorskip(needed, reason="an optional extra")
    return request.param


def breakout(count: int) -> tuple[Frame, ...]:
    emulator = Emulator(get_game("breakout"))
    emulator.reset(seed=1)
    frames = []
    for step in range(count):
        emulator.play(1, 4, 4)
        frames.append(Frame(emulator.screen(), step=step))
    return tuple(frames)


FRAMES = breakout(4)


def prompt(*messages: Message, **more: Any) -> Prompt:
    said = messages or (
        Message("system", ("You play Breakout.",)),
        Message("user", (*FRAMES[:2], "Which action?")),
    )
    return Prompt(messages=said, **{"legal": LEGAL, "longest": 4, "json": True} | more)


def settings(wire: Wire, server: Server, **more: Any) -> HostedSettings:
    values = {"name": "model", "model_id": wire.model_id, "provider": wire.provider}
    return HostedSettings(**values | {"base_url": wire.address(server)} | more)


def ask(wire: Wire, server: Server, question: Prompt | None = None, **more: Any) -> Reply:
    return asyncio.run(_ask(settings(wire, server, **more), question or prompt()))


async def _ask(wanted: HostedSettings, question: Prompt) -> Reply:
    model = HostedModel(wanted, api_key=KEY)
    try:
        return await model.answer(question, seed=7)
    finally:
        await model.close()


def body_of(wire: Wire, question: Prompt | None = None, **more: Any) -> dict[str, Any]:
    """The one request that a question becomes."""
    with Server() as server:
        ask(wire, server, question, **more)
    assert len(server.requests) == 1
    return server.requests[0].body


# -- what is sent ---------------------------------------------------------------------------------


def test_a_chat_request_holds_the_prompt_field_by_field():
    picture = "data:image/png;base64," + base64.b64encode(images.png(FRAMES[0])).decode()
    question = prompt(
        Message("system", ("You play Breakout.",)), Message("user", ("Now:", FRAMES[0], "Act."))
    )
    body = body_of(COMPATIBLE, question, max_tokens=300, temperature=0.3)
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
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "text", "text": "Act."},
                ],
            },
        ],
        "max_tokens": 300,
        "temperature": 0.3,
        "seed": 7,
    }


def test_every_vendor_is_shown_the_screen_pixel_for_pixel_oldest_first(wire):
    pictures = wire.pictures(body_of(wire))
    assert pictures == [images.png(frame) for frame in FRAMES[:2]]
    shown = np.asarray(Image.open(io.BytesIO(pictures[1])).convert("RGB"))
    assert shown.shape == (210, 160, 3)
    assert np.array_equal(shown, images.rgb(FRAMES[1]))


def test_frames_are_scaled_to_the_size_the_prompt_asks_for(wire):
    (picture, _) = wire.pictures(body_of(wire, prompt(image_size=(320, 420))))
    assert Image.open(io.BytesIO(picture)).size == (320, 420)


def test_the_schema_lets_a_model_think_before_it_chooses_a_legal_action(wire):
    schema = wire.schema(body_of(wire))
    assert list(schema["properties"]) == ["reasoning", "action", "frames"]
    assert schema["properties"]["action"]["enum"] == list(LEGAL)
    assert schema["required"] == ["reasoning", "action", "frames"]
    assert schema["additionalProperties"] is False


def test_frames_of_a_plan_are_bounded_by_the_interval():
    schema = COMPATIBLE.schema(body_of(COMPATIBLE, prompt(longest=6)))
    assert (schema["properties"]["frames"]["minimum"], schema["properties"]["frames"]["maximum"]) \
        == (1, 6)  # fmt: skip


def test_without_plans_no_frames_are_asked_for(wire):
    schema = wire.schema(body_of(wire, prompt(plans=False)))
    assert list(schema["properties"]) == ["reasoning", "action"]


@pytest.mark.parametrize(("more", "structured"), [({"legal": ()}, True), ({}, False)])
def test_free_text_is_asked_for_where_no_action_is(more, structured):
    assert "response_format" not in body_of(COMPATIBLE, prompt(**more), structured=structured)


def test_every_vendor_is_told_the_longest_answer_and_the_temperature(wire):
    extra = {} if wire is ANTHROPIC else {"temperature": 0.3}
    body = body_of(wire, max_tokens=77, **extra)
    options = body.get("generationConfig", body)
    named = ("max_tokens", "max_completion_tokens", "maxOutputTokens")
    assert [options[name] for name in named if name in options] == [77]
    assert options.get("temperature") == extra.get("temperature")


def test_an_unset_temperature_is_left_to_the_vendor(wire):
    body = body_of(wire)
    assert "temperature" not in body.get("generationConfig", body)


def test_only_a_server_of_ones_own_is_told_the_seed(wire):
    body = body_of(wire)
    assert body.get("seed") == (7 if wire is COMPATIBLE else None)
    assert "seed" not in body.get("generationConfig", {})


def test_a_repair_goes_on_with_the_conversation(wire):
    question = prompt().followed_by(
        Message("assistant", ("jump!",)), Message("user", ("No such action.", "Try again."))
    )
    body = body_of(wire, question)
    turns = body.get("contents") or body["messages"]
    assert [turn["role"] for turn in turns if turn["role"] != "system"] == [
        "user",
        "model" if wire is GOOGLE else "assistant",
        "user",
    ]
    assert "jump!" in str(turns[-2])
    assert "No such action." in str(turns[-1])
    assert "Try again." in str(turns[-1])
    assert len(wire.pictures(body)) == 2


def test_neighbours_of_one_role_become_one_turn_and_empty_turns_none():
    question = prompt(
        Message("system", ("One.",)),
        Message("system", ("Two.",)),
        Message("user", ("a",)),
        Message("assistant", ("",)),
        Message("user", ("b",)),
    )
    first, second = body_of(COMPATIBLE, question)["messages"]
    assert first == {"role": "system", "content": "One.\n\nTwo."}
    assert [part["text"] for part in second["content"]] == ["a", "b"]


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_frame_outside_the_users_turns_is_refused_before_anything_is_sent(role):
    question = prompt(Message("user", ("a",)), Message(role, ("b", FRAMES[0])))
    with Server() as server, pytest.raises(InvalidSetting, match=f"this {role} turn has one"):
        ask(COMPATIBLE, server, question)
    assert server.count == 0


@pytest.mark.parametrize("model_id", ["gpt-6-luna", "gpt-6.2-sol"])
def test_a_reasoning_model_of_openai_is_asked_over_responses_field_by_field(model_id):
    picture = "data:image/png;base64," + base64.b64encode(images.png(FRAMES[0])).decode()
    question = prompt(
        Message("system", ("You play Breakout.",)),
        Message("user", ("Now:", FRAMES[0])),
        Message("assistant", ("jump!",)),
        Message("user", ("No such action.",)),
    )
    with Server(Answer(thinking="hm", reasoned=30)) as server:
        wire = replace(OPENAI, model_id=model_id)
        reply = ask(wire, server, question, effort="low", max_tokens=300, detail="low")
    (request,) = server.requests
    assert request.path == "/v1/responses"
    text = request.body.pop("text")
    assert text["format"]["strict"] is True
    assert list(text["format"]["schema"]["properties"]) == ["reasoning", "action", "frames"]
    reasoning = request.body.pop("reasoning")
    assert (reasoning["effort"], reasoning["summary"]) == ("low", "auto")
    system, user, assistant, again = request.body.pop("input")
    (told,) = system["content"]
    assert (system["role"], told["text"]) == ("system", "You play Breakout.")
    assert user == {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Now:"},
            {"type": "input_image", "image_url": picture, "detail": "low"},
        ],
    }
    assert assistant == {"role": "assistant", "content": "jump!"}
    assert again["content"] == [{"type": "input_text", "text": "No such action."}]
    assert request.body == {
        "model": model_id,
        "stream": False,
        "max_output_tokens": 300,
        # Frames change with every decision: only the fixed words are worth a place in the cache.
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    }
    assert (reply.thinking, reply.usage.reasoning_tokens) == ("hm", 30)


def test_a_model_of_openai_that_does_not_reason_is_asked_over_chat():
    with Server() as server:
        ask(OPENAI, server)
    assert server.requests[0].path == "/v1/chat/completions"


def test_anthropic_is_told_how_long_to_reason_and_to_say_what_it_thought():
    pytest.importorskip("anthropic", reason="an optional extra")
    body = body_of(ANTHROPIC, effort="low")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"]["effort"] == "low"
    assert "cache_control" not in str(body["messages"])


def test_google_is_told_how_long_to_reason_and_to_look_at_low_resolution():
    pytest.importorskip("google.genai", reason="an optional extra")
    body = body_of(GOOGLE, effort="low")
    assert body["generationConfig"]["thinkingConfig"]["thinking_level"] == "LOW"
    assert [
        part["mediaResolution"]["level"]
        for part in body["contents"][0]["parts"]
        if "inlineData" in part
    ] == ["MEDIA_RESOLUTION_LOW"] * 2


def test_the_detail_of_pictures_is_the_vendors_unless_set():
    def details(**more: Any) -> list[str | None]:
        (_, user) = body_of(OPENAI, **more)["messages"]
        return [p["image_url"].get("detail") for p in user["content"] if "image_url" in p]

    assert details() == [None, None]
    assert details(detail="low") == ["low", "low"]


# -- what comes back ------------------------------------------------------------------------------


def test_the_reply_carries_words_thoughts_names_and_tokens(wire):
    answer = Answer(text="LEFT it is", thinking="hm", model="renamed-1", tokens=(900, 300, 40))
    with Server(answer) as server:
        reply = ask(wire, server)
    assert (reply.text, reply.thinking) == ("LEFT it is", "hm")
    assert (reply.model, reply.finish) == ("renamed-1", "stop")
    assert reply.request_id.endswith("0")
    usage = reply.usage
    assert (usage.calls, usage.input_tokens, usage.cached_tokens) == (1, 900, 300)
    assert usage.output_tokens == 40
    assert usage.seconds > 0


def test_dollars_come_from_the_price_list_of_the_vendor():
    with Server(Answer(tokens=(900, 300, 40))) as server:
        reply = ask(OPENAI, server)
    # gpt-4o: $2.50 a million tokens in, $1.25 cached, $10 out
    assert reply.usage.dollars == pytest.approx((600 * 2.5 + 300 * 1.25 + 40 * 10) / 1e6)


def test_the_price_is_that_of_the_model_that_answered():
    with Server(Answer(model="gpt-4o-mini")) as server:
        cheap = ask(OPENAI, server).usage.dollars
    with Server() as server:
        dear = ask(OPENAI, server).usage.dollars
    assert cheap is not None
    assert dear is not None
    assert cheap < dear / 10


def test_a_given_price_is_used():
    with Server(Answer(tokens=(900, 300, 40))) as server:
        reply = ask(replace(OPENAI, model_id="gpt-6.2-sol"), server, price=Price(2, 0.1, 10))
    assert reply.usage.dollars == pytest.approx((600 * 2 + 300 * 0.1 + 40 * 10) / 1e6)


def test_an_unknown_price_is_not_free():
    with Server() as server:
        assert ask(replace(OPENAI, model_id="gpt-99"), server).usage.dollars is None
        assert ask(replace(COMPATIBLE, model_id="gpt-4o"), server).usage.dollars is None
        assert ask(COMPATIBLE, server, price=Price(0, 0, 0)).usage.dollars == 0


def test_without_a_count_of_tokens_the_price_is_unknown(wire):
    with Server(Answer(tokens=None)) as server:
        usage = ask(wire, server, price=Price(2, 1, 10)).usage
        assert (usage.input_tokens, usage.dollars) == (0, None)


def test_a_refusal_is_a_reply_that_says_so(wire):
    with Server(Answer(finish="refusal", text="I cannot help with that.")) as server:
        reply = ask(wire, server)
    assert (reply.finish, reply.text) == ("content_filter", "I cannot help with that.")
    assert server.count == 1


def test_an_answer_cut_off_is_a_reply_that_says_so(wire):
    with Server(Answer(finish="length", text='{"reasoning": "The ba')) as server:
        reply = ask(wire, server)
    assert (reply.finish, reply.text) == ("length", '{"reasoning": "The ba')


# -- one model, many questions --------------------------------------------------------------------


def test_eight_games_share_one_model():
    def answer(number: int, body: dict[str, Any]) -> Answer:
        return Answer(text=body["messages"][-1]["content"][0]["text"], delay=0.01)

    async def play(server: Server) -> list[Reply]:
        model = HostedModel(settings(COMPATIBLE, server))
        questions = [prompt(Message("user", (f"game {n}",))) for n in range(8)]
        replies = await asyncio.gather(*[model.answer(q, seed=1) for q in questions])
        await model.close()
        return list(replies)

    with Server(answer) as server:
        replies = asyncio.run(play(server))
    assert [reply.text for reply in replies] == [f"game {n}" for n in range(8)]


def test_a_closed_model_opens_again():
    with Server(Answer(text="FIRE")) as server:
        model = HostedModel(settings(COMPATIBLE, server))
        assert [asyncio.run(_last_answer(model)) for _ in range(3)] == ["FIRE"] * 3


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_model_left_open_by_one_event_loop_answers_in_the_next():
    with Server(Answer(text="FIRE")) as server:
        model = HostedModel(settings(COMPATIBLE, server))
        assert asyncio.run(model.answer(prompt(), seed=1)).text == "FIRE"
        assert asyncio.run(_last_answer(model)) == "FIRE"
    gc.collect()  # what was left open is complained of here


async def _last_answer(model: HostedModel) -> str:
    reply = await model.answer(prompt(), seed=1)
    await model.close()
    return reply.text


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"base_url": "localhost:8000"}, "is not the address of a server"),
        ({"base_url": None}, "is not the address of a server"),
        ({"base_url": "http://host:port/v1"}, "is not the address of a server"),
        ({"base_url": "http://me:secret@host/v1"}, "Keep name and password out"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"tries": 0}, "tries must be at least 1"),
        ({"timeout_s": 0}, "timeout must be at least"),
        ({"timeout_s": float("nan")}, "timeout must be at least"),
        ({"temperature": 3.0}, "temperature must be 0 to 2"),
        ({"provider": "openia"}, "Choose from: openai, anthropic, google"),
    ],
)
def test_settings_that_cannot_work_are_refused(values, complaint):
    good = {
        "name": "m",
        "model_id": "m",
        "provider": "openai-compatible",
        "base_url": "http://h/v1",
    }
    with pytest.raises(InvalidSetting, match=complaint) as caught:
        HostedSettings(**good | values)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.provider)
def test_a_prompt_that_asks_for_a_line_is_not_held_to_a_schema(wire):
    with Server(Answer(text="ACTION: LEFT x2")) as server:
        reply = ask(wire, server, prompt(json=False))
    assert reply.text == "ACTION: LEFT x2"
    assert "schema" not in str(server.requests[0].body).lower()
