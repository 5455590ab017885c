"""The replies of hosted models, and one model that serves many calls."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import Any

import pytest

from atari_vlm.costs.prices import Price
from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.types import Message, Reply
from tests.hosted import (
    COMPATIBLE,
    OPENAI,
    ask,
    make_prompt,
    make_settings,
)
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as


def test_a_reply_has_text_thinking_names_and_tokens(api):
    answer = Answer(text="LEFT it is", thinking="hm", model="renamed-1", tokens=(900, 300, 40))
    with Server(answer) as server:
        reply = ask(api, server)
    assert (reply.text, reply.thinking) == ("LEFT it is", "hm")
    assert (reply.model, reply.finish) == ("renamed-1", "stop")
    assert reply.request_id.endswith("0")
    usage = reply.usage
    assert (usage.calls, usage.input_tokens, usage.cached_tokens) == (1, 900, 300)
    assert usage.output_tokens == 40
    assert usage.seconds > 0


def test_dollars_come_from_the_vendors_price_list(monkeypatch):
    with Server(Answer(tokens=(900, 300, 40))) as server:
        serve_as(monkeypatch, openai=server)
        reply = ask(OPENAI, server)
    # gpt-4o: $2.50 a million tokens in, $1.25 cached, $10 out
    assert reply.usage.dollars == pytest.approx((600 * 2.5 + 300 * 1.25 + 40 * 10) / 1e6)


def test_the_price_is_that_of_the_model_that_answered(monkeypatch):
    with Server(Answer(model="gpt-4o-mini")) as server:
        serve_as(monkeypatch, openai=server)
        cheap = ask(OPENAI, server).usage.dollars
    with Server() as server:
        serve_as(monkeypatch, openai=server)
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


def test_without_a_count_of_tokens_the_request_counts_as_uncertain_at_its_most(api):
    with Server(Answer(tokens=None)) as server:
        usage = ask(api, server, price=Price(2, 1, 10)).usage
    assert (usage.input_tokens, usage.dollars) == (0, 0)
    assert (usage.uncounted, usage.uncertain) == (1, 1)
    assert usage.uncertain_dollars > 0.0409  # 4,096 tokens of answer


def test_a_refusal_is_a_reply_with_that_finish(api):
    with Server(Answer(finish="refusal", text="I cannot help with that.")) as server:
        reply = ask(api, server)
    assert (reply.finish, reply.text) == ("content_filter", "I cannot help with that.")
    assert server.count == 1


def test_a_truncated_answer_is_a_reply_with_that_finish(api):
    with Server(Answer(finish="length", text='{"reasoning": "The ba')) as server:
        reply = ask(api, server)
    assert (reply.finish, reply.text) == ("length", '{"reasoning": "The ba')


# -- one model, many calls ---------------------------------------------------------------------


def test_eight_games_share_one_model():
    def answer(number: int, body: dict[str, Any]) -> Answer:
        return Answer(text=body["messages"][-1]["content"][0]["text"], delay=0.01)

    async def play(server: Server) -> list[Reply]:
        model = HostedModel(make_settings(COMPATIBLE, server))
        prompts = [make_prompt(Message("user", (f"game {n}",))) for n in range(8)]
        replies = await asyncio.gather(*[model.answer(prompt, seed=1) for prompt in prompts])
        await model.close()
        return list(replies)

    with Server(answer) as server:
        replies = asyncio.run(play(server))
    assert [reply.text for reply in replies] == [f"game {n}" for n in range(8)]


def test_a_closed_model_opens_again():
    with Server(Answer(text="FIRE")) as server:
        model = HostedModel(make_settings(COMPATIBLE, server))
        assert [asyncio.run(_last_answer(model)) for _ in range(3)] == ["FIRE"] * 3


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_model_left_open_by_one_event_loop_answers_in_the_next():
    with Server(Answer(text="FIRE")) as server:
        model = HostedModel(make_settings(COMPATIBLE, server))
        assert asyncio.run(model.answer(make_prompt(), seed=1)).text == "FIRE"
        assert asyncio.run(_last_answer(model)) == "FIRE"
    gc.collect()  # unclosed connections would be reported here


async def _last_answer(model: HostedModel) -> str:
    reply = await model.answer(make_prompt(), seed=1)
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
def test_invalid_settings_are_refused(values, complaint):
    good = {
        "name": "m",
        "model_id": "m",
        "provider": "openai-compatible",
        "base_url": "http://h/v1",
    }
    with pytest.raises(InvalidSetting, match=complaint) as caught:
        HostedSettings(**good | values)
    assert "secret" not in str(caught.value)
