"""Several screens as one video, where a family takes one, without torchvision."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.models.local.conversation import build_conversation, videos_of
from atari_vlm.models.local.families import FramePolicy, VideoFormat, get_frame_policy
from atari_vlm.models.local.model import LocalModel, LocalSettings
from atari_vlm.types import Message, Prompt

pytestmark = pytest.mark.training
pytest.importorskip("torch")

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")
VIDEOS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "video_llava")


def ask(shown):
    parts = [part for n, frame in enumerate(shown) for part in (f"Screen {n}:", frame)]
    return Prompt(messages=(Message("user", (*parts, "Act.")),), legal=LEGAL, longest=4)


def talk(shown, video_format):
    policy = FramePolicy(video_format=video_format, video=True)
    return build_conversation(ask(shown), policy, supports_system=True, escape=str)


# --- what is shown --------------------------------------------------------------------------------


def test_screens_become_one_video_that_the_words_explain(screens):
    (turn,) = conversation = talk(screens[:4], VideoFormat(multiple=2))
    (video,) = videos_of(conversation)
    assert len(video.frames) == 4
    assert video.fps == 15  # a screen every four of sixty frames a second
    text = "".join(part.get("text", "") for part in turn["content"])
    assert "The video shows screens 1 to 4, oldest first." in text
    assert "Screen 2:\n[screen 3]" in text
    assert sum(part["type"] == "video" for part in turn["content"]) == 1


def test_the_oldest_screen_is_repeated_and_the_newest_kept(screens):
    (video,) = videos_of(talk(screens[:3], VideoFormat(multiple=8, max_frames=8)))
    pixels = [np.asarray(frame) for frame in video.frames]
    assert len(pixels) == 8
    assert all(np.array_equal(pixels[0], early) for early in pixels[:6])
    assert not np.array_equal(pixels[5], pixels[6])
    (turn,) = conversation = talk(screens[:10], VideoFormat(multiple=8, max_frames=8))
    (video,) = videos_of(conversation)
    (newest,) = videos_of(talk(screens[2:10], VideoFormat(multiple=8, max_frames=8)))
    assert all(map(np.array_equal, map(np.asarray, video.frames), map(np.asarray, newest.frames)))
    assert "The video shows screens 3 to 10" in turn["content"][-1]["text"]


def test_one_screen_is_a_picture():
    policy = get_frame_policy("video_llava")
    assert policy.video
    assert "several screens as one video of 8 frames, one screen as a picture" in policy.description


def test_a_family_without_a_video_shows_pictures_and_says_so(built, screens):
    model = LocalModel(str(built("smolvlm")), settings=LocalSettings(max_tokens=3, video=True))
    assert "every screen a picture" in model.description
    assert "smolvlm takes none without torchvision (pip install torchvision)" in model.description
    assert asyncio.run(model.answer(ask(screens[:2]), seed=0)).usage.output_tokens > 0
    assert "torchvision" not in LocalModel(str(built("smolvlm"))).description


# --- what the model gets --------------------------------------------------------------------------


def encoded(built, name, frames):
    model = LocalModel(str(built(name)), settings=LocalSettings(max_tokens=3, video=True))
    reply = asyncio.run(model.answer(ask(frames), seed=0))
    backend = model._backend
    return backend, backend.encode([model._format.conversation(backend, ask(frames))]), reply


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_read_and_its_order_matters(built, screens, name):
    still, moving = screens[0], screens[120]
    model = LocalModel(str(built(name)), settings=LocalSettings(video=True))

    async def both():
        orders = ([still, still, moving, moving], [moving, moving, still, still])
        return [await model.score(ask(frames)) for frames in orders]

    first, second = asyncio.run(both())
    assert sum(first.values()) == pytest.approx(1)
    assert first != pytest.approx(second, abs=1e-4)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_costs_what_its_frames_say(built, screens, name):
    backend, inputs, reply = encoded(built, name, screens[:4])
    tokens = int((inputs["input_ids"] == backend.model.config.video_token_id).sum())
    pixels = inputs["pixel_values_videos"]
    if name == "video_llava":
        assert tuple(pixels.shape) == (1, 8, 3, 56, 56)
        assert tokens == 8 * (16 + 1)
    else:
        _, high, wide = inputs["video_grid_thw"][0].tolist()
        assert inputs["video_grid_thw"].tolist() == [[2, high, wide]]  # four frames in two pairs
        assert len(pixels) == 2 * high * wide
        assert tokens == 2 * high * wide // 4
    assert "pixel_values" not in inputs
    assert reply.usage.input_tokens == inputs["input_ids"].shape[1]


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl"])
def test_a_pair_of_frames_holds_the_pixels_of_both(built, screens, name):
    """Against each frame as a picture, whose copies along time the pair replaces."""
    import torch

    backend, inputs, _ = encoded(built, name, [screens[0], screens[150]])
    images = backend.processor.image_processor
    pair = inputs["pixel_values_videos"]
    side = images.patch_size
    pair = pair.view(len(pair), 3, 2, side, side)
    pictures = videos_of(
        build_conversation(
            ask([screens[0], screens[150]]),
            replace(get_frame_policy(name), video=True),
            supports_system=True,
            escape=str,
        )
    )[0].frames
    for place, picture in enumerate(pictures):
        alone = images.inner([picture], return_tensors="pt")["pixel_values"]
        alone = alone.view(len(alone), 3, 2, side, side)
        assert torch.equal(pair[:, :, place], alone[:, :, 0])
        assert torch.equal(alone[:, :, 0], alone[:, :, 1])
    assert not torch.equal(pair[:, :, 0], pair[:, :, 1])


def test_qwen3_is_told_when_each_pair_was_shown(built, screens):
    backend, inputs, _ = encoded(built, "qwen3_vl", screens[:4])
    words = backend.tokenizer.decode(inputs["input_ids"][0])
    assert "<0.0 seconds>" in words  # frames 0 and 1 of 15 a second
    assert "<0.2 seconds>" in words


def test_videos_in_a_batch_are_answered_as_alone(built, screens):
    for name in ("qwen3_vl", "video_llava"):
        crowd, alone = (
            LocalModel(str(built(name)), settings=LocalSettings(video=True, together=most))
            for most in (4, 1)
        )
        prompts = [ask(screens[k : k + 3]) for k in range(3)]

        async def scored(model, prompts=prompts):
            return await asyncio.gather(*map(model.score, prompts))

        for one, other in zip(asyncio.run(scored(crowd)), asyncio.run(scored(alone)), strict=True):
            assert one == pytest.approx(other, abs=1e-5)
        assert crowd._queue.largest_batch == 3
