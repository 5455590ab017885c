"""Answers in JSON are complete, legal and otherwise unconstrained."""

from __future__ import annotations

import asyncio
import json

import pytest

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests.models.local.helpers import LEGAL, build_local_model, user_prompt  # noqa: E402


@pytest.mark.parametrize("plans", [True, False])
@pytest.mark.parametrize("name", ["idefics3", "qwen2_vl", "llava"])
def test_json_answers_are_complete_and_legal(built, screens, name, plans):
    model = build_local_model(built, name, temperature=1.5, max_tokens=160)
    prompt = user_prompt(screens[:1], plans=plans, json=True)

    async def replies():
        return await asyncio.gather(*(model.answer(prompt, seed=seed) for seed in range(6)))

    answers = asyncio.run(replies())
    for reply in answers:
        answer = json.loads(reply.text)
        assert list(answer) == ["reasoning", "action"] + (["frames"] if plans else [])
        assert answer["action"] in LEGAL
        assert 1 <= answer.get("frames", 1) <= 4
        assert reply.finish == "stop"
    assert len({reply.text for reply in answers}) == 6
    assert max(len(json.loads(reply.text)["reasoning"]) for reply in answers) > 20


def test_reasoning_is_closed_before_the_token_limit(built, screens):
    model = build_local_model(built, "idefics3", temperature=2.0, max_tokens=80)
    short = build_local_model(built, "idefics3", max_tokens=10)
    prompt = user_prompt(screens[:1], plans=True, json=True)
    for seed in range(4):
        reply = asyncio.run(model.answer(prompt, seed=seed))
        assert reply.finish == "stop"
        assert json.loads(reply.text)["action"] in LEGAL
    assert asyncio.run(short.answer(prompt, seed=0)).finish == "length"


def test_allowed_tokens_equal_those_of_a_regular_expression(built, screens):
    """Compared with partial matches of a regular expression, token by token."""
    import regex
    import torch

    from atari_vlm.models.local.json_constraint import JSONConstraint, JSONVocabulary

    model = build_local_model(built, "qwen2_vl")
    prompt = user_prompt(screens[:1], plans=True, json=True)
    asyncio.run(model.score(prompt))
    tokenizer = model._backend.tokenizer
    opening, names = '{"reasoning": "', "|".join(LEGAL)
    pattern = regex.compile(rf'\{opening}[^"\\]*", "action": "(?:{names})", "frames": [1-4]\}}')
    pieces = {
        token: tokenizer.decode([token])
        for token in range(len(tokenizer))
        if token not in tokenizer.all_special_ids and "\ufffd" not in tokenizer.decode([token])
    }
    constraint = JSONConstraint(JSONVocabulary(tokenizer, model._backend.eos_token_ids), prompt, 90)
    generator = torch.Generator().manual_seed(5)
    token_ids, text = [], ""
    while not pattern.fullmatch(text):
        logits = torch.rand(len(tokenizer), generator=generator)
        masked = constraint(token_ids, logits)
        allowed = set(masked.isfinite().nonzero()[:, 0].tolist())
        assert torch.equal(masked[list(allowed)], logits[list(allowed)])
        expected = {
            token
            for token, piece in pieces.items()
            if pattern.fullmatch(text + piece, partial=True)
            and piece.isprintable()
            # The opening ends with a token of its own.
            and not len(text) < len(opening) < len(text + piece)
        }
        closing = len(token_ids) > 30 and '"' not in text[len(opening) :]
        assert allowed <= expected if closing else allowed == expected
        token_ids.append(int(masked.argmax()))
        text += pieces[token_ids[-1]]
    last = constraint(token_ids, logits).isfinite().nonzero()[:, 0].tolist()
    assert set(last) == set(model._backend.eos_token_ids)
    assert json.loads(text)["action"] in LEGAL
