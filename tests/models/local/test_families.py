"""Every family loads, answers and scores, and its scores equal a full recomputation."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from atari_vlm.errors import ModelUnusable, RunInvalid
from atari_vlm.models.local.model import LocalModel
from atari_vlm.prompts.strategies import get_strategy
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Lessons, Observation

pytestmark = [
    pytest.mark.training,
    # A warning of transformers, in GLM-4V's processor.
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402
from tests.models.local.helpers import LEGAL, answer, build_prompt, short_answers  # noqa: E402

FAMILY_NAMES = sorted(checkpoints.FAMILIES)


def encode_without_cache(backend, conversation):
    """The inputs of a conversation from its processor alone, images as pixels."""
    caching_processor = backend.processor.image_processor
    backend.processor.image_processor = getattr(caching_processor, "inner", caching_processor)
    inputs = backend.processor.apply_chat_template(
        [conversation],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    backend.processor.image_processor = caching_processor
    return inputs


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_family_loads_and_answers_deterministically(built, screens, name):
    model = LocalModel(str(built(name)), settings=short_answers())
    assert (model.prompt_type, model.games) == ("basic", None)

    async def twice():
        prompt = build_prompt(screens[:2])
        return [await model.answer(prompt, seed=seed) for seed in (1, 2)]

    first, second = asyncio.run(twice())
    assert first.text == second.text  # greedy, although the checkpoint asks for sampling
    assert first.model == name
    assert 0 < first.usage.output_tokens <= 6
    assert first.usage.input_tokens > 30
    assert first.usage.seconds > 0
    assert first.finish in ("stop", "length")


@pytest.mark.parametrize("plans", [True, False])
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_scores_equal_a_full_recomputation(built, screens, name, plans):
    """Compared with one forward pass for each answer, appended to the prompt."""
    import torch

    model = LocalModel(str(built(name)))
    prompt = build_prompt(screens[:2], plans=plans)
    scores = asyncio.run(model.score(prompt))
    backend = model._backend
    ends = torch.tensor(backend.eos_token_ids)
    logs = []
    lengths = (1, 2, 3, 4) if plans else (4,)
    assert list(scores) == [(action, frames) for action in LEGAL for frames in lengths]
    for action, frames in scores:
        words = f"ACTION: {action} x{frames}" if plans else action
        tokens = backend.tokenizer(words, add_special_tokens=False)["input_ids"]
        inputs = encode_without_cache(backend, model._format.conversation(backend, prompt))
        read = inputs["input_ids"].shape[1]
        for key, value in list(inputs.items()):
            if value.shape == (1, read):
                tail = torch.tensor([tokens if key == "input_ids" else [0] * len(tokens)])
                tail = torch.ones_like(tail) if key == "attention_mask" else tail
                inputs[key] = torch.cat([value, tail], 1)
        with torch.inference_mode():
            rows = backend.model(**inputs, use_cache=False).logits[0].log_softmax(-1)
        log = sum(rows[read - 1 + place, token] for place, token in enumerate(tokens))
        if not plans:  # RIGHT begins RIGHTFIRE, so the end of an answer counts
            log = log + rows[-1, ends].logsumexp(-1)
        logs.append(float(log))
    expected = np.exp(np.array(logs) - max(logs))
    assert np.allclose(list(scores.values()), expected / expected.sum(), atol=1e-5)
    assert max(scores.values()) > 1.5 / len(scores)  # else any way of scoring would agree


def test_answers_to_json_prompts_are_scored_as_json(built, screens):
    model = LocalModel(str(built("idefics3")))
    as_line = asyncio.run(model.score(build_prompt(screens[:1])))
    as_json = asyncio.run(model.score(build_prompt(screens[:1], json=True)))
    assert as_line.keys() == as_json.keys()
    assert sum(as_json.values()) == pytest.approx(1)
    assert as_line != as_json


def test_tiling_is_off_and_screens_are_enlarged(built, screens):
    tokens = {
        name: answer(
            LocalModel(str(built(name)), settings=short_answers()), build_prompt(screens[:1])
        ).usage
        for name in ("idefics3", "qwen2_vl")
    }
    words = answer(
        LocalModel(str(built("idefics3")), settings=short_answers()), build_prompt(())
    ).usage
    assert tokens["idefics3"].input_tokens - words.input_tokens < 20  # 4 of them the image's
    words = answer(
        LocalModel(str(built("qwen2_vl")), settings=short_answers()), build_prompt(())
    ).usage
    assert 165 <= tokens["qwen2_vl"].input_tokens - words.input_tokens < 180


def test_long_prompts_are_refused_and_illegal_answers_end_the_run(built, screens, tmp_path):
    model = LocalModel(str(built("llava")), settings=short_answers(max_tokens=3))
    seen = Observation(game="pong", frames=tuple(screens[:4]), legal=LEGAL, interval=4)
    for kind in ("basic", "cot"):
        prompt = get_strategy(kind)(seen, (), Lessons())
        with pytest.raises(ModelUnusable, match=r"has [\d,]+ tokens and .* reads at most 400"):
            answer(model, prompt)
    trainer = VLMTrainer(
        "pong", str(built("idefics2")), max_decisions=2, max_tokens=4, save_dir=tmp_path
    )
    with pytest.raises(RunInvalid, match="named no legal action twice in a row"):
        trainer.evaluate(1)  # random words are not a score
    assert "not cut into tiles" in trainer.settings["local"]
