"""Caps on spending: reservations, settlement, and restarts of a run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.costs.picture_tokens import rule_for
from atari_vlm.costs.prices import Price
from atari_vlm.errors import BudgetExceeded, InvalidSetting, StoreError
from atari_vlm.models.hosted.budget import Budget, Caps
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.usage import FRAME_MARKERS, max_input_tokens, most_of
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Charge, Frame, Message, Prompt
from tests.servers import Server
from tests.vendor_apis import Answer

SCREEN = Frame(np.zeros((210, 160), np.uint8))
PRICE = Price(2, 1, 10)


def prompt_of(text: str, frames: int = 0, **more) -> Prompt:
    message = Message("user", (text, *[SCREEN] * frames))
    return Prompt(messages=(message,), legal=("NOOP",), longest=4, **more)


# -- the most that a request can cost -------------------------------------------------------------


def test_the_maximum_counts_text_frames_and_the_longest_answer():
    rule = rule_for("openai", "gpt-4o")
    more = max_input_tokens(prompt_of("x" * 300, 2), rule) - max_input_tokens(
        prompt_of("x" * 297), rule
    )
    assert more == 3 + 2 * (255 + FRAME_MARKERS)
    most = most_of(prompt_of("Act.", 1), PRICE, rule, 1000)
    tokens = max_input_tokens(prompt_of("Act.", 1), rule)
    assert (most.input_tokens, most.output_tokens) == (tokens, 1000)
    assert most.dollars == pytest.approx((tokens * 2 + 1000 * 10) / 1e6)
    assert max_input_tokens(prompt_of("\ud83d"), rule) == 3 + max_input_tokens(prompt_of(""), rule)


def test_frames_count_at_the_size_they_are_sent():
    rule = rule_for("anthropic", "claude-sonnet-5-5")
    native, large = prompt_of("Act.", 1), prompt_of("Act.", 1, image_size=(320, 420))
    assert max_input_tokens(large, rule) - max_input_tokens(native, rule) == 12 * 15 - 6 * 8


def test_an_unknown_model_counts_as_the_most_expensive():
    assert rule_for("openai-compatible", "llava")(160, 210) == 8500
    assert rule_for("openai", "gpt-7-mini")(160, 210) == 8500


# -- reservations ---------------------------------------------------------------------------------


def ask(account, most: float, actual: float, sent=None):
    async def go() -> None:
        with await account.reserve(Charge(0, most)) as reservation:
            reservation.charge = Charge(0, most)
            if sent is not None:
                sent.append(most)
            await asyncio.sleep(0)
            reservation.charge = Charge(0, actual)

    return go()


def test_a_request_that_could_exceed_the_cap_is_not_sent():
    async def go() -> None:
        account = Budget(Caps(dollars=1.0)).account(0)
        await ask(account, 0.6, 0.6)
        await ask(account, 0.4, 0.1)
        await ask(account, 0.3, 0.0)
        for _ in range(2):  # a stopped run stays stopped
            message = r"spent \$0\.7000 of \$1\.00.*may cost \$0\.4000"
            with pytest.raises(BudgetExceeded, match=message):
                await ask(account, 0.4, 0.1)

    asyncio.run(go())


def test_a_request_waits_for_open_reservations_to_settle():
    async def go() -> list[float]:
        budget, sent = Budget(Caps(dollars=1.0)), []
        requests = [ask(budget.account(k), 0.6, 0.01, sent) for k in range(20)]
        await asyncio.gather(*requests)
        return sent

    assert len(asyncio.run(go())) == 20


def test_the_cap_holds_for_concurrent_requests():
    async def go() -> tuple[int, int]:
        budget, sent = Budget(Caps(dollars=1.0)), []
        requests = [ask(budget.account(k), 0.3, 0.3, sent) for k in range(20)]
        results = await asyncio.gather(*requests, return_exceptions=True)
        return len(sent), sum(isinstance(result, BudgetExceeded) for result in results)

    assert asyncio.run(go()) == (3, 17)


def test_a_cancelled_request_is_charged_in_full_once_sent_and_nothing_before():
    async def go() -> None:
        budget = Budget(Caps(dollars=1.0))

        async def cancelled(sent: bool) -> None:
            with await budget.account(0).reserve(Charge(0, 0.6)) as reservation:
                if sent:
                    reservation.charge = Charge(0, 0.6)
                raise asyncio.CancelledError

        for sent in (False, False, True):
            with pytest.raises(asyncio.CancelledError):
                await cancelled(sent)
        with pytest.raises(BudgetExceeded, match=r"spent \$0\.6000"):
            await ask(budget.account(0), 0.6, 0)

    asyncio.run(go())


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_an_invalid_cap_is_refused(value):
    with pytest.raises(InvalidSetting, match=r"^budget_episode must be 0 or more"):
        Caps(episode_dollars=value)


# -- whole runs -----------------------------------------------------------------------------------

CHEAP = Answer(text="ACTION: NOOP", tokens=(1000, 0, 100))
"""One decision of gpt-4o: $0.0035, about its maximum with 100 tokens of answer."""


def trainer(server: Server, folder: Path, **more) -> VLMTrainer:
    settings = HostedSettings(
        name="gpt-4o",
        model_id="gpt-4o",
        provider="openai",
        base_url=server.base_url,
        max_tokens=100,
        price=Price(2.5, 1.25, 10),
    )
    model = HostedModel(settings, api_key="k")
    values = {"max_decisions": 30, "run_folder": folder, "prompt_type": "basic"}
    return VLMTrainer("breakout", "gpt-4o", model=model, **{**values, **more})


def highest_maximum(folder: Path) -> float:
    """The highest maximum cost of a run's prompts."""
    run = Run.read(folder)
    calls = [call for decision in run.decisions(0) for call in decision.calls]
    run.close()
    rule = rule_for("openai", "gpt-4o")
    seen = [
        replace(call.prompt, messages=tuple(map(_with_screen, call.prompt.messages)))
        for call in calls
    ]
    return max(most_of(prompt, Price(2.5, 1.25, 10), rule, 100).dollars for prompt in seen)


def _with_screen(message: Message) -> Message:
    parts = tuple(SCREEN if isinstance(part, Frame) else part for part in message.parts)
    return Message(message.role, parts)


def test_a_run_stops_at_its_cap_and_continues_with_a_higher_one(tmp_path):
    with Server(CHEAP) as server:
        with pytest.raises(BudgetExceeded, match="give the same command with a higher budget to"):
            trainer(server, tmp_path, budget=0.03).train(1)
        stopped = server.count
        spent = stopped * 0.0035
        assert 0.03 - highest_maximum(tmp_path) <= spent <= 0.03
        with pytest.raises(BudgetExceeded):  # the run's record includes its spending
            trainer(server, tmp_path, budget=0.03).train(1)
        assert server.count == stopped
        summary = trainer(server, tmp_path, budget=1.0).train(1)
    assert server.count == 30
    assert summary.usage.dollars == pytest.approx(30 * 0.0035)
    assert [row.message for row in summary.episodes] == [""]


def test_a_cap_in_tokens_needs_no_price(tmp_path):
    with Server(CHEAP) as server:
        first = VLMTrainer(
            "breakout",
            "any",
            base_url=server.base_url,
            max_tokens=100,
            max_decisions=30,
            budget_tokens=20_000,
            run_folder=tmp_path,
        )
        with pytest.raises(BudgetExceeded, match="of 20,000 tokens, and the next request may"):
            first.train(1)
    assert 0 < server.count * 1100 <= 20_000


def test_an_episode_is_cut_short_at_its_cap_and_gets_no_human_normalised_score(tmp_path):
    with Server(CHEAP) as server:
        summary = trainer(server, tmp_path, budget_episode=0.03, max_decisions=None).train(2)
    assert summary.cut == 2
    assert summary.human_normalised is None
    assert all(row.message.startswith("budget: This episode has spent") for row in summary.episodes)
    run = Run.read(tmp_path)
    assert run.trajectory(0).finished
    assert run.trajectory(0).steps[-1].truncated
    (page, _) = replay_of(run).episodes
    assert page.status.startswith("cut short: budget")
    assert not page.whole
    run.close()
    with Server(CHEAP) as server:
        again = trainer(server, tmp_path, budget_episode=0.03, max_decisions=None).train(2)
    assert server.count == 0
    assert again.scores == summary.scores


def test_an_episode_without_a_paid_decision_has_no_score(tmp_path):
    with Server(CHEAP) as server:
        with pytest.raises(BudgetExceeded, match="Raise budget_episode for"):
            trainer(server, tmp_path, budget_episode=0.0001).train(1)
        assert server.count == 0
    run = Run.read(tmp_path)
    assert [row.status for row in run.episodes()] == ["playing"]
    run.close()


def test_parallel_episodes_share_the_cap_of_the_run(tmp_path):
    with Server(replace(CHEAP, delay=0.02)) as server:
        with pytest.raises(BudgetExceeded):
            trainer(server, tmp_path, budget=0.05, parallel=6).train(6)
        run = Run.read(tmp_path)
        assert run.usage().calls == server.count  # no paid answer is lost
        assert run.spent()[1] == pytest.approx(server.count * 0.0035)
        assert run.spent()[1] <= 0.05
        run.close()


def test_unanswered_requests_count_at_their_maximum_after_a_restart(tmp_path):
    answers = [replace(CHEAP, drop=True), *[CHEAP] * 40]
    with Server(answers) as server:
        trainer(server, tmp_path, budget=1.0, max_decisions=4).train(1)
    assert server.count == 5
    run = Run.read(tmp_path)
    usage = run.usage()
    assert (usage.uncertain, usage.dollars) == (1, pytest.approx(4 * 0.0035))
    assert 0.001 < usage.uncertain_dollars <= highest_maximum(tmp_path)
    assert run.spent()[1] == usage.dollars + usage.uncertain_dollars
    run.close()


def test_caps_are_not_part_of_a_runs_settings(tmp_path):
    with Server(CHEAP) as server:
        folders = {
            trainer(server, tmp_path, run_folder=None, budget=cap).folder("train", 0)
            for cap in (None, 1.0, 2.0)
        }
        assert len(folders) == 1
        trainer(server, tmp_path, budget=1.0, max_decisions=2).train(1)
        with pytest.raises(StoreError, match="max_decisions"):
            trainer(server, tmp_path, budget=2.0, max_decisions=3).train(1)


def test_options_a_player_cannot_follow_are_refused_before_anything_is_played(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(InvalidSetting, match="Cap it with budget_tokens"):
        VLMTrainer("pong", "any", base_url="http://localhost:1/v1", budget=1)
    with pytest.raises(InvalidSetting, match="price of openai:gpt-99 is not known"):
        VLMTrainer("pong", "openai:gpt-99", budget_episode=1)
    for player in ("random", "embedded"):
        with pytest.raises(InvalidSetting, match=r"cannot follow rpm, budget"):
            VLMTrainer("pong", player, budget=0, rpm=3)
    own = ScriptedModel(lambda prompt: "NOOP")
    with pytest.raises(InvalidSetting, match="cannot follow cache"):
        VLMTrainer("pong", "own", model=own, cache="c")
    with pytest.raises(InvalidSetting, match="gpt-4o does not reason; leave out effort"):
        VLMTrainer("pong", "gpt-4o", effort="low")
    with pytest.raises(InvalidSetting, match="name it with cache\\."):
        VLMTrainer("pong", "gpt-4o", cache_mode="replay")
