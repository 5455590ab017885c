"""Estimates of reflection: its reviews, and the games in which lessons are tried."""

from __future__ import annotations

from atari_vlm.advice.estimate import estimate_of, estimate_run
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.players import Options, resolve


def test_an_evaluation_makes_no_lessons_so_its_estimate_has_no_reviews_and_no_proofs():
    options = Options(reflect=True, prove_lessons=True, max_decisions=10, prompt_type="cot")
    player = resolve("pong", "gpt-4o", options, model=ScriptedModel(str, name="gpt-4o"))
    taught = estimate_of(player, 2, learning=False)
    assert taught.expected.calls == 2 * 10
    assert estimate_of(player, 2).expected.calls > 400  # twenty games try each lesson


def test_pictures_of_a_review_count_as_those_of_decisions_if_the_rule_is_not_known():
    def estimate(**learning):
        server = {"base_url": "http://127.0.0.1:9/v1", "dialect": "generic"}
        options = Options(max_decisions=20, prompt_type="basic", **server, **learning)
        return estimate_run("freeway", "m", options=options)

    alone, reviewed = estimate(use_in_context_learning=False), estimate(reflect=True)
    assert alone.rule == "qwen2-vl"
    for case in ("low", "expected"):
        more = getattr(reviewed, case).input_tokens - getattr(alone, case).input_tokens
        assert 0 < more < 5_000  # six screens of some hundred tokens each
    assert reviewed.worst.input_tokens - alone.worst.input_tokens > 2 * 6 * 8_000
