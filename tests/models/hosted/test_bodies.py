"""Bodies of answers that were paid for and are written in another way: compressed, in a stream."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from atari_vlm.errors import ModelFault
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.wires import TEXT, THOUGHT, WIRES, Liar, ask, ask_raw, fixed, good, http

CHAT, RESPONSES, MESSAGES, GENERATE = WIRES


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return request.param


# -- compressed -----------------------------------------------------------------------------------


def _deflated(body: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(body) + packer.flush()


def _members(body: bytes, between: bytes = b"", size: int = 50) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return between.join(map(gzip.compress, pieces))


WAYS = {
    "one member": ("gzip", gzip.compress),
    "two members": ("gzip", lambda body: _members(body, size=len(body) // 2 + 1)),
    "many members": ("gzip", _members),
    "an empty member first": ("gzip", lambda body: gzip.compress(b"") + gzip.compress(body)),
    "an empty member between": ("gzip", lambda body: _members(body, gzip.compress(b""))),
    "zeros between": ("gzip", lambda body: _members(body, bytes(5000))),
    "zeros behind": ("gzip", lambda body: gzip.compress(body) + bytes(5000)),
    "something behind": ("gzip", lambda body: gzip.compress(body) + b"\r\n"),
    "without its checksum": ("gzip", lambda body: gzip.compress(body)[:-8]),
    "x-gzip": ("x-gzip", gzip.compress),
    "in capitals": ("GZip", gzip.compress),
    "identity": ("identity", bytes),
    "gzip, identity": ("gzip, identity", gzip.compress),
    "identity, gzip": ("identity , gzip", gzip.compress),
    "of no meaning": ("utf-8", bytes),
    "deflate": ("deflate", lambda body: _deflated(body, 15)),
    "raw deflate": ("deflate", lambda body: _deflated(body, -15)),
    "deflate, gzip": ("deflate, gzip", lambda body: _members(_deflated(body, 15))),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_is_read_in_every_legal_compression(way):
    name, pack = WAYS[way]
    lie = fixed(lambda wire: http(pack(good(wire)), content_encoding=name))
    with Liar(lie, CHAT) as server:
        outcome = ask(CHAT, server)
    assert outcome.reply is not None, outcome.text
    assert outcome.reply.text == TEXT
    assert server.count == 1
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"


def test_two_members_are_read_on_every_wire(wire):
    with Liar(fixed(lambda w: http(_members(good(w)), content_encoding="gzip")), wire) as server:
        assert ask(wire, server).reply.text == TEXT


@pytest.mark.parametrize("piece", [gzip.compress(b""), b"\0"], ids=["empty members", "zeros"])
def test_what_decompresses_to_nothing_is_bounded_too(piece):
    body = gzip.compress(b"{}") + piece * (9 * 2**20 // len(piece))
    with Liar(fixed(lambda w: http(body, content_encoding="gzip")), CHAT) as server:
        assert "it had more than 8 MB" in ask(CHAT, server, tries=1).text


def test_an_error_whose_body_cannot_be_decompressed_keeps_its_verdict():
    lie = fixed(lambda w: http(b"no gzip", "401 Unauthorized", content_encoding="gzip"))
    with Liar(lie, CHAT) as server:
        assert "refused the key (401)" in ask(CHAT, server).text
    assert server.count == 1


# -- in a stream ----------------------------------------------------------------------------------

HALVES = TEXT[:9], TEXT[9:]


def _pieces(wire) -> list[dict]:
    """The events of an answer in two pieces, with a thought before it, as the API streams them."""
    if wire is CHAT:
        deltas = [{"role": "assistant", "content": ""}, {"reasoning_content": THOUGHT}]
        deltas += [{"content": half} for half in HALVES]
        usage = {"prompt_tokens": 900, "completion_tokens": 40}
        return [
            *({"id": "a", "model": "m", "choices": [{"index": 0, "delta": d}]} for d in deltas),
            {"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"id": "a", "choices": [], "usage": usage},
        ]
    if wire is RESPONSES:
        deltas = [{"type": "response.output_text.delta", "delta": half} for half in HALVES]
        return [*deltas, {"type": "response.completed", "response": wire.body()}]
    if wire is MESSAGES:
        message = wire.body() | {"content": [], "stop_reason": None}
        message["usage"] = {"input_tokens": 900, "output_tokens": 1}
        delta = "content_block_delta"
        return [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            {"type": delta, "index": 0, "delta": {"type": "thinking_delta", "thinking": THOUGHT}},
            {"type": "ping"},
            *({"type": delta, "delta": {"type": "text_delta", "text": half}} for half in HALVES),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 40},
            },
            {"type": "message_stop"},
        ]
    parts = [{"text": THOUGHT, "thought": True}, *({"text": half} for half in HALVES)]
    bodies = [{"candidates": [{"content": {"role": "model", "parts": [p]}}]} for p in parts]
    bodies[-1]["candidates"][0]["finishReason"] = "STOP"
    usage = {"promptTokenCount": 900, "candidatesTokenCount": 40}
    return [*bodies[:-1], bodies[-1] | {"usageMetadata": usage}]


def _stream(events: list[dict], end: str = "") -> str:
    lines = [
        f"event: {event.get('type', 'x')}\r\ndata: {json.dumps(event)}\r\n\r\n" for event in events
    ]
    return ": a comment\n\n" + "".join(lines) + end


def test_an_answer_that_was_streamed_unasked_is_read(wire):
    end = "data: [DONE]\n\n" if wire is CHAT else ""
    body = _stream(_pieces(wire), end)
    with Server(Answer(raw=body, headers={"content-type": "text/event-stream"})) as server:
        outcome = ask(wire, server)
    assert outcome.reply is not None, outcome.text
    assert (outcome.reply.text, outcome.reply.thinking) == (TEXT, THOUGHT)
    usage = outcome.reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.uncertain) == (900, 40, 0)
    assert server.count == 1


def test_a_list_of_bodies_is_read_as_google_sends_one():
    outcome = ask_raw(GENERATE, _pieces(GENERATE))
    assert (outcome.reply.text, outcome.reply.thinking) == (TEXT, THOUGHT)


def test_a_stream_without_its_end_is_no_answer(wire):
    pieces = _pieces(wire)
    cut = next(i for i, piece in enumerate(pieces) if HALVES[0] in json.dumps(piece))
    outcome = ask_raw(wire, _stream(pieces[: cut + 1]))
    assert isinstance(outcome.error, ModelFault)
    assert "it sent a stream of events that ends before the answer does" in outcome.text


@pytest.mark.parametrize("place", [0, 2])
def test_an_error_in_a_stream_is_the_servers_own_words(wire, place):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Too many"}}
    pieces = _pieces(wire)
    outcome = ask_raw(wire, _stream([*pieces[:place], error, *pieces[place:]]))
    assert isinstance(outcome.error, ModelFault)
    assert 'It said: "Too many"' in outcome.text
    assert outcome.error.lost.requests == (2 if place else 0) or not place


@pytest.mark.parametrize("body", ["data: {", "data: [1]\n\n", "data: [DONE]\n\n", ": only this\n"])
def test_a_stream_of_nothing_is_one_sentence(wire, body):
    outcome = ask_raw(wire, body)
    assert isinstance(outcome.error, ModelFault)
    assert "did not answer as its API should" in outcome.text
