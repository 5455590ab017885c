"""Videos of a few screens, prepared by the image processor of a family, without torchvision.

The video processors of transformers need torchvision, decode files and choose among thousands of
frames. An agent's video is the few screens it was shown: each is prepared as a picture is, and they
are put together as the family's vision tower wants them. One way everywhere, torchvision or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from atari_vlm.models.local.families import Conversation, videos_of
from atari_vlm.models.local.image_processor import MissingVideoProcessor


class FrameVideoProcessor(MissingVideoProcessor):
    """Takes the place of a processor's video half.

    Args:
        images: the image processor of the family.
        assemble: puts the prepared frames of one video together.
    """

    model_input_names = ("pixel_values_videos", "video_grid_thw")

    def __init__(self, images: Any, assemble: Callable[[Any, Sequence[Any]], dict[str, Any]]):
        self._images, self._assemble = images, assemble
        for name in ("merge_size", "patch_size", "temporal_patch_size"):
            setattr(self, name, getattr(images, name, getattr(self, name)))
        self._rates: list[float] = []

    def expect(self, conversations: Sequence[Conversation]) -> None:
        """Say how fast the videos are that the processor is about to see."""
        self._rates = [video.rate for talk in conversations for video in videos_of(talk)]

    def __call__(self, videos: Any, **settings: Any) -> Any:
        """The inputs of videos, each a list of pictures, oldest first."""
        import torch
        from transformers import BatchFeature
        from transformers.video_utils import VideoMetadata

        parts, metadata = [], []
        for number, frames in enumerate(_each(videos)):
            parts.append(self._assemble(self._images, frames))
            rate = self._rates[number] if number < len(self._rates) else 15.0
            metadata.append(
                VideoMetadata(
                    total_num_frames=len(frames),
                    fps=rate,
                    frames_indices=list(range(len(frames))),
                )
            )
        data: dict[str, Any] = {
            name: torch.cat([part[name] for part in parts], 0) for name in parts[0]
        }
        return BatchFeature({**data, "video_metadata": metadata})


def _each(videos: Any) -> Iterator[Sequence[Any]]:
    """The videos, of whatever nesting: a video is a list of pictures."""
    if videos and not isinstance(videos[0], list | tuple):
        yield videos
        return
    for inner in videos:
        yield from _each(inner)


def _in_groups(images: Any, frames: Sequence[Any]) -> dict[str, Any]:
    """Qwen-VL: patches that reach over `temporal_patch_size` frames.

    The image processor repeats a picture along time; here its copies give way to the next frames.
    """
    import torch

    group = images.temporal_patch_size
    stills = [images([frame], return_tensors="pt") for frame in frames]
    _, high, wide = stills[0]["image_grid_thw"][0].tolist()
    side = images.patch_size
    patches = [still["pixel_values"].view(high * wide, -1, group, side, side) for still in stills]
    moving = [
        torch.stack([part[:, :, 0] for part in patches[start : start + group]], 2).flatten(1)
        for start in range(0, len(patches), group)
    ]
    grid = torch.tensor([[len(moving), high, wide]])
    return {"pixel_values_videos": torch.cat(moving), "video_grid_thw": grid}


def _in_a_row(images: Any, frames: Sequence[Any]) -> dict[str, Any]:
    """Video-LLaVA: (1, frames, colours, height, width)."""
    prepared = images(list(frames), return_tensors="pt")
    return {"pixel_values_videos": next(iter(prepared.values()))[None]}


VIDEO_LAYOUTS: dict[str, Callable[[Any, Sequence[Any]], dict[str, Any]]] = {
    "qwen2_vl": _in_groups,
    "qwen2_5_vl": _in_groups,
    "qwen3_vl": _in_groups,
    "qwen3_vl_moe": _in_groups,
    "video_llava": _in_a_row,
}
"""How the frames of a video are put together, by `model_type`."""


def build_video_processor(model_type: str, images: Any) -> FrameVideoProcessor | None:
    """The video half of a family; None where there is none of ours."""
    return (
        FrameVideoProcessor(images, VIDEO_LAYOUTS[model_type])
        if model_type in VIDEO_LAYOUTS
        else None
    )
