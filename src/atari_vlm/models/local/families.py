"""What each family of local models is shown: pictures or a video, how many, how large, whole.

An Atari screen is 160 x 210 pixels. Left to itself Qwen2-VL spends 48 tokens on it and Idefics3
2,873, because it cuts every picture into tiles. A row of `FAMILIES` says what suits a family; a
family without a row gets `UNKNOWN`, which every model that takes one picture can follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

from PIL import Image

from atari_vlm.atari.images import to_pil_image
from atari_vlm.types import Frame, Prompt

Conversation: TypeAlias = list[dict[str, Any]]
"""Turns as the chat templates of transformers take them: a role, and a list of content parts."""

GAP = 8
"""Pixels between the screens of a mosaic."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How many frames a video of a family has.

    Where screens are too few the oldest is repeated: nothing seems to stand still at the end.
    """

    multiple: int
    """The vision tower takes frames in groups of this many."""
    most: int | None = None
    """The most it was made for; older screens are left out. None for no limit."""


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
    film: VideoFormat | None = None
    """What a video of the family is; None where it takes none in this process."""
    video: bool = False
    """Whether several screens are shown as one video."""
    once: bool = False
    """Whether the vision features of a picture may be kept for the next prompt that shows it."""
    why: str = ""
    """What the policy rests on."""
    note: str = ""
    """What was asked for and cannot be, for the record of a run."""

    @property
    def description(self) -> str:
        """What it does, in words, for the record of a run."""
        return self._told() + (f"; {self.note}" if self.note else "")

    def _told(self) -> str:
        if self.motion:
            return "the last two screens as one picture of motion"
        limit = "every screen a picture"
        if self.film and self.video:
            frames = self.film.most or f"a multiple of {self.film.multiple}"
            limit = f"several screens as one video of {frames} frames, one screen as a picture"
        elif self.pictures is not None:
            few = "one picture" if self.pictures == 1 else f"{self.pictures} pictures"
            limit = f"at most {few}, more screens as one mosaic"
        size = f", enlarged {self.scale} times" if self.scale > 1 else ""
        tiles = ", not cut into tiles" if self.processor else ""
        return limit + size + tiles


_PAIRS = VideoFormat(multiple=2)
_QWEN = FramePolicy(
    scale=2, film=_PAIRS, once=True, why="48 tokens a native picture, 165 at twice its size"
)
_QWEN3 = FramePolicy(
    scale=2, film=_PAIRS, once=True, why="smaller pictures are enlarged to 256 x 256 anyway"
)
_GLM = FramePolicy(scale=2, once=True, why="48 tokens a native picture, 165 at twice its size")
_WHOLE = FramePolicy(
    processor={"do_image_splitting": False}, once=True, why="tiles cost 5 to 17 times more"
)
_SINGLE = FramePolicy(pictures=1, once=True, why="trained on one picture a conversation")

UNKNOWN = FramePolicy(pictures=1, why="nothing is known of this family but that it takes a picture")
"""For families without a row."""

EMBEDDED = FramePolicy(motion=True, why="what `atari-vlm distill` trains on")
"""For checkpoints of the project's own."""

FAMILIES: dict[str, FramePolicy] = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": replace(_QWEN3, once=False),
    "qwen3_5": replace(_QWEN, film=None, once=False),
    "qwen3_5_moe": replace(_QWEN, film=None, once=False),
    "glm4v": _GLM,
    "glm4v_moe": replace(_GLM, once=False),
    "glm46v": replace(_GLM, once=False),
    "cogvlm2": FramePolicy(
        pictures=1, scale=2, why="one picture a conversation; its 1,344 x 1,344 hold 3 x 3 screens"
    ),
    "idefics2": _WHOLE,
    "idefics3": _WHOLE,
    "smolvlm": _WHOLE,
    "llava": _SINGLE,
    "llava_next": FramePolicy(
        pictures=1, once=True, why="about 1,032 tokens a picture, and four do not fit its 4,096"
    ),
    "video_llava": FramePolicy(
        pictures=1,
        film=VideoFormat(multiple=8, most=8),
        video=True,
        once=True,
        why="trained on one picture or one video of eight: 256 or 2,056 tokens a conversation",
    ),
}
"""Frame policy by `model_type` of the checkpoint's config.json; `once` where a test shows that kept
features change nothing."""


def get_frame_policy(model_type: str, video: bool | None = None) -> FramePolicy:
    """The frame policy of a family.

    Args:
        model_type: of the checkpoint's config.json.
        video: whether several screens become one video; None for what the family was made for.
    """
    policy = FAMILIES.get(model_type, UNKNOWN)
    if video and policy.film is None:
        return replace(
            policy,
            note=f"a video was asked for, and {model_type} takes none without torchvision "
            "(pip install torchvision) and a processor of its own, so these are pictures",
        )
    return policy if video is None else replace(policy, video=video)


def build_conversation(
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
    sheet = _sheet(prompt, policy)
    size = prompt.image_size
    conversation: Conversation = []
    carried: list[Part] = []
    seen = 0
    for message in prompt.messages:
        parts = carried
        carried = []
        if sheet and any(part is shown[-1] for part in message.parts):
            parts += sheet
        for part in message.parts:
            if isinstance(part, str):
                parts.append(plain(part))
                continue
            seen += 1
            parts.append(f"[screen {seen}]" if sheet else _draw(part, size, policy.scale))
        if message.role == "system" and not system:
            carried = parts
            continue
        conversation.append({"role": message.role, "content": _content(parts)})
    return conversation


def images_of(conversation: Conversation) -> list[Image.Image]:
    """The pictures of a conversation, in order; those of a video are not among them."""
    content = [part for turn in conversation for part in turn["content"]]
    return [part["image"] for part in content if part["type"] == "image"]


def videos_of(conversation: Conversation) -> list[Video]:
    """The videos of a conversation, in order."""
    content = [part for turn in conversation for part in turn["content"]]
    return [Video(part["video"], part["rate"]) for part in content if part["type"] == "video"]


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Screens as a video."""

    frames: list[Image.Image]
    """Oldest first."""
    rate: float
    """Frames a second."""


Part: TypeAlias = str | Image.Image | Video


def _sheet(prompt: Prompt, policy: FramePolicy) -> list[Part]:
    """All screens as a video or a mosaic, and what it shows; empty where each is a picture."""
    shown, film = prompt.frames, policy.film
    if policy.video and film and len(shown) > 1:
        first = 0 if film.most is None else max(0, len(shown) - film.most)
        screens = [_draw(f, prompt.image_size, policy.scale) for f in shown[first:]]
        short = -len(screens) % film.multiple
        frames = [screens[0]] * short + screens
        return [Video(frames, 60 / prompt.longest), _told(first + 1, len(shown), short)]
    if policy.pictures is None or len(shown) <= policy.pictures:
        return []
    screens = [_draw(f, prompt.image_size, policy.scale) for f in shown]
    return [_mosaic(screens), _legend(len(shown))]


@lru_cache(maxsize=128)
def _draw(frame: Frame, size: tuple[int, int] | None, scale: int) -> Image.Image:
    """The picture of a frame; a frame that is shown again is the very same picture."""
    height, width = frame.pixels.shape[:2]
    return to_pil_image(frame, size or (width * scale, height * scale)).convert("RGB")


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


def _told(first: int, last: int, repeated: int) -> str:
    still = f", the first of them {repeated + 1} times" if repeated else ""
    return f"The video shows screens {first} to {last}, oldest first{still}."


def _content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Content parts; templates join them without a space, so the line breaks are ours."""
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Video):
            content.append({"type": "video", "video": part.frames, "rate": part.rate})
        elif not isinstance(part, str):
            content.append({"type": "image", "image": part})
        elif content and content[-1]["type"] == "text":
            content[-1]["text"] += f"\n{part}"
        else:
            content.append({"type": "text", "text": f"\n{part}" if content else part})
    return content
