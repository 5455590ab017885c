"""Answers without an action that end by a limit or a filter, on every wire: named, not repaired."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from atari_vlm.cli.flags import with_flags
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.rollout import steps
from atari_vlm.types import Decision, Limits
from tests.servers import Server
from tests.test_rollout import Notebook
from tests.vendor_apis import Answer
from tests.wires import TEXT, WIRES, Wire, available

CHAT, RESPONSES, MESSAGES, GENERATE = WIRES


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return available(request.param)


def decide(wire: Wire, *answers: Any) -> tuple[Decision, int]:
    """The first decision of a game, of whose calls the given ones fail; and how many were made."""

    async def play(server: Server) -> Decision:
        model = HostedModel(wire.settings(server), api_key="k")
        policy = VLMPolicy(model, get_strategy("basic", PromptSettings()))
        env = AtariVLMEnvironment("breakout", resize_shape=None)
        game = steps(env, policy, Notebook(), seed=0, limits=Limits(decisions=2, fallbacks=9))
        try:
            return (await anext(aiter(game))).decision
        finally:
            await game.aclose()
            await model.close()

    with Server([*answers, Answer(text=TEXT)]) as server:
        decision = asyncio.run(play(server))
        return decision, server.count


def without_parts(wire: Wire) -> dict[str, Any]:
    """An answer whose tokens were all thoughts, as each vendor sends it."""
    body = wire.body(text="", thinking="", finish="length", tokens=(900, 0, 512), reasoned=512)
    if wire is GENERATE:
        body["candidates"][0]["content"] = {"role": "model"}
        del body["usageMetadata"]["candidatesTokenCount"]
    if wire is RESPONSES:
        body["output"] = [{"type": "reasoning", "id": "r", "summary": []}]
    return body


def test_tokens_used_up_by_thinking_are_named_and_not_paid_for_twice(wire):
    decision, calls = decide(wire, Answer(raw=json.dumps(without_parts(wire))))
    assert decision.source == "fallback"
    assert calls == len(decision.calls) == 1
    assert decision.reason == (
        "The answer was cut off at 512 tokens, before its first word: raise max_tokens, or lower "
        "effort."
    )
    assert with_flags(f"The last reason: {decision.reason} Or lower effort.") == (
        "The last reason: The answer was cut off at 512 tokens, before its first word: raise "
        "--max-tokens, or lower --effort. Or lower effort."
    )
    assert decision.usage.output_tokens == 512


def test_thoughts_that_are_shown_do_not_change_that(wire):
    cut = Answer(text="", thinking="Maybe LEFT because", finish="length", tokens=(900, 0, 512))
    decision, calls = decide(wire, cut)
    assert (decision.source, calls) == ("fallback", 1)
    assert "cut off at 512 tokens" in decision.reason


def test_an_answer_cut_off_in_its_words_may_be_repaired(wire):
    cut = Answer(text="Let us think about the ball", finish="length", tokens=(900, 0, 64))
    decision, calls = decide(wire, cut)
    assert (decision.source, calls) == ("repaired", 2)
    assert decision.reason.startswith("The answer was cut off at 64 tokens: raise max_tokens")


def test_a_refusal_is_not_repaired_and_no_action_in_it_is_played(wire):
    refusal = Answer(text="I cannot say ACTION: FIRE", finish="refusal")
    decision, calls = decide(wire, refusal)
    assert (decision.source, calls) == ("fallback", 1)
    assert decision.reason == "The model refused to answer."


@pytest.mark.parametrize(
    ("wire", "change"),
    [
        (CHAT, {"finish_reason": "content_filter"}),
        (GENERATE, {"finishReason": "PROHIBITED_CONTENT"}),
        (RESPONSES, {"incomplete_details": {"reason": "content_filter"}, "status": "incomplete"}),
        (MESSAGES, {"stop_reason": "refusal"}),
    ],
    ids=lambda value: value.name if isinstance(value, Wire) else "",
)
def test_a_content_filter_is_named_and_not_repaired(wire, change):
    body = available(wire).body(text="", thinking="")
    body |= change
    for place in ("choices", "candidates"):
        if place in body:
            body[place][0] |= change
    decision, calls = decide(wire, Answer(raw=json.dumps(body)))
    assert (decision.source, calls) == ("fallback", 1)
    assert decision.reason.startswith("A content filter stopped the answer, or the model refused")


def test_an_answer_only_in_its_reasoning_is_named(wire):
    hidden = Answer(text="", thinking="ACTION: FIRE x4")
    decision, calls = decide(wire, hidden)
    assert (decision.source, decision.action, calls) == ("repaired", "LEFT", 2)
    assert decision.reason == (
        "All words of the answer are in its reasoning, which is never played."
    )
    assert decision.calls[0].reply.thinking == "ACTION: FIRE x4"


def test_a_tool_call_in_place_of_an_answer_is_named():
    body = CHAT.body(text=None, thinking="")
    body["choices"][0]["finish_reason"] = "tool_calls"
    body["choices"][0]["message"]["tool_calls"] = [{"id": "1", "type": "function"}]
    decision, calls = decide(CHAT, Answer(raw=json.dumps(body)))
    assert (decision.source, calls) == ("repaired", 2)
    assert decision.reason == "The model called a tool and wrote no answer."
