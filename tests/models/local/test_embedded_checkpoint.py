"""Embedded checkpoints in torch give the answers of the embedded model on onnxruntime."""

from __future__ import annotations

import asyncio
import shutil
from itertools import pairwise

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.models.build import build_model
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.local.families import EMBEDDED
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.prompts.embedded import LOOK, SEE
from atari_vlm.protocols import Scorer
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Frame, Message, Prompt

pytestmark = pytest.mark.training
pytest.importorskip("torch")
from tests.models.local.helpers import LEGAL, answer  # noqa: E402


def embedded_prompt(frames, request=SEE):
    text = request.format(game="pong", thing="ball")
    return Prompt(messages=(Message("user", (*frames, text)),), legal=LEGAL, longest=4)


@pytest.mark.parametrize("draw", [True, False])
def test_torch_answers_equal_those_of_onnxruntime_word_for_word(built, screens, draw):
    folder = built("embedded")
    local = LocalModel(str(folder), settings=LocalSettings(draw=draw))
    embedded = EmbeddedModel(folder, draw=draw)
    rng = np.random.default_rng(1)
    noise = [
        Frame(rng.integers(0, 256, (210, 160), np.uint8) * (rng.random((210, 160)) < 0.1))
        for _ in range(21)
    ]
    pairs = [*pairwise(screens), *pairwise(noise)][:: 6 if draw else 1]

    async def compare():
        answers = set()
        for number, pair in enumerate(pairs):
            prompt = embedded_prompt(pair, LOOK if number % 4 == 3 else SEE)
            mine = await local.answer(prompt, seed=number)
            theirs = await embedded.answer(prompt, seed=number)
            assert mine.text == theirs.text
            assert mine.finish == "stop"
            assert mine.usage.input_tokens == theirs.usage.input_tokens
            assert mine.usage.output_tokens == theirs.usage.output_tokens
            answers.add(mine.text)
        await local.close()
        return answers

    assert len(asyncio.run(compare())) > 10


def test_torch_scores_equal_those_of_onnxruntime(built, screens):
    local, embedded = LocalModel(str(built("embedded"))), EmbeddedModel(built("embedded"))
    assert isinstance(local, Scorer)

    async def largest_difference():
        largest = 0.0
        for pair in list(pairwise(screens))[::4]:
            mine = await local.score(embedded_prompt(pair))
            theirs = await embedded.score(embedded_prompt(pair))
            assert list(mine) == list(theirs)
            largest = max(largest, *(abs(mine[plan] - theirs[plan]) for plan in mine))
        return largest

    assert asyncio.run(largest_difference()) < 1e-4


def test_it_refuses_other_games_unknown_words_and_sampling_settings(built, screens):
    model = LocalModel(str(built("embedded")))
    assert (model.prompt_type, model.games, model.policy) == ("embedded", ("pong",), EMBEDDED)
    assert "one picture of motion" in model.description
    with pytest.raises(InvalidSetting, match="takes no temperature"):
        LocalModel(str(built("embedded")), settings=LocalSettings(temperature=0.5))
    tennis = embedded_prompt(screens[:2], "Play tennis. Say what you see, then your plan.")
    with pytest.raises(ModelUnusable, match="names none of them"):
        answer(model, tennis)
    with pytest.raises(ModelUnusable, match="never taught the words 'quickly'"):
        answer(model, embedded_prompt(screens[:2], "Play pong quickly."))
    with pytest.raises(ModelUnusable, match="needs a frame"):
        answer(model, embedded_prompt(()))


def test_a_folder_plays_the_same_in_torch_and_on_onnxruntime(built, tmp_path):
    def play(name):
        trainer = VLMTrainer("pong", name, max_decisions=12, seed=4, save_dir=tmp_path)
        return trainer.evaluate(1), trainer.settings

    folder = str(built("embedded"))
    assert isinstance(build_model(folder), EmbeddedModel)
    assert isinstance(build_model(f"local:{folder}"), LocalModel)
    torch_only = shutil.copytree(
        folder, tmp_path / "torch-only", ignore=lambda *_: ["vision_encoder.onnx"]
    )
    assert isinstance(build_model(str(torch_only)), LocalModel)
    (fast, _), (slow, settings) = play(folder), play(f"local:{folder}")
    assert fast.scores == slow.scores
    assert settings["local"].startswith("idefics3: the last two screens as one picture")
