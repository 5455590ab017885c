"""The price of a model, and what is known of it, with wrappers around it as without."""

from __future__ import annotations

import pytest

from atari_vlm.advice.estimate import estimate_of, estimate_run
from atari_vlm.costs.prices import Price
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.players import Options, resolve
from atari_vlm.trainer import VLMTrainer
from tests.servers import Server
from tests.vendor_apis import Answer

WRAPPERS = ("vote:3", "summary:2", "lookahead:60", "adaptive:vote:3", "blank", "summary:2+vote:3")
ROUTED = {"base_url": "http://127.0.0.1:9/v1", "dialect": "openrouter", "max_decisions": 8}


def routed(name):
    return estimate_run("freeway", name, options=Options(**ROUTED))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_model_behind_another_server_has_its_price_with_any_wrapper(wrapper):
    alone, wrapped = routed("openai/gpt-4o"), routed(f"openai/gpt-4o+{wrapper}")
    assert alone.price is not None
    assert (wrapped.price, wrapped.price_source) == (alone.price, alone.price_source)
    assert wrapped.expected.dollars > 0
    assert wrapped.model == f"openai/gpt-4o+{wrapper}"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_rules_for_pictures_and_reasoning_are_those_of_the_model_alone(wrapper):
    for name in ("claude-unheard-of", "openai/gpt-4o"):
        alone, wrapped = routed(name), routed(f"{name}+{wrapper}")
        assert wrapped.rule == alone.rule
        said = [text for text in wrapped.assumptions if "+" in text]
        assert all(text.startswith(f"{name}+{wrapper} asks its model") for text in said)
    plain = estimate_run("pong", "gpt-4o", options=Options(max_decisions=8))
    thinks = estimate_run("pong", f"gpt-4o+{wrapper}", options=Options(max_decisions=8))
    for made in (plain, thinks):
        assert not any("It is not known whether the model reasons" in a for a in made.assumptions)


def test_a_budget_of_thinking_in_dollars_is_kept_by_a_model_behind_another_server(tmp_path):
    with Server(Answer(text="ACTION: UP", tokens=(900, 0, 20))) as server:
        settings = {**ROUTED, "base_url": server.base_url, "think_budget": "0.012 dollars"}
        trainer = VLMTrainer(
            "freeway", "openai/gpt-4o+vote:3", "k", run_folder=tmp_path, **settings
        )
        thought = trainer.train(1).thought
    assert thought.decisions == 2
    assert 0 < thought.spent.dollars <= 0.012


def test_a_model_of_the_callers_own_is_estimated_at_the_price_that_it_has():
    price = Price(1.0, 0.5, 2.0)
    settings = HostedSettings(
        name="x",
        model_id="x",
        provider="openai-compatible",
        base_url="http://127.0.0.1:9/v1",
        price=price,
    )
    options = Options(max_decisions=8, think_budget="1 dollars")
    player = resolve("freeway", "x+vote:3", options, model=HostedModel(settings, api_key="k"))
    assert estimate_of(player, 1).price == price
