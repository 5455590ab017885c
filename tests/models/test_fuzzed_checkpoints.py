"""Checkpoints with damages drawn by chance: they play, or are refused in a sentence."""

from __future__ import annotations

import asyncio
import shutil
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")

from atari_vlm.models.build import build_model
from atari_vlm.models.embedded.checkpoints import checkpoint
from atari_vlm.models.embedded.model import EmbeddedModel
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.models.local.model import LocalModel
from tests.fuzzing import fuzzed
from tests.models.local.helpers import build_prompt, short_answers
from tests.mutations import bounded, mutate_file

SEEDS = st.integers(0, 2**32)


def copied(whole, folder, random):
    """A copy of a checkpoint with one or two damaged files; returns their names."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    files = sorted(path for path in folder.iterdir() if path.suffix != ".md")
    chosen = random.sample(files, random.choice([1, 1, 1, 2]))
    for path in chosen:
        mutate_file(path, random)
    return [path.name for path in chosen]


@fuzzed(40)
@given(SEEDS)
def test_a_mutated_embedded_checkpoint_plays_or_is_refused(tmp_path, seed):
    random = Random(seed)
    copied(checkpoint("pong"), tmp_path / "weights", random)
    image = np.random.default_rng(seed).integers(0, 255, (160, 160, 3), dtype=np.uint8)
    with bounded(tmp_path):
        runtime = EmbeddedRuntime(tmp_path / "weights")
        request = runtime.answers.requests["see"].format(game=runtime.games[0])
        answer = runtime.answer(image, request, runtime.games[0], np.random.default_rng(0))
        assert answer.plan is not None
        assert sum(runtime.probabilities(image, runtime.games[0]).values()) > 0.99
        assert isinstance(build_model(str(tmp_path / "weights")), EmbeddedModel)


@pytest.mark.training
@pytest.mark.parametrize("name", ["idefics3", "qwen2_vl", "llava"])
@fuzzed(5)
@given(SEEDS)
def test_a_mutated_local_checkpoint_answers_or_is_refused(built, screens, tmp_path, name, seed):
    pytest.importorskip("torch")
    random = Random(seed)
    copied(built(name), tmp_path / "checkpoint", random)

    async def work(model):
        prompt = build_prompt(screens[:1])
        try:
            reply = await model.answer(prompt, seed=0)
            scores = await model.score(prompt)
        finally:
            await model.close()
        return reply, scores

    with bounded(tmp_path):
        model = LocalModel(str(tmp_path / "checkpoint"), settings=short_answers())
        reply, scores = asyncio.run(work(model))
        assert isinstance(reply.text, str)
        assert sum(scores.values()) == pytest.approx(1)
