"""Bodies with status 200 that are not what they should be, on every wire: used, or a fault."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.types import Message, Prompt
from tests.hosted import KEY
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.wires import TEXT, THOUGHT, WIRES, Wire, ask, ask_raw

CHAT, RESPONSES, MESSAGES, GENERATE = WIRES
HALF, WHOLE = "The ball \ud83d moves", "The ball \\ud83d moves"


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return request.param


def changed(body: Any, path: str, value: Any) -> Any:
    """A copy of a body with another value at a path like "choices.0.message"; `...` drops it."""
    body = copy.deepcopy(body)
    *way, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
    place = body
    for key in way:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


# -- text that cannot be stored -------------------------------------------------------------------


def test_half_a_surrogate_pair_is_escaped_wherever_it_stands(wire):
    text = json.dumps(wire.body(text=HALF, thinking=HALF, model=HALF))
    outcome = ask_raw(wire, text)
    assert outcome.reply is not None
    reply = outcome.reply
    assert reply.text == reply.thinking == WHOLE
    assert (reply.model + reply.finish + reply.request_id).encode()


def test_half_a_surrogate_pair_in_a_refusal_is_escaped(wire):
    outcome = ask_raw(wire, wire.body(text=HALF, finish="refusal"))
    assert outcome.reply is not None
    assert outcome.reply.text == WHOLE
    assert outcome.reply.finish == "content_filter"


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_half_a_surrogate_pair_in_an_error_is_escaped(wire, status):
    error = {"error": {"message": HALF, "code": HALF, "type": HALF}, "type": "error"}
    with Server([Answer(), Answer(status=status, raw=json.dumps(error))]) as server:
        outcome = ask(wire, server, times=2)
    assert WHOLE in outcome.text
    assert outcome.text.encode()


def test_half_a_surrogate_pair_in_a_prompt_is_escaped(wire):
    texts = [Message(role, (HALF,)) for role in ("system", "user", "assistant", "user")]
    prompt = Prompt(messages=tuple(texts), legal=("NOOP",), longest=4)
    with Server(Answer(text=TEXT)) as server:
        assert ask(wire, server, prompt=prompt).reply.text == TEXT
        assert json.dumps(server.requests[0].body).count("The ball \\\\ud83d moves") == 4


def test_a_nul_and_other_controls_are_kept_in_texts_and_left_out_of_errors(wire):
    assert ask_raw(wire, wire.body(text="a\0b\x1b[31m")).reply.text == "a\0b\x1b[31m"
    with Server(Answer(status=500, message="a\0b\x1b[31mc\x1esetting\x1f")) as server:
        assert 'It said: "a b [31mc setting"' in ask(wire, server).text


def test_bytes_that_are_no_utf8_are_replaced(wire):
    body = json.dumps(wire.body(text="LEFT caf@")).replace("@", "\udce9")
    raw = body.encode("utf-8", "surrogateescape")
    answer = Answer(raw="x")
    object.__setattr__(answer, "raw", raw.decode("latin-1"))
    with Server(answer) as server:
        server._content = lambda *_: (answer, raw)
        assert ask(wire, server).reply.text == "LEFT caf\ufffd"


# -- fields of other types ------------------------------------------------------------------------

TEXT_AT = {
    "chat": "choices.0.message.content",
    "responses": "output.1.content.0.text",
    "messages": "content.1.text",
    "generate": "candidates.0.content.parts.1.text",
}
THOUGHT_AT = {
    "chat": "choices.0.message.reasoning_content",
    "responses": "output.0.summary.0.text",
    "messages": "content.0.thinking",
    "generate": "candidates.0.content.parts.0.text",
}
FINISH_AT = {
    "chat": "choices.0.finish_reason",
    "responses": "status",
    "messages": "stop_reason",
    "generate": "candidates.0.finishReason",
}
USAGE_AT = {"generate": "usageMetadata"}
WRONG = [..., None, 5, [None], {"a": 1}, "\ud83d"]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_wrong_thought_does_not_cost_the_text(wire, value):
    outcome = ask_raw(wire, changed(wire.body(), THOUGHT_AT[wire.name], value))
    assert outcome.reply is not None
    assert outcome.reply.text == TEXT


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_wrong_reason_of_the_end_does_not_cost_the_text(wire, value):
    outcome = ask_raw(wire, changed(wire.body(), FINISH_AT[wire.name], value))
    assert outcome.reply is not None
    assert (outcome.reply.text, outcome.reply.finish) == (TEXT, "stop")


@pytest.mark.parametrize("value", [*WRONG, "many", {"prompt_tokens": "9"}, [1]], ids=repr)
def test_wrong_usage_does_not_cost_the_text_and_is_uncertain(wire, value):
    outcome = ask_raw(wire, changed(wire.body(), USAGE_AT.get(wire.name, "usage"), value))
    assert outcome.reply is not None
    assert outcome.reply.text == TEXT
    assert outcome.reply.usage.uncertain == 1
    assert outcome.reply.usage.uncertain_tokens > 1000


def test_a_count_of_another_type_makes_the_usage_uncertain(wire):
    names = [name for name in wire.body()[USAGE_AT.get(wire.name, "usage")] if "otal" not in name]
    totals = [name for name in names if name in COUNTS]
    assert len(totals) == 2
    for name in totals:
        for value in ("900", [900], {"a": 900}, 900.5, True):
            body = changed(wire.body(), f"{USAGE_AT.get(wire.name, 'usage')}.{name}", value)
            usage = ask_raw(wire, body).reply.usage
            assert usage.uncertain == 1, (name, value)


COUNTS = {"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"}
COUNTS |= {"promptTokenCount", "candidatesTokenCount"}


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_text_of_another_type_is_an_empty_answer_whose_usage_counts(wire, value):
    outcome = ask_raw(wire, changed(wire.body(), TEXT_AT[wire.name], value))
    assert outcome.reply is not None
    assert outcome.reply.text in ("", "\\ud83d")
    assert outcome.reply.thinking == THOUGHT
    assert (outcome.reply.usage.input_tokens, outcome.reply.usage.uncertain) == (900, 0)


@pytest.mark.parametrize("name", ["choices", "output", "content", "candidates"])
@pytest.mark.parametrize("value", [..., None, 5, "text", [], {}, [None], [[]], [5]], ids=repr)
def test_an_answer_without_its_list_is_a_fault_or_an_empty_answer(name, value):
    wire = next(wire for wire in WIRES if name in wire.body())
    outcome = ask_raw(wire, changed(wire.body(), name, value))
    if outcome.reply is not None:
        assert outcome.reply.text in ("", "text")
        assert outcome.reply.usage.input_tokens == 900
    else:
        assert isinstance(outcome.error, ModelFault)
        assert outcome.error.kind == "garbage"
        assert outcome.error.lost.requests == 2


UNKNOWN = {"type": "hologram", "text": "ACTION: NOOP", "data": [{"a": None}]}


@pytest.mark.parametrize(
    ("wire", "path", "value"),
    [
        (CHAT, "choices.0.message.content", [UNKNOWN, {"type": "text", "text": TEXT}, None, 5]),
        (CHAT, "choices.0.message.content", [{"type": "thinking", "thinking": "hm"}, TEXT]),
        (CHAT, "choices.0.message.tool_calls", [{"id": None, "function": 5}]),
        (CHAT, "choices.0.message.role", None),
        (CHAT, "choices.0.message.audio", "x"),
        (CHAT, "choices.0.logprobs", 5),
        (CHAT, "choices.0.index", "first"),
        (CHAT, "created", "yesterday"),
        (CHAT, "object", None),
        (CHAT, "id", {"a": []}),
        (CHAT, "model", None),
        (CHAT, "service_tier", "gold"),
        (CHAT, "moderation", 7),
        (RESPONSES, "output.1.content.0", [UNKNOWN, {"type": "output_text", "text": TEXT}]),
        (RESPONSES, "output.1.content.0.annotations", 5),
        (RESPONSES, "output.0", UNKNOWN),
        (RESPONSES, "output.0", None),
        (RESPONSES, "output.1.role", 5),
        (RESPONSES, "conversation", "x"),
        (RESPONSES, "incomplete_details", "x"),
        (RESPONSES, "created_at", {}),
        (MESSAGES, "content.0", UNKNOWN),
        (MESSAGES, "content.0", None),
        (MESSAGES, "content.1.citations", 5),
        (MESSAGES, "content", TEXT),
        (MESSAGES, "container", 5),
        (MESSAGES, "stop_details", [5]),
        (MESSAGES, "usage.cache_creation", "x"),
        (MESSAGES, "usage.server_tool_use", [1]),
        (GENERATE, "candidates.0.content.parts.0", {"hologram": 5}),
        (GENERATE, "candidates.0.content.parts.0", None),
        (GENERATE, "candidates.0.content.parts.1.thought", None),
        (GENERATE, "candidates.0.content.parts.1.thoughtSignature", 5),
        (GENERATE, "candidates.0.groundingMetadata", "x"),
        (GENERATE, "candidates.0.safetyRatings", {"a": 1}),
        (GENERATE, "candidates.0.continuationToken", "again"),
        (GENERATE, "promptFeedback", 5),
        (GENERATE, "usageMetadata.promptTokensDetails", "x"),
        (GENERATE, "modelVersion", [1]),
    ],
)
def test_good_text_beside_what_is_unknown_is_used(wire, path, value):
    body = wire.body()
    if path == "output.1.content.0":
        body, path = changed(body, "output.1.content", []), "output.1.content"
    outcome = ask_raw(wire, changed(body, path, value))
    assert outcome.reply is not None
    assert outcome.reply.text == TEXT
    assert outcome.reply.usage.input_tokens == 900


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", ""])
def test_the_content_type_does_not_matter(wire, kind):
    assert ask_raw(wire, wire.body(), headers={"content-type": kind}).reply.text == TEXT


# -- errors with status 200 -----------------------------------------------------------------------


def stated(wire: Wire, code: Any, message: str = "Upstream says no") -> dict[str, Any]:
    """An error in the form of one wire."""
    if wire is RESPONSES:
        error = {"error": {"code": code, "message": message}, "status": "failed"}
        return wire.body(text="") | error
    if wire is MESSAGES:
        return {"type": "error", "error": {"type": code, "message": message}}
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("code", "what", "words"),
    [
        (429, "rate limit", "limits the rate of requests (429, in an answer with status 200)"),
        ("rate_limit_exceeded", "rate limit", "(rate_limit_exceeded, in an answer"),
        (502, "server error", "failed (502, in an answer with status 200)"),
        ("server_error", "server error", "failed (server_error, in an answer"),
        ("overloaded_error", "server error", "failed (overloaded_error, in"),
        ("strange", "server error", "failed (strange, in an answer"),
        (401, "", "refused the key (401, in an answer"),
        ("authentication_error", "", "refused the key (authentication_error, in"),
        (402, "", "quota of this account is used up (402, in"),
        ("insufficient_quota", "", "quota of this account is used up"),
        (404, "", "404, in an answer"),
        ("invalid_prompt", "", "rejected the request for"),
        (400, "", "rejected the request for"),
    ],
)
def test_an_error_with_status_200_has_the_servers_words_and_the_right_verdict(
    wire, code, what, words
):
    with Server(Answer(raw=json.dumps(stated(wire, code)))) as server:
        outcome = ask(wire, server)
    assert words in outcome.text
    assert 'It said: "Upstream says no"' in outcome.text
    if what:
        assert isinstance(outcome.error, ModelFault)
        assert (outcome.error.kind, server.count) == (what, 2)
    else:
        assert isinstance(outcome.error, ModelUnusable)
        assert server.count == 1


def test_an_error_in_a_choice_is_the_servers_and_may_have_been_charged():
    error = {"code": 502, "message": "Provider died", "metadata": {"raw": "CUDA"}}
    body = changed(CHAT.body(text=""), "choices.0.error", error)
    outcome = ask_raw(CHAT, body)
    assert 'failed (502, in an answer with status 200). It said: "Provider died: CUDA"' in str(
        outcome.error
    )
    assert outcome.error.lost.requests == 2


def test_an_error_before_the_answer_is_not_charged():
    outcome = ask_raw(CHAT, {"error": {"code": 503, "message": "Busy"}})
    assert outcome.error.lost.requests == 0


def test_words_of_an_error_are_short_and_without_the_key(wire):
    outcome = ask_raw(wire, stated(wire, 500, f"You sent {KEY} " + "x" * 10_000))
    assert "You sent [key] xxx" in outcome.text
    assert len(outcome.text) < 500


@pytest.mark.parametrize("error", ["Broken", {"message": None}, {"code": 500}, [1], 5, True])
def test_an_error_of_another_form_is_a_fault(wire, error):
    outcome = ask_raw(wire, {"error": error, "type": "error"})
    assert isinstance(outcome.error, ModelFault)


def test_a_blocked_prompt_is_a_refusal_and_no_fault_of_the_server():
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}
    reply = ask_raw(GENERATE, body).reply
    assert (reply.text, reply.finish) == ("", "content_filter")
    body["promptFeedback"]["blockReason"] = "A_REASON_OF_TOMORROW"
    assert ask_raw(GENERATE, body).reply.finish == "content_filter"


def test_a_failed_response_without_a_reason_is_a_fault():
    outcome = ask_raw(RESPONSES, RESPONSES.body(text="") | {"status": "failed", "error": None})
    assert "failed (failed, in an answer" in outcome.text


def test_wait_as_long_as_an_error_with_status_200_asks():
    answer = Answer(raw=json.dumps(stated(CHAT, 429)), headers={"retry-after": "7"})
    with Server([answer, Answer(text=TEXT)]) as server:
        assert ask(CHAT, server).reply.text == TEXT
