"""Whatever numbers a server sends, no bill falls, no budget gets credit, and no cap is passed."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atari_vlm.cli.scores import usage_line
from atari_vlm.costs.prices import Price
from atari_vlm.errors import AtariVLMError, BudgetExceeded, InvalidSetting
from atari_vlm.models.hosted.budget import ACCOUNT, Budget, Caps, SharedBudget
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.usage import Most, believed
from atari_vlm.types import Charge, Usage
from tests.fuzzing import fuzzed
from tests.hosted import (
    ANTHROPIC,
    APIS,
    COMPATIBLE,
    GOOGLE,
    KEY,
    OPENAI,
    VendorApi,
    make_prompt,
    make_settings,
)
from tests.servers import Server
from tests.vendor_apis import Answer, api_for, encode

PRICE = Price(2, 1, 10)
MOST = Most(2000, 500, PRICE.cost(2000, 0, 500))

# -- what is believed -----------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-3, 2100),
    st.integers(),
    st.floats(),
    st.sampled_from([True, None, "900", 10**400, -(10**400), float("nan"), float("inf")]),
)


@fuzzed(300)
@given(counts=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), dollars=st.floats() | st.none())
def test_what_is_believed_is_possible_and_the_rest_is_counted_as_unknown(counts, dollars):
    read, cached, written, thought = counts
    usage = believed(Usage(1, read, cached, written, dollars, 2.0, thought), MOST)
    assert usage.seconds == 2.0
    if usage.uncounted:
        assert usage == Usage(calls=1, dollars=0.0, seconds=2.0, uncounted=1)
    else:
        assert 0 <= usage.cached_tokens <= usage.input_tokens <= MOST.input_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= MOST.output_tokens
        assert min(usage.input_tokens, usage.output_tokens) >= 1
        assert 0 <= usage.dollars <= MOST.dollars


def test_an_unknown_price_stays_unknown_and_tokens_are_judged_all_the_same():
    most = replace(MOST, dollars=None)
    honest = Usage(calls=1, input_tokens=900, output_tokens=40, dollars=None)
    assert believed(honest, most) == honest
    assert believed(replace(honest, input_tokens=9000), most).uncounted == 1


def test_a_price_is_an_amount_of_money():
    for wrong in (-1, float("nan"), float("inf"), "2", True):
        with pytest.raises(InvalidSetting, match="price"):
            Price(2, wrong, 10)


# -- the budget -----------------------------------------------------------------------------------

AMOUNTS = st.one_of(st.floats(0, 0.3), st.sampled_from([-1e9, float("nan"), float("inf"), -0.1]))


@fuzzed(60)
@given(st.lists(st.tuples(st.floats(0, 0.3), AMOUNTS, st.integers(0, 3), st.booleans())))
def test_no_order_of_requests_failures_and_cancellations_gives_a_budget_credit(requests):
    budget = Budget(Caps(dollars=1.0, episode_dollars=0.4, tokens=100))
    accounts = [budget.account(episode) for episode in range(3)]
    sums = [[0.0] for _ in range(3)]

    async def one(number: int, most: float, actual: float, account: int, cancelled: bool) -> None:
        with await accounts[account % 3].reserve(Charge(3, most)) as reservation:
            if account < 3:  # else it is refused before it is sent
                reservation.charge = Charge(3, most)
                await asyncio.sleep(0)
                if cancelled:
                    raise asyncio.CancelledError
                reservation.charge = Charge(3, min(actual, most))
        assert_sums()

    def assert_sums() -> None:
        for allowances, seen in zip(accounts, sums, strict=True):
            for allowance in allowances.allowances:
                tally = allowance.tally
                assert tally.reserved >= 0 <= tally.in_flight
                assert tally.spent + tally.reserved <= allowance.cap + 1e-9
            seen.append(allowances.allowances[0].tally.spent)

    async def go() -> None:
        tasks = [one(number, *request) for number, request in enumerate(requests)]
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, BudgetExceeded | asyncio.CancelledError)

    asyncio.run(go())
    assert_sums()
    for seen in sums:
        assert seen == sorted(seen)  # nothing that was spent came back


def test_a_damaged_record_of_earlier_spending_gives_no_credit():
    for earlier in (Charge(-9000, -5000.0), Charge(0, float("nan"))):
        budget = Budget(Caps(dollars=1.0), earlier, lambda episode: Charge(0, -5.0))
        with pytest.raises(BudgetExceeded):
            asyncio.run(budget.account(0).reserve(Charge(0, 1.5)))


def _spend(shared: SharedBudget, number: int, requests: int, end: bool) -> None:
    shared.count_as(number)

    async def go() -> None:
        account = Budget(shared.caps, shared=shared).account(0)
        for _ in range(requests):
            with await account.reserve(Charge(2, 0.02)) as reservation:
                reservation.charge = Charge(2, 0.02 if end else 0.01)
                if end:
                    os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(BudgetExceeded):
        asyncio.run(go())


def test_processes_share_a_cap_and_what_a_killed_one_had_reserved_stays_spent():
    context = multiprocessing.get_context("spawn")
    shared = SharedBudget(Caps(dollars=0.25, tokens=10_000), "bench", processes=3)
    given = [(0, 1, True), (1, 100, False), (2, 100, False)]
    processes = [context.Process(target=_spend, args=(shared, *each)) for each in given]
    processes[0].start()
    processes[0].join(60)
    assert shared.dollars.in_flight == 1
    for process in processes[1:]:
        process.start()
    shared.write_off(0)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [-9, 0, 0]
    assert shared.dollars.in_flight == 0 == shared.dollars.reserved
    assert 0.23 <= shared.dollars.spent <= 0.25 + 1e-9
    assert shared.dollars.spent == pytest.approx(0.02 + (shared.tokens.spent - 2) / 2 * 0.01)


# -- the wires ------------------------------------------------------------------------------------

RESPONSES = VendorApi("openai", "gpt-6-luna")
WIRES = {
    "openai": (OPENAI, {}),
    "responses": (RESPONSES, {"effort": "low"}),
    "openrouter": (COMPATIBLE, {"dialect": "openrouter"}),
    "vllm": (COMPATIBLE, {"dialect": "vllm"}),
    "anthropic": (ANTHROPIC, {}),
    "google": (GOOGLE, {}),
}
assert {api.provider for api in APIS} == {api.provider for api, _ in WIRES.values()}

LIES = [-900, -1, 10**6, 10**18, 10**30, 10**400, 900.5, float("nan"), float("inf")]
LIES += [1e400, "900", "x", True, None, [], {}, [900]]


def counted(wire: str, read: Any, cached: Any, written: Any, thought: Any) -> dict[str, Any]:
    """The usage of an answer in the words of a wire."""
    if wire == "google":
        return {
            "promptTokenCount": read,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": written,
            "thoughtsTokenCount": thought,
        }
    if wire in ("anthropic", "responses"):
        names, pair = ("input_tokens", "output_tokens"), ("input_tokens_details", "output")
    else:
        names, pair = (
            ("prompt_tokens", "completion_tokens"),
            ("prompt_tokens_details", "completion"),
        )
    usage = {names[0]: read, names[1]: written}
    if wire == "anthropic":
        return {**usage, "cache_read_input_tokens": cached, "cache_creation_input_tokens": thought}
    details = {pair[0]: {"cached_tokens": cached}}
    details[f"{pair[1]}_tokens_details"] = {"reasoning_tokens": thought}
    usage |= {"total_tokens": 5, **details}
    if wire == "openrouter":
        usage |= {"cost": cached, "cost_details": {"upstream_inference_cost": read}}
    return usage


def lies(wire: str) -> Iterator[Any]:
    """Usages that no request can have had; some of them only in one number."""
    for lie in LIES:
        yield lie  # in the place of the whole
        for place in range(4):
            numbers: list[Any] = [900, 300, 40, 0]
            numbers[place] = lie
            yield counted(wire, *numbers)
    yield counted(wire, 900, 901, 40, 0)
    yield counted(wire, 900, 10**8, 40, 0)
    yield counted(wire, 900, 300, 40, 41)
    yield counted(wire, 900, 300, 10**5, 0)
    yield counted(wire, 10**5, 0, 40, 0)
    yield counted(wire, 10**5, 10**5, 40, 0)
    yield counted(wire, 0, 0, 0, 0)


def body_with(wire: str, usage: Any) -> str:
    path = {"anthropic": "/v1/messages", "google": ":generateContent", "responses": "/responses"}
    api = api_for(path.get(wire, "/chat/completions"))
    assert api is not None
    body = json.loads(encode(api.render(Answer(), "m", 0)))
    body["usageMetadata" if wire == "google" else "usage"] = usage
    return json.dumps(body)


@pytest.mark.parametrize("wire", WIRES)
def test_no_numbers_of_a_server_lower_a_bill_or_pass_a_cap(wire):
    api, more = WIRES[wire]
    for package in {"anthropic": ["anthropic"], "google": ["google.genai"]}.get(wire, []):
        pytest.importorskip(package, reason="an optional extra")
    told = list(lies(wire))
    answers = [Answer(raw=body_with(wire, usage)) for usage in told]
    usages = []

    async def go(cap: float) -> None:
        spent = [0.0]
        ACCOUNT.set(Budget(Caps(dollars=cap)).account(0))
        (dollars, *_) = ACCOUNT.get().allowances
        settings = make_settings(api, server, tries=1, price=PRICE, max_tokens=500, **more)
        model = HostedModel(settings, api_key=KEY)
        try:
            for _ in told:
                try:
                    reply = await model.answer(make_prompt(), seed=1)
                    assert "LEFT" in reply.text
                    usages.append(reply.usage)
                except BudgetExceeded:
                    raise
                except AtariVLMError:  # a body that the wire cannot read: counted in full
                    pass
                assert dollars.tally.spent >= spent[-1] + 0.001  # each was charged something
                spent.append(dollars.tally.spent)
        finally:
            assert dollars.tally.spent <= cap
            await model.close()

    with Server(answers) as server:
        asyncio.run(go(1000.0))
    assert server.count == len(told)
    for usage in usages:
        assert 0 <= usage.cached_tokens <= usage.input_tokens < 4000
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= 500
        assert usage.dollars >= 0 <= usage.uncertain_dollars
        assert bool(usage.uncounted) == bool(usage.uncertain) == (usage.input_tokens == 0)
    assert sum(usage.uncounted for usage in usages) >= 20
    with Server(answers) as server, pytest.raises(BudgetExceeded):
        asyncio.run(go(0.2))
    assert server.count >= 3


def test_it_is_said_that_token_counts_made_no_sense():
    usage = Usage(calls=9, input_tokens=900, output_tokens=80, dollars=0.01)
    odd = Usage(uncertain=3, uncertain_tokens=9000, uncertain_dollars=0.5, uncounted=2)
    line = usage_line(usage + odd)
    assert "1 request failed and may have been charged, at most $0.5000 more" in line
    assert "the token counts of 2 answers were missing or made no sense" in line
    assert "counted at the most they could be" in line
    assert "no sense" not in usage_line(usage)
