"""Honest bodies of every wire with fields dropped, emptied, retyped and nested: never a traceback.

A decision is asked for. What comes is an answer that can be stored, with a bill that is no lower
than what was stated, or one sentence.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atari_vlm.errors import ModelFault, ModelUnusable
from atari_vlm.models.journal import reply_from_json, reply_to_json
from tests.fuzzing import fuzzed
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.wires import WIRES, Wire, ask

VALUES = (
    *(None, True, 0, -1, 5, 10**30, 1.5, 1e300, "", "text", "\ud83d", "\0", [], {}),
    *([None], [[]], [{}], {"": None}, {"text": None}, {"type": "hologram", "text": 5}),
    *({"error": {"code": 500}}, "stop", "length", "error", "failed", ["a", {"b": ["c"]}]),
)


def places(body: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values of a body."""
    found = [way] if way else []
    if isinstance(body, dict):
        entries = list(body.items())
    else:
        entries = list(enumerate(body)) if isinstance(body, list) else []
    return found + [deeper for key, value in entries for deeper in places(value, (*way, key))]


@st.composite
def mutated(draw: st.DrawFn, wire: Wire) -> Any:
    """An honest answer or error of a wire, changed in one to four places."""
    status = draw(st.sampled_from([200, 200, 200, 400]))
    finish = draw(st.sampled_from(["stop", "length", "refusal"]))
    body = copy.deepcopy(wire.body(status=status, finish=finish))
    for _ in range(draw(st.integers(1, 4))):
        if not (ways := places(body)):
            break
        *way, last = draw(st.sampled_from(ways))
        place = body
        for key in way:
            place = place[key]
        action = draw(st.sampled_from(["drop", "set", "set", "nest", "add"]))
        if action == "drop":
            del place[last]
        elif action == "set":
            place[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif action == "nest":
            place[last] = draw(st.sampled_from([[place[last]], {"a": place[last]}]))
        elif isinstance(place, dict):
            place[draw(st.sampled_from(["error", "type", "status", "text"]))] = draw(
                st.sampled_from(VALUES).map(copy.deepcopy)
            )
    return body


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@fuzzed(25)
@given(data=st.data())
def test_a_changed_body_is_an_answer_or_one_sentence(wire, data):
    status = data.draw(st.sampled_from([200, 200, 200, 200, 400, 401, 429, 500]))
    raw = json.dumps(data.draw(mutated(wire)))
    with Server(Answer(raw=raw, status=status)) as server:
        outcome = ask(wire, server, tries=1)
    assert server.count == 1
    if outcome.reply is None:
        assert isinstance(outcome.error, ModelFault | ModelUnusable)
        assert len(outcome.text) < 700
        assert "Traceback" not in outcome.text
        outcome.text.encode()
        return
    assert status == 200
    usage = outcome.reply.usage
    assert usage.dollars is None or usage.dollars >= 0
    assert usage.uncertain_dollars is None or usage.uncertain_dollars >= 0
    stored = reply_to_json(outcome.reply)
    assert reply_from_json(stored.encode().decode()) == outcome.reply
    for text in (outcome.reply.text, outcome.reply.thinking, outcome.reply.model):
        text.encode()
