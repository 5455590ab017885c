"""How each model family is shown the screens: images or a video, how many, how large.

An Atari screen is 160 x 210 pixels. By default Qwen2-VL spends 48 tokens on it and Idefics3 2,873,
because it cuts every image into tiles. `FAMILIES` has a row for each family; a family without a row
gets `UNKNOWN`, which suits every model that takes one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How many frames a video of a family has.

    If there are too few screens the oldest is repeated, so that the end does not seem to stand
    still.
    """

    multiple: int
    """The vision tower takes frames in groups of this many."""
    max_frames: int | None = None
    """The most it was made for; older screens are left out. None for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePolicy:
    """How the frames of a prompt become the images of a conversation."""

    max_images: int | None = None
    """Most images in a prompt; None for no limit. More frames become one mosaic."""
    scale: int = 1
    """Factor by which a screen is enlarged, unless the prompt gives a size."""
    image_settings: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the image processor that switch tiling off."""
    motion: bool = False
    """Whether the last two frames become one image by `images.motion`, as in training."""
    video_format: VideoFormat | None = None
    """The family's video format; None if it takes no video in this process."""
    video: bool = False
    """Whether several screens are shown as one video."""
    cache_features: bool = False
    """Whether the vision features of an image may be reused in later prompts."""
    reason: str = ""
    """Why the family has this policy."""
    note: str = ""
    """What was asked for and is not possible, for the record of a run."""

    @property
    def description(self) -> str:
        """A sentence about the policy, for the record of a run."""
        return self._description() + (f"; {self.note}" if self.note else "")

    def _description(self) -> str:
        if self.motion:
            return "the last two screens as one picture of motion"
        limit = "every screen a picture"
        if self.video_format and self.video:
            frames = self.video_format.max_frames or f"a multiple of {self.video_format.multiple}"
            limit = f"several screens as one video of {frames} frames, one screen as a picture"
        elif self.max_images is not None:
            few = "one picture" if self.max_images == 1 else f"{self.max_images} pictures"
            limit = f"at most {few}, more screens as one mosaic"
        size = f", enlarged {self.scale} times" if self.scale > 1 else ""
        tiles = ", not cut into tiles" if self.image_settings else ""
        return limit + size + tiles


_PAIRS = VideoFormat(multiple=2)
_QWEN = FramePolicy(
    scale=2,
    video_format=_PAIRS,
    cache_features=True,
    reason="48 tokens a native image, 165 at twice its size",
)
_QWEN3 = FramePolicy(
    scale=2,
    video_format=_PAIRS,
    cache_features=True,
    reason="smaller images are enlarged to 256 x 256 anyway",
)
_GLM = FramePolicy(
    scale=2, cache_features=True, reason="48 tokens a native image, 165 at twice its size"
)
_UNTILED = FramePolicy(
    image_settings={"do_image_splitting": False},
    cache_features=True,
    reason="tiles cost 5 to 17 times more",
)
_SINGLE_IMAGE = FramePolicy(
    max_images=1, cache_features=True, reason="trained on one image a conversation"
)

UNKNOWN = FramePolicy(max_images=1, reason="any image-text-to-text model takes one image")
"""For families without a row."""

EMBEDDED = FramePolicy(motion=True, reason="what `atari-vlm distill` trains on")
"""For checkpoints that `atari-vlm distill` trained."""

FAMILIES: dict[str, FramePolicy] = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": replace(_QWEN3, cache_features=False),
    "qwen3_5": replace(_QWEN, video_format=None, cache_features=False),
    "qwen3_5_moe": replace(_QWEN, video_format=None, cache_features=False),
    "glm4v": _GLM,
    "glm4v_moe": replace(_GLM, cache_features=False),
    "glm46v": replace(_GLM, cache_features=False),
    "cogvlm2": FramePolicy(
        max_images=1,
        scale=2,
        reason="one image a conversation; its 1,344 x 1,344 hold 3 x 3 screens",
    ),
    "idefics2": _UNTILED,
    "idefics3": _UNTILED,
    "smolvlm": _UNTILED,
    "llava": _SINGLE_IMAGE,
    "llava_next": FramePolicy(
        max_images=1,
        cache_features=True,
        reason="about 1,032 tokens an image, and four do not fit its 4,096",
    ),
    "video_llava": FramePolicy(
        max_images=1,
        video_format=VideoFormat(multiple=8, max_frames=8),
        video=True,
        cache_features=True,
        reason="trained on one image or one video of eight: 256 or 2,056 tokens a conversation",
    ),
}
"""Frame policy by `model_type` of config.json. `cache_features` is on only for families with a test
that cached features change no result."""


def get_frame_policy(model_type: str, video: bool | None = None) -> FramePolicy:
    """The frame policy of a family.

    Args:
        model_type: from the checkpoint's config.json.
        video: whether several screens become one video; None for the family's default.
    """
    policy = FAMILIES.get(model_type, UNKNOWN)
    if video and policy.video_format is None:
        return replace(
            policy,
            note=f"a video was asked for, and {model_type} takes none without torchvision "
            "(pip install torchvision) and a processor of its own, so these are pictures",
        )
    return policy if video is None else replace(policy, video=video)
