"""Servers that lie on the socket: bombs, endless and broken answers, redirects; on every wire."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.models.hosted.transport import MOST_ANSWER
from tests.hosted import KEY
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.wires import BOMB, LIES, SLOW, WIRES, Liar, ask, http


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return request.param


ON_EVERY_WIRE = {"gzip bomb", "endless body", "deep", "deep error", "redirect", "twice"}
"""The others differ only in what HTTP sees, which is the same for all wires."""


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_one_sentence_within_the_time_out(name):
    _lied_to(WIRES[0], name)


@pytest.mark.parametrize("name", sorted(ON_EVERY_WIRE))
@pytest.mark.parametrize("wire", WIRES[1:], ids=lambda wire: wire.name)
def test_a_lie_is_the_same_sentence_on_every_wire(wire, name):
    _lied_to(wire, name)


def _lied_to(wire, name):
    with Liar(LIES[name], wire) as server:
        outcome = ask(wire, server, timeout_s=0.3 if name in SLOW else 30)
        refused = 1 if name.startswith("redirect") else 2
    assert isinstance(outcome.error, ModelFault | ModelUnusable)
    assert KEY not in outcome.text
    assert "SECRET" not in outcome.text
    assert len(outcome.text) < 500
    assert outcome.text.encode()
    assert server.count == refused
    if name in SLOW:
        assert outcome.error.kind == "timeout"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gzip bomb", "it had more than 8 MB"),
        ("no gzip", "it cannot be decompressed"),
        ("deep", "nested more than 64 levels deep"),
        ("huge number", "Exceeds the limit"),
        ("twice", "it names 'id' twice in one object"),
        ("page", 'it sent a page of HTML, "Sign in"'),
        ("page of an error", 'failed (502). It said: "Bad gateway"'),
        ("empty", "the answer was empty, with status 200"),
        ("204", "the answer was empty, with status 204"),
        ("304", "its status was 304"),
        ("redirect", "redirects to http://127.0.0.1:1/v1 (307). Requests carry the key and follow"),
    ],
)
def test_the_sentence_says_what_is_wrong(name, words):
    with Liar(LIES[name], WIRES[0]) as server:
        assert words in ask(WIRES[0], server).text


def test_a_redirect_is_never_followed_and_the_key_never_passed_on(wire):
    with Server() as other:
        for status in (301, 302, 303, 307, 308):
            elsewhere = Answer(status=status, headers={"location": f"{other.url}/v1"})
            with Server(elsewhere) as server:
                outcome = ask(wire, server)
            assert isinstance(outcome.error, ModelUnusable)
            assert f"redirects to {other.url}/v1 ({status})" in outcome.text
            assert "set base_url to it" in outcome.text
    assert other.count == 0


@pytest.mark.parametrize("name", ["gzip bomb", "twice zipped", "bomb in an error", "endless body"])
def test_a_bomb_takes_little_memory(name):
    with Liar(LIES["deep"], WIRES[0]) as server:
        ask(WIRES[0], server)  # imports
    with Liar(LIES[name], WIRES[0]) as server:
        ask(WIRES[0], server)  # the bomb is made
        tracemalloc.start()
        ask(WIRES[0], server)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * MOST_ANSWER
    assert peak < BOMB / 2


def test_an_answer_just_below_the_limit_is_read():
    text = "x" * 7_000_000 + " ACTION: LEFT x2"
    with Server(Answer(text=text)) as server:
        outcome = ask(WIRES[0], server)
    assert outcome.reply is not None
    assert outcome.reply.text == text


def test_a_header_that_is_no_ascii_costs_no_answer(wire):
    async def honest_with_an_odd_name(server, writer, wire):
        writer.write(
            http(json.dumps(wire.body()).encode(), x_request_id="\xe9\xff", request_id="a")
        )
        await writer.drain()

    with Liar(honest_with_an_odd_name, wire) as server:
        outcome = ask(wire, server)
    assert outcome.error is None
    assert server.count == 1
