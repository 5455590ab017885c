"""The estimated cost of a run, and its comparison with the bill."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from atari_vlm.advice.call_sizes import CallSizes
from atari_vlm.advice.estimate import estimate_of, estimate_run
from atari_vlm.atari.games import GAMES, SUGGESTED
from atari_vlm.cli.listings import print_estimate
from atari_vlm.cli.scores import print_summary
from atari_vlm.costs.bill import compare
from atari_vlm.costs.episode_lengths import episode_length
from atari_vlm.costs.picture_tokens import FAMILIES
from atari_vlm.costs.prompt_tokens import count_tokens
from atari_vlm.errors import InvalidSetting, UnknownName
from atari_vlm.models.catalogue import MODELS
from atari_vlm.models.hosted.vendors import VENDORS
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options, resolve
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Message, Prompt, Usage
from tests.run_files import change
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

HOSTED = [spec.name for spec in MODELS.values() if spec.provider in VENDORS]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for vendor in VENDORS.values():
        for variable in vendor.key_variables:
            monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("prompt_type", "settings"),
    [
        ("basic", {}),
        ("cot", {"frames_in_prompt": 3, "resize_shape": (112, 112)}),
        ("expert", {"history": 0, "plans": False}),
        ("basic", {"decisions_per_call": 4, "frame_skip": 8}),
        ("cot", {"history": 60, "decisions_per_call": 2, "full_action_space": True}),
    ],
)
def test_an_estimate_counts_the_prompts_that_a_game_sends(prompt_type, settings, tmp_path):
    """The tokens of every prompt of a real game sum to the estimate within 5%."""
    sent = []

    def script(prompt):
        sent.append(count_tokens(prompt, "anthropic"))
        if prompt.chunk_size == 1:
            return '{"reasoning": "", "action": "FIRE"}' if prompt.json else "FIRE"
        plans = ["FIRE"] * prompt.chunk_size
        return json.dumps({"actions": plans}) if prompt.json else f"ACTIONS: {', '.join(plans)}"

    options = {**settings, "max_decisions": 60}
    trainer = VLMTrainer(
        "pong",
        "mine",
        prompt_type=prompt_type,
        model=ScriptedModel(script),
        save_dir=tmp_path,
        **options,
    )
    assert trainer.train(1).sources == {"parsed": 60}
    made = estimate_run("pong", "claude", prompt_type=prompt_type, options=Options(**options))
    assert made.expected.decisions == 60
    assert made.expected.calls == len(sent)
    assert made.expected.input_tokens == pytest.approx(sum(sent), rel=0.05)


@pytest.mark.parametrize("name", HOSTED)
def test_every_hosted_model_is_estimated_without_a_key(name):
    made = estimate_run("breakout", name, episodes=2)
    assert made.rule == MODELS[name].images
    assert 0 < made.low.dollars <= made.expected.dollars <= made.worst.dollars
    assert made.low.input_tokens <= made.expected.input_tokens <= made.worst.input_tokens
    assert made.expected.dollars == pytest.approx(
        made.price.cost(made.expected.input_tokens, 0, made.expected.output_tokens)
    )
    assert made.worst.decisions == 2 * 27_000


def test_every_model_of_the_catalogue_has_a_picture_rule_and_gemini_its_low_one():
    bound = {spec.name: spec.images for spec in MODELS.values() if spec.provider != "embedded"}
    assert set(bound.values()) <= set(FAMILIES)
    assert {rule for name, rule in bound.items() if name.startswith("gemini")} == {"gemini-low"}


def test_the_price_is_that_of_the_day():
    before, after = (
        estimate_run("pong", "gemini-3.8-flash", day=day)
        for day in (date(2026, 12, 31), date(2027, 1, 1))
    )
    assert before.price_source == "of 2026-11-22"
    assert after.price_source == "of 2027-01-01"
    assert after.expected.dollars == pytest.approx(2 * before.expected.dollars)


def test_frame_skip_and_action_chunks_need_fewer_calls_and_a_limit_bounds_the_worst_case():
    usual, skip, chunks, cut = (
        estimate_run("pong", "gpt-6-luna", options=Options(**options)).expected
        for options in ({}, {"frame_skip": 8}, {"decisions_per_call": 4}, {"max_decisions": 100})
    )
    assert skip.decisions == pytest.approx(usual.decisions / 2, abs=1)
    assert (chunks.decisions, chunks.calls) == (usual.decisions, -(-usual.decisions // 4))
    assert cut.calls == 100
    worst = estimate_run(
        "pong", "gpt-6-luna", options=Options(max_decisions=100, max_tokens=50)
    ).worst
    assert (worst.calls, worst.output_tokens) == (200, 200 * 50)


def test_examples_cost_from_the_second_episode_on_and_adaptive_lies_between_its_styles():
    one, two = (
        [
            estimate_run("pong", "gpt-6-luna", episodes=episodes, learn=learn, prompt_type="cot")
            for learn in (False, True)
        ]
        for episodes in (1, 2)
    )
    assert one[0].expected == one[1].expected
    assert two[1].input_per_call - two[0].input_per_call > 42 * 3 / 2
    assert "Examples are shown from the second episode on." in two[1].assumptions
    bare = estimate_run("pong", "gpt-6-luna", episodes=2, prompt_type="cot").input_per_call

    def added(**options):
        made = estimate_run(
            "pong",
            "gpt-6-luna",
            episodes=2,
            learn=True,
            options=Options(**options),
            prompt_type="cot",
        )
        return made.input_per_call - bare

    assert 0 < added(example_pictures=False) < added() <= 2_000 / 2
    assert added(example_tokens=300) <= 300 / 2
    assert added(num_examples=1, example_pictures=False) < added(example_pictures=False)
    per_call = {
        style: estimate_run("pong", "gpt-6-luna", prompt_type=style).input_per_call
        for style in ("basic", "adaptive", "expert")
    }
    assert per_call["basic"] < per_call["adaptive"] < per_call["expert"]


def test_an_unknown_price_is_not_zero():
    made = estimate_run("pong", "mine", base_url="http://127.0.0.1:9/v1")
    assert made.expected.input_tokens > 100_000
    assert made.expected.dollars is made.worst.dollars is None
    assert any("assumed: no rule is known for mine" in words for words in made.assumptions)
    out = StringIO()
    print_estimate(Console(file=out, width=80), made)
    assert "$" not in out.getvalue()
    assert "Tokens only; unknown does not mean free." in out.getvalue()


def test_an_id_beyond_the_catalogue_has_the_price_of_the_public_list():
    made = estimate_run("pong", "openai:gpt-5")
    assert made.price_source.startswith("genai-prices ")
    assert (made.price.input, made.price.output) == (1.25, 10)
    assert made.rule == "gpt-5"
    assert any("whether the model reasons; hidden" in words for words in made.assumptions)
    assert estimate_run("pong", "openai:gpt-99-nothing").expected.dollars is None


@pytest.mark.parametrize("name", ["random", "expert", "embedded", "iw-3000"])
def test_players_that_are_not_billed_are_not_estimated(name):
    with pytest.raises(InvalidSetting, match="nothing to estimate"):
        estimate_run("pong", name)


def test_an_estimate_raises_the_errors_of_a_run():
    with pytest.raises(UnknownName, match="gpt-6-luna"):
        estimate_run("pong", "gpt-6-luna-x")
    with pytest.raises(UnknownName, match="Did you mean 'expert'"):
        estimate_run("pong", "gpt-6-luna", prompt_type="expurt")
    with pytest.raises(InvalidSetting, match="episodes must be"):
        estimate_run("pong", "gpt-6-luna", episodes=0)


def test_hidden_reasoning_is_assumed_of_models_that_reason():
    reasons, does_not = (estimate_run("pong", name) for name in ("gpt-6-luna", "gpt-4o"))
    assert reasons.output_per_call - does_not.output_per_call == 250
    assert any("an assumption, not a measurement" in words for words in reasons.assumptions)
    assert not any("Hidden reasoning" in words for words in does_not.assumptions)


# --- how long an episode lasts -------------------------------------------------------------------


def test_every_game_has_a_measured_length():
    for game in GAMES:
        length = episode_length(game)
        assert 0 < length.least <= length.mean <= length.most <= 27_000
        assert length.episodes >= (20 if game in SUGGESTED else 2)
    assert episode_length("Pong-v5").at_frame_skip(8).mean == round(episode_length("pong").mean / 2)


def test_a_game_without_a_measured_length_is_estimated_if_its_length_is_limited(monkeypatch):
    monkeypatch.setattr("atari_vlm.costs.episode_lengths._read", lambda: {"games": {}})
    with pytest.raises(
        InvalidSetting,
        match=r"episode of pong has not been measured\. Limit it with max_decisions,",
    ):
        estimate_run("pong", "gpt-6-luna")
    made = estimate_run("pong", "gpt-6-luna", options=Options(max_decisions=10))
    assert (made.low.decisions, made.expected.decisions, made.worst.decisions) == (10, 10, 10)


def test_an_episode_of_random_play_is_within_the_measured_lengths():
    from benchmarks.episode_lengths import decisions

    for game in ("breakout", "qbert"):
        assert episode_length(game).least <= decisions(game, 0) <= episode_length(game).most


# --- the bill ------------------------------------------------------------------------------------


def billed_trainer(server, folder, **more):
    return VLMTrainer(
        "pong", "gpt-4o", base_url=server.base_url, max_decisions=20, run_folder=folder, **more
    )


def test_a_run_records_its_estimate_and_compares_its_bill_with_it(tmp_path):
    with Server(Answer(text="ACTION: RIGHT x2", tokens=(600, 0, 12))) as server:
        summary = billed_trainer(server, tmp_path / "r").train(1)
    estimated = estimate_run(
        "pong", "gpt-4o", base_url="http://x", options=Options(max_decisions=20)
    ).expected
    compared = compare(summary.settings, 20, summary.usage)
    assert compared.calls == (20, 20)
    assert compared.input_tokens == (estimated.input_tokens, 20 * 600)
    assert compared.output_tokens == (estimated.output_tokens, 20 * 12)
    assert compared.dollars == (None, None)
    out = StringIO()
    print_summary(Console(file=out, width=200), summary)
    ratio = 20 * 600 / estimated.input_tokens
    words = f"{estimated.input_tokens:,} estimated, 12,000 billed, {ratio:.2f} times the estimate"
    assert f"Tokens in: {words}" in out.getvalue()
    run = Run.read(tmp_path / "r")
    replay = replay_of(run)
    run.close()
    assert ("Tokens in", words) in replay.facts
    assert "estimate" not in replay.settings


def test_dollars_are_compared_if_the_price_is_known(tmp_path, monkeypatch):
    with Server(Answer(text="ACTION: RIGHT x2", tokens=(600, 0, 12))) as server:
        serve_as(monkeypatch, openai=server)
        trainer = VLMTrainer("pong", "gpt-6.2-sol", "k", max_decisions=5, save_dir=tmp_path)
        summary = trainer.train(1)
    estimated, billed = compare(summary.settings, 5, summary.usage).dollars
    assert billed == pytest.approx(5 * (600 * 2 + 12 * 10) / 1e6)
    assert estimated == pytest.approx(estimate_of(trainer.player, 1).expected.dollars)


def test_an_estimate_is_not_part_of_the_identity_of_a_run(tmp_path):
    with Server(Answer(text="ACTION: RIGHT")) as server:
        trainer = billed_trainer(server, tmp_path / "r")
        assert "estimate" not in trainer.settings
        trainer.train(1)
        change(tmp_path / "r", "UPDATE settings SET value = '{}' WHERE name = 'estimate'")
        longer = billed_trainer(server, tmp_path / "r").train(2)
    assert len(longer.scores) == 2
    assert compare(longer.settings, 40, longer.usage) is None


def test_tokens_that_a_server_does_not_count_are_not_zero():
    settings = {
        "estimate": {
            "per_decision": {"calls": 1, "input_tokens": 300, "output_tokens": 9, "dollars": 0.01}
        }
    }
    lines = dict(compare(settings, 10, Usage(calls=10, dollars=None)).lines())
    assert lines["Tokens in"] == "3,000 estimated; the server did not count them"
    assert lines["Dollars"] == "$0.1000 estimated, unknown billed"
    assert compare(settings, 10, Usage()) is None
    uncertain = Usage(uncertain=10, uncertain_tokens=9000, uncertain_dollars=0.18, uncounted=10)
    lines = dict(compare(settings, 10, Usage(calls=10) + uncertain).lines())
    assert lines["Dollars"] == "$0.1000 estimated; unknown, at most $0.1800"


def test_what_was_replayed_is_not_called_billed():
    estimate = {"calls": 1, "input_tokens": 300, "output_tokens": 9, "dollars": 0.01}
    replayed = Usage(calls=10, input_tokens=2000, output_tokens=90, replayed=10)
    settings = {"estimate": {"per_decision": estimate}}
    assert compare(settings, 10, replayed).lines() == [
        ("Calls", "10 estimated; 10 replayed from the cache, free"),
        ("Tokens in", "3,000 estimated; 2,000 replayed from the cache, free"),
        ("Tokens out", "90 estimated; 90 replayed from the cache, free"),
        ("Dollars", "$0.1000 estimated; replayed from the cache, free"),
    ]
    uncounted = dict(compare(settings, 10, Usage(calls=10, replayed=10)).lines())
    assert uncounted["Tokens in"] == "3,000 estimated; replayed from the cache, free"
    paid = Usage(calls=2, input_tokens=400, output_tokens=18, dollars=0.02)
    partly = dict(compare(settings, 12, replayed + paid).lines())
    assert partly["Calls"] == "12 estimated, 2 billed; 10 replayed from the cache, free"
    assert (
        partly["Dollars"]
        == "$0.1200 estimated, $0.0200 billed; 10 calls replayed from the cache, free"
    )
    unpriced = {"estimate": {"per_decision": {**estimate, "dollars": None}}}
    lines = dict(compare(unpriced, 10, replayed).lines())
    assert lines["Dollars"] == "unknown estimated; replayed from the cache, free"


def test_baselines_and_the_embedded_model_keep_no_estimate(tmp_path):
    summary = VLMTrainer("pong", "random", max_decisions=3, save_dir=tmp_path).train(1)
    assert summary.settings["estimate"] is None


def test_a_model_that_is_estimated_is_never_called():
    import atari_vlm.advice.estimate as module

    prompt = Prompt(messages=(Message("user", ("Act.",)),), legal=("NOOP",), longest=4)
    with pytest.raises(Exception, match="is being estimated, not played"):
        asyncio.run(module._UncalledModel("x").answer(prompt, seed=0))
    made = resolve("pong", "x", Options(base_url="http://x"), model=module._UncalledModel("x"))
    assert estimate_of(made, 1).model == "x"


def test_an_estimate_counts_what_the_prompt_says_of_the_actions():
    player = resolve("pong", "gpt-4o", Options(), model=ScriptedModel("RIGHT", name="gpt-4o"))
    older = replace(player, settings={**player.settings, "prompt_version": 1})
    now, before = (CallSizes.of(each, "openai") for each in (player, older))
    assert 20 < now.first_prompt - before.first_prompt < 60
    assert now.answer == before.answer


HOSTED = [name for name, spec in MODELS.items() if spec.provider not in ("embedded", "local")]


@pytest.mark.parametrize("name", [*HOSTED, "openai:gpt-4o-mini", "openai:gpt-5-nano", "openai:o3"])
def test_the_worst_case_bounds_what_is_expected_of_every_model(name):
    made = estimate_run("pong", name, episodes=2, options=Options(max_decisions=50))
    counts = [(f.calls, f.input_tokens, f.output_tokens) for f in (made.low, made.expected)]
    worst = made.worst
    for calls, read, written in counts:
        assert calls <= worst.calls
        assert read <= worst.input_tokens
        assert written <= worst.output_tokens
    if worst.dollars is not None:
        assert made.low.dollars <= made.expected.dollars <= worst.dollars


def test_a_mini_model_is_estimated_by_its_own_rule_and_an_unknown_one_by_the_worst():
    options = Options(max_decisions=50)
    mini = estimate_run("pong", "openai:gpt-4o-mini", options=options)
    assert mini.rule == "gpt-4o-mini"
    assert mini.input_per_call > 8500
    unknown = estimate_run("pong", "any", base_url="http://localhost:1/v1", options=options)
    assert unknown.input_per_call < 1000
    assert unknown.worst.input_tokens / unknown.worst.calls > 8500
    assert any("takes the most expensive known one, 8,500" in said for said in unknown.assumptions)


@pytest.mark.parametrize(
    ("think", "calls"),
    [
        ("vote:5", (500, 500, 1000)),
        ("best-of:3", (300, 400, 800)),
        ("adaptive", (200, 233, 600)),
    ],
)
def test_an_estimate_knows_how_often_a_player_that_thinks_asks(think, calls):
    options = Options(think=think, max_decisions=100)
    found = estimate_run("pong", "gpt-6-luna", options=options)
    assert (found.low.calls, found.expected.calls, found.worst.calls) == calls
    assert found.model == f"gpt-6-luna+{think}"
    plain = estimate_run("pong", "gpt-6-luna", options=Options(max_decisions=100))
    assert found.expected.dollars > plain.expected.dollars
    assert any(f"gpt-6-luna+{think} asks its model" in said for said in found.assumptions)
    limited = replace(options, think_budget="50 calls")
    assert estimate_run("pong", "gpt-6-luna", options=limited).expected.calls == 150
