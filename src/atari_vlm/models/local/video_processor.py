"""A video processor for lists of images, which needs no torchvision.

The video processors of transformers need torchvision, decode files and sample frames. Here a video
is the few screens of a prompt: the family's image processor prepares each, and they are put
together in the layout of the family's vision tower. The result does not depend on whether
torchvision is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from atari_vlm.models.local.conversation import Conversation, videos_of
from atari_vlm.models.local.image_processor import MissingVideoProcessor

Layout: TypeAlias = Callable[[Any, Sequence[Any]], dict[str, Any]]
"""(image processor, frames of one video) -> the model's inputs for it."""


class FrameVideoProcessor(MissingVideoProcessor):
    """Replaces the video processor of a family.

    Args:
        image_processor: of the family.
        layout: puts the prepared frames of one video together.
    """

    model_input_names = ("pixel_values_videos", "video_grid_thw")

    def __init__(self, image_processor: Any, layout: Layout) -> None:
        self._image_processor, self._layout = image_processor, layout
        for name in ("merge_size", "patch_size", "temporal_patch_size"):
            setattr(self, name, getattr(image_processor, name, getattr(self, name)))
        self._fps: list[float] = []

    def expect(self, conversations: Sequence[Conversation]) -> None:
        """Set the conversations of the next call, whose videos have a frame rate."""
        self._fps = [video.fps for talk in conversations for video in videos_of(talk)]

    def __call__(self, videos: Any, **settings: Any) -> Any:
        """The model's inputs for videos, each a list of images, oldest first."""
        import torch
        from transformers import BatchFeature
        from transformers.video_utils import VideoMetadata

        parts, metadata = [], []
        for number, frames in enumerate(_iter_videos(videos)):
            parts.append(self._layout(self._image_processor, frames))
            metadata.append(
                VideoMetadata(
                    total_num_frames=len(frames),
                    fps=self._fps[number] if number < len(self._fps) else 15.0,
                    frames_indices=list(range(len(frames))),
                )
            )
        data: dict[str, Any] = {
            name: torch.cat([part[name] for part in parts], 0) for name in parts[0]
        }
        return BatchFeature({**data, "video_metadata": metadata})


def _iter_videos(videos: Any) -> Iterator[Sequence[Any]]:
    """The videos of a nested list of any depth; a video is a list of images."""
    if videos and not isinstance(videos[0], list | tuple):
        yield videos
        return
    for inner in videos:
        yield from _iter_videos(inner)


def _temporal_patches(image_processor: Any, frames: Sequence[Any]) -> dict[str, Any]:
    """Qwen-VL: patches that span `temporal_patch_size` frames.

    The image processor repeats an image along time; here the next frames replace the copies.
    """
    import torch

    group = image_processor.temporal_patch_size
    stills = [image_processor([frame], return_tensors="pt") for frame in frames]
    _, high, wide = stills[0]["image_grid_thw"][0].tolist()
    side = image_processor.patch_size
    patches = [still["pixel_values"].view(high * wide, -1, group, side, side) for still in stills]
    groups = [
        torch.stack([part[:, :, 0] for part in patches[start : start + group]], 2).flatten(1)
        for start in range(0, len(patches), group)
    ]
    grid = torch.tensor([[len(groups), high, wide]])
    return {"pixel_values_videos": torch.cat(groups), "video_grid_thw": grid}


def _stacked_frames(image_processor: Any, frames: Sequence[Any]) -> dict[str, Any]:
    """Video-LLaVA: (1, frames, colours, height, width)."""
    prepared = image_processor(list(frames), return_tensors="pt")
    return {"pixel_values_videos": next(iter(prepared.values()))[None]}


LAYOUTS: dict[str, Layout] = {
    "qwen2_vl": _temporal_patches,
    "qwen2_5_vl": _temporal_patches,
    "qwen3_vl": _temporal_patches,
    "qwen3_vl_moe": _temporal_patches,
    "video_llava": _stacked_frames,
}
"""Layout of a video, by `model_type`."""


def build_video_processor(model_type: str, image_processor: Any) -> FrameVideoProcessor | None:
    """The video processor of a family; None if the family has no row in `LAYOUTS`."""
    layout = LAYOUTS.get(model_type)
    return FrameVideoProcessor(image_processor, layout) if layout else None
