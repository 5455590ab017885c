"""What each family of local models is shown: how many pictures, how large, in tiles or whole.

An Atari screen is 160 x 210 pixels. Left to itself Qwen2-VL spends 48 tokens on it and Idefics3
2,873, because it cuts every picture into tiles. A row of `FAMILIES` says what suits a family; a
family without a row gets `UNKNOWN`, which every model that takes one picture can follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image

from atari_vlm.images import picture
from atari_vlm.types import Frame, Prompt

Conversation: TypeAlias = list[dict[str, Any]]
"""Turns as the chat templates of transformers take them: a role, and a list of content parts."""

GAP = 8
"""Pixels between the screens of a mosaic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePolicy:
    """How the frames of a prompt become the pictures of a family."""

    pictures: int | None = None
    """Most pictures in a prompt; None for no limit. More frames become one mosaic."""
    scale: int = 1
    """How many times a screen is enlarged, unless the prompt gives a size."""
    processor: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the image processor that switch its tiles off."""
    motion: bool = False
    """Whether the last two frames become one picture by `images.motion`, as in training."""
    why: str = ""
    """What the policy rests on."""

    @property
    def told(self) -> str:
        """What it does, in words, for the record of a run."""
        if self.motion:
            return "the last two screens as one picture of motion"
        limit = "every screen a picture"
        if self.pictures is not None:
            few = "one picture" if self.pictures == 1 else f"{self.pictures} pictures"
            limit = f"at most {few}, more screens as one mosaic"
        size = f", enlarged {self.scale} times" if self.scale > 1 else ""
        tiles = ", not cut into tiles" if self.processor else ""
        return limit + size + tiles


_QWEN = FramePolicy(scale=2, why="48 tokens a native screen, 165 at twice its size")
_WHOLE = FramePolicy(processor={"do_image_splitting": False}, why="tiles cost 5 to 17 times more")
_SINGLE = FramePolicy(pictures=1, why="trained on one picture a conversation")

UNKNOWN = FramePolicy(pictures=1, why="nothing is known of this family but that it takes a picture")
"""For families without a row."""

OWN = FramePolicy(motion=True, why="what `atari-vlm distill` trains on")
"""For checkpoints of the project's own."""

FAMILIES: dict[str, FramePolicy] = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": FramePolicy(scale=2, why="smaller pictures are enlarged to 256 x 256 anyway"),
    "qwen3_vl_moe": FramePolicy(scale=2, why="smaller pictures are enlarged to 256 x 256 anyway"),
    "qwen3_5": _QWEN,
    "qwen3_5_moe": _QWEN,
    "glm4v": _QWEN,
    "glm4v_moe": _QWEN,
    "glm46v": _QWEN,
    "idefics2": _WHOLE,
    "idefics3": _WHOLE,
    "smolvlm": _WHOLE,
    "llava": _SINGLE,
    "llava_next": FramePolicy(
        pictures=1, why="about 1,032 tokens a picture, and four do not fit its 4,096"
    ),
    "video_llava": FramePolicy(pictures=1, why="256 tokens a picture; video input is to come"),
}
"""Frame policy by `model_type` of the checkpoint's config.json."""


def policy_of(model_type: str) -> FramePolicy:
    """The frame policy of a family."""
    return FAMILIES.get(model_type, UNKNOWN)


def arrange(
    prompt: Prompt, policy: FramePolicy, *, system: bool, plain: Callable[[str], str]
) -> Conversation:
    """A prompt as a conversation for a chat template.

    Args:
        prompt: its frames in reading order.
        policy: of the model's family.
        system: whether the template has a system turn; otherwise its words open the user's turn.
        plain: makes words harmless that the tokenizer would take for control tokens.
    """
    shown = prompt.frames
    mosaic = policy.pictures is not None and len(shown) > policy.pictures
    size = prompt.image_size
    conversation: Conversation = []
    carried: list[str | Image.Image] = []
    seen = 0
    for message in prompt.messages:
        parts = carried
        carried = []
        holds_last = mosaic and any(part is shown[-1] for part in message.parts)
        if holds_last:
            parts += [_mosaic([_draw(f, size, policy.scale) for f in shown]), _legend(len(shown))]
        for part in message.parts:
            if isinstance(part, str):
                parts.append(plain(part))
                continue
            seen += 1
            parts.append(f"[screen {seen}]" if mosaic else _draw(part, size, policy.scale))
        if message.role == "system" and not system:
            carried = parts
            continue
        conversation.append({"role": message.role, "content": _content(parts)})
    return conversation


def _draw(frame: Frame, size: tuple[int, int] | None, scale: int) -> Image.Image:
    height, width = frame.pixels.shape[:2]
    return picture(frame, size or (width * scale, height * scale)).convert("RGB")


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _mosaic(screens: Sequence[Image.Image]) -> Image.Image:
    """All screens in one picture, in reading order, on grey."""
    columns = _columns(len(screens))
    rows = math.ceil(len(screens) / columns)
    width, height = (max(s.width for s in screens) + GAP, max(s.height for s in screens) + GAP)
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), (96, 96, 96))
    for number, screen in enumerate(screens):
        sheet.paste(screen, (number % columns * width, number // columns * height))
    return sheet


def _legend(count: int) -> str:
    columns = _columns(count)
    rows = math.ceil(count / columns)
    where = "side by side" if rows == 1 else f"in {rows} rows of {columns}"
    return (
        f"The picture holds {count} screens {where}, numbered from 1, left to right and top to "
        "bottom."
    )


def _content(parts: Sequence[str | Image.Image]) -> list[dict[str, Any]]:
    """Content parts; templates join them without a space, so the line breaks are ours."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if not isinstance(part, str):
            content.append({"type": "image", "image": part})
        elif content and content[-1]["type"] == "text":
            content[-1]["text"] += f"\n{part}"
        else:
            content.append({"type": "text", "text": f"\n{part}" if content else part})
    return content
