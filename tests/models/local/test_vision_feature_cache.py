"""Cached vision features change no result."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

pytestmark = [
    pytest.mark.training,
    # A warning of transformers, in GLM-4V's processor.
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]
pytest.importorskip("torch")
from tests import checkpoints  # noqa: E402
from tests.models.local.helpers import build_local_model, gather, user_prompt  # noqa: E402

FAMILY_NAMES = sorted(checkpoints.FAMILIES)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_an_image_is_encoded_once_without_changing_results(built, screens, name):
    cached, uncached = (
        build_local_model(built, name, cache_features=cache_features, max_tokens=5, video=False)
        for cache_features in (True, False)
    )

    async def compare():
        for k in range(3):
            prompt = user_prompt(screens[k : k + 3])
            mine, theirs = await cached.score(prompt), await uncached.score(prompt)
            assert mine == pytest.approx(theirs, abs=1e-5)
        replies = [await model.answer(prompt, seed=0) for model in (cached, uncached)]
        assert replies[0].text == replies[1].text

    asyncio.run(compare())
    cache = cached._backend.vision_cache
    single = cached.policy.max_images == 1  # a mosaic is a new image every time
    assert cache.encoded == (4 if single else 5)
    assert uncached._backend.vision_cache is None


def test_images_of_different_sizes_are_encoded(built, screens):
    """Two prompts in one batch, whose images cannot be stacked."""
    small = replace(user_prompt(screens[:2]), image_size=(84, 84))
    for name in ("qwen2_vl", "idefics2", "llava_next"):
        batched, single = (
            build_local_model(built, name),
            build_local_model(built, name, together=1, cache_features=False),
        )

        async def scores(model):
            return await gather(model.score, [user_prompt(screens[:2]), small])

        for mine, theirs in zip(
            asyncio.run(scores(batched)), asyncio.run(scores(single)), strict=True
        ):
            assert mine == pytest.approx(theirs, abs=1e-5)
