"""Several screens as one video, without torchvision."""

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
VIDEO_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "video_llava")


def build_prompt(frames):
    parts = [part for n, frame in enumerate(frames) for part in (f"Screen {n}:", frame)]
    return Prompt(messages=(Message("user", (*parts, "Act.")),), legal=LEGAL, longest=4)


def build_video_conversation(frames, video_format):
    policy = FramePolicy(video_format=video_format, video=True)
    return build_conversation(build_prompt(frames), policy, supports_system=True, escape=str)


# --- conversations --------------------------------------------------------------------------------


def test_screens_become_one_video_with_a_caption(screens):
    (message,) = conversation = build_video_conversation(screens[:4], VideoFormat(multiple=2))
    (video,) = videos_of(conversation)
    assert len(video.frames) == 4
    assert video.fps == 15  # a screen every four of sixty frames a second
    text = "".join(part.get("text", "") for part in message["content"])
    assert "The video shows screens 1 to 4, oldest first." in text
    assert "Screen 2:\n[screen 3]" in text
    assert sum(part["type"] == "video" for part in message["content"]) == 1


def test_short_videos_repeat_the_oldest_screen_and_long_ones_drop_it(screens):
    (video,) = videos_of(
        build_video_conversation(screens[:3], VideoFormat(multiple=8, max_frames=8))
    )
    pixels = [np.asarray(frame) for frame in video.frames]
    assert len(pixels) == 8
    assert all(np.array_equal(pixels[0], frame) for frame in pixels[:6])
    assert not np.array_equal(pixels[5], pixels[6])
    (message,) = conversation = build_video_conversation(
        screens[:10], VideoFormat(multiple=8, max_frames=8)
    )
    (video,) = videos_of(conversation)
    (newest,) = videos_of(
        build_video_conversation(screens[2:10], VideoFormat(multiple=8, max_frames=8))
    )
    assert all(map(np.array_equal, map(np.asarray, video.frames), map(np.asarray, newest.frames)))
    assert "The video shows screens 3 to 10" in message["content"][-1]["text"]


def test_one_screen_is_an_image():
    policy = get_frame_policy("video_llava")
    assert policy.video
    assert "several screens as one video of 8 frames, one screen as a picture" in policy.description


def test_a_family_without_video_shows_images_and_records_it(built, screens):
    model = LocalModel(str(built("smolvlm")), settings=LocalSettings(max_tokens=3, video=True))
    assert "every screen a picture" in model.description
    assert "smolvlm takes none without torchvision (pip install torchvision)" in model.description
    assert asyncio.run(model.answer(build_prompt(screens[:2]), seed=0)).usage.output_tokens > 0
    assert "torchvision" not in LocalModel(str(built("smolvlm"))).description


# --- inputs and scores ----------------------------------------------------------------------------


def encode(built, name, frames):
    model = LocalModel(str(built(name)), settings=LocalSettings(max_tokens=3, video=True))
    reply = asyncio.run(model.answer(build_prompt(frames), seed=0))
    backend = model._backend
    return (
        backend,
        backend.encode([model._format.conversation(backend, build_prompt(frames))]),
        reply,
    )


@pytest.mark.parametrize("name", VIDEO_FAMILIES)
def test_scores_depend_on_the_order_of_frames(built, screens, name):
    still, moving = screens[0], screens[120]
    model = LocalModel(str(built(name)), settings=LocalSettings(video=True))

    async def scores():
        orders = ([still, still, moving, moving], [moving, moving, still, still])
        return [await model.score(build_prompt(frames)) for frames in orders]

    first, second = asyncio.run(scores())
    assert sum(first.values()) == pytest.approx(1)
    assert first != pytest.approx(second, abs=1e-4)


@pytest.mark.parametrize("name", VIDEO_FAMILIES)
def test_a_video_has_the_expected_number_of_tokens(built, screens, name):
    backend, inputs, reply = encode(built, name, screens[:4])
    tokens = int((inputs["input_ids"] == backend.model.config.video_token_id).sum())
    pixels = inputs["pixel_values_videos"]
    if name == "video_llava":
        assert tuple(pixels.shape) == (1, 8, 3, 56, 56)
        assert tokens == 8 * (16 + 1)
    else:
        _, high, wide = inputs["video_grid_thw"][0].tolist()
        assert inputs["video_grid_thw"].tolist() == [
            [2, high, wide]
        ]  # four frames, two in a temporal patch
        assert len(pixels) == 2 * high * wide
        assert tokens == 2 * high * wide // 4
    assert "pixel_values" not in inputs
    assert reply.usage.input_tokens == inputs["input_ids"].shape[1]


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl"])
def test_a_temporal_patch_holds_the_pixels_of_both_frames(built, screens, name):
    """Compared with each frame as an image, which is repeated along time."""
    import torch

    backend, inputs, _ = encode(built, name, [screens[0], screens[150]])
    image_processor = backend.processor.image_processor
    pair = inputs["pixel_values_videos"]
    side = image_processor.patch_size
    pair = pair.view(len(pair), 3, 2, side, side)
    frames = videos_of(
        build_conversation(
            build_prompt([screens[0], screens[150]]),
            replace(get_frame_policy(name), video=True),
            supports_system=True,
            escape=str,
        )
    )[0].frames
    for place, frame in enumerate(frames):
        single = image_processor.inner([frame], return_tensors="pt")["pixel_values"]
        single = single.view(len(single), 3, 2, side, side)
        assert torch.equal(pair[:, :, place], single[:, :, 0])
        assert torch.equal(single[:, :, 0], single[:, :, 1])
    assert not torch.equal(pair[:, :, 0], pair[:, :, 1])


def test_qwen3_prompts_contain_timestamps(built, screens):
    backend, inputs, _ = encode(built, "qwen3_vl", screens[:4])
    text = backend.tokenizer.decode(inputs["input_ids"][0])
    assert "<0.0 seconds>" in text  # frames 0 and 1 of 15 a second
    assert "<0.2 seconds>" in text


def test_batched_videos_equal_single_videos(built, screens):
    for name in ("qwen3_vl", "video_llava"):
        batched, single = (
            LocalModel(str(built(name)), settings=LocalSettings(video=True, together=batch_size))
            for batch_size in (4, 1)
        )
        prompts = [build_prompt(screens[k : k + 3]) for k in range(3)]

        async def scores(model, prompts=prompts):
            return await asyncio.gather(*map(model.score, prompts))

        for one, other in zip(
            asyncio.run(scores(batched)), asyncio.run(scores(single)), strict=True
        ):
            assert one == pytest.approx(other, abs=1e-5)
        assert batched._queue.largest_batch == 3
