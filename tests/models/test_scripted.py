"""The scripted model."""

from __future__ import annotations

import asyncio

import pytest

from atari_vlm.errors import ModelFault
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.types import Prompt

PROMPT = Prompt(messages=(), legal=("NOOP", "FIRE"), longest=4)


def test_it_returns_the_functions_answers_and_counts_calls():
    model = ScriptedModel(lambda prompt: prompt.legal[1], name="always-second", prompt_type="cot")
    replies = [asyncio.run(model.answer(PROMPT, seed=seed)) for seed in (1, 2)]
    assert [reply.text for reply in replies] == ["FIRE", "FIRE"]
    assert (model.calls, model.name, model.prompt_type) == (2, "always-second", "cot")
    assert (replies[0].usage.calls, replies[0].usage.dollars) == (1, 0)
    asyncio.run(model.close())


def test_a_fault_of_the_script_is_a_fault_of_the_model():
    def script(prompt: Prompt) -> str:
        raise ModelFault("timeout", "too slow")

    model = ScriptedModel(script)
    with pytest.raises(ModelFault, match="too slow"):
        asyncio.run(model.answer(PROMPT, seed=0))
    assert model.calls == 1
