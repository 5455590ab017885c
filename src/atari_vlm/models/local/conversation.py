"""Turns a prompt into a conversation in the form that transformers' chat templates take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from PIL import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.models.local.families import FramePolicy
from atari_vlm.types import Frame, Prompt

Conversation: TypeAlias = list[dict[str, Any]]
"""Messages for `apply_chat_template`: each a role and a list of content parts."""

GAP = 8
"""Pixels between the screens of a mosaic."""


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Screens shown as a video."""

    frames: list[Image.Image]
    """Oldest first."""
    fps: float
    """Frames a second."""


Part: TypeAlias = str | Image.Image | Video


def build_conversation(
    prompt: Prompt,
    policy: FramePolicy,
    *,
    supports_system: bool,
    escape: Callable[[str], str],
) -> Conversation:
    """Build the conversation of a prompt.

    Args:
        prompt: its frames in reading order.
        policy: of the model's family.
        supports_system: whether the template has a system role; otherwise system text opens the
            next message.
        escape: makes text harmless that the tokenizer would read as control tokens.
    """
    frames = prompt.frames
    combined = _combined(prompt, policy)
    conversation: Conversation = []
    system_parts: list[Part] = []
    count = 0
    for message in prompt.messages:
        parts = system_parts
        system_parts = []
        if combined and any(part is frames[-1] for part in message.parts):
            parts += combined
        for part in message.parts:
            if isinstance(part, str):
                parts.append(escape(part))
                continue
            count += 1
            parts.append(
                f"[screen {count}]" if combined else _image(part, prompt.image_size, policy.scale)
            )
        if message.role == "system" and not supports_system:
            system_parts = parts
            continue
        conversation.append({"role": message.role, "content": _content(parts)})
    return conversation


def pictures_of(policy: FramePolicy) -> dict[str, Any]:
    """What `build_conversation` makes of several frames, as `protocols.Depicting` has it."""
    scale = {"scale": policy.scale}
    if policy.video and (video := policy.video_format):
        filled = {"multiple": video.multiple, "most": video.max_frames, "examples": True}
        return {"form": "video", **filled, **scale}
    if policy.max_images is not None:
        return {"form": "mosaic", "most": policy.max_images, "gap": GAP, **scale}
    return {"form": "each", **scale}


def images_of(conversation: Conversation) -> list[Image.Image]:
    """The images of a conversation, in order, without those of videos."""
    content = [part for message in conversation for part in message["content"]]
    return [part["image"] for part in content if part["type"] == "image"]


def videos_of(conversation: Conversation) -> list[Video]:
    """The videos of a conversation, in order."""
    content = [part for message in conversation for part in message["content"]]
    return [Video(part["video"], part["fps"]) for part in content if part["type"] == "video"]


def _combined(prompt: Prompt, policy: FramePolicy) -> list[Part]:
    """All screens as one video or mosaic and a caption; empty if each is an image of its own."""
    frames, video_format = prompt.frames, policy.video_format
    if policy.video and video_format and len(frames) > 1:
        limit = video_format.max_frames
        first = 0 if limit is None else max(0, len(frames) - limit)
        screens = [_image(f, prompt.image_size, policy.scale) for f in frames[first:]]
        repeats = -len(screens) % video_format.multiple
        video = Video([screens[0]] * repeats + screens, 60 / prompt.longest)
        return [video, _video_caption(first + 1, len(frames), repeats)]
    if policy.max_images is None or len(frames) <= policy.max_images:
        return []
    screens = [_image(f, prompt.image_size, policy.scale) for f in frames]
    return [_mosaic(screens), _mosaic_caption(len(frames))]


@lru_cache(maxsize=128)
def _image(frame: Frame, size: tuple[int, int] | None, scale: int) -> Image.Image:
    """The image of a frame; the same object for the same frame, for the vision feature cache."""
    height, width = frame.pixels.shape[:2]
    return to_pil_image(frame, size or (width * scale, height * scale)).convert("RGB")


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _mosaic(screens: Sequence[Image.Image]) -> Image.Image:
    """All screens in one image, in reading order, on grey."""
    columns = _columns(len(screens))
    rows = math.ceil(len(screens) / columns)
    width, height = (max(s.width for s in screens) + GAP, max(s.height for s in screens) + GAP)
    mosaic = Image.new("RGB", (columns * width - GAP, rows * height - GAP), (96, 96, 96))
    for number, screen in enumerate(screens):
        mosaic.paste(screen, (number % columns * width, number // columns * height))
    return mosaic


def _mosaic_caption(count: int) -> str:
    columns = _columns(count)
    rows = math.ceil(count / columns)
    where = "side by side" if rows == 1 else f"in {rows} rows of {columns}"
    return (
        f"The picture holds {count} screens {where}, numbered from 1, left to right and top to "
        "bottom."
    )


def _video_caption(first: int, last: int, repeats: int) -> str:
    still = f", the first of them {repeats + 1} times" if repeats else ""
    return f"The video shows screens {first} to {last}, oldest first{still}."


def _content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Content parts. Templates join text parts without a space, so line breaks are added here."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Video):
            content.append({"type": "video", "video": part.frames, "fps": part.fps})
        elif not isinstance(part, str):
            content.append({"type": "image", "image": part})
        elif content and content[-1]["type"] == "text":
            content[-1]["text"] += f"\n{part}"
        else:
            content.append({"type": "text", "text": f"\n{part}" if content else part})
    return content
