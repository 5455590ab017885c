"""Loads processors without their video half, which needs torchvision.

The processors of Qwen-VL, SmolVLM, Video-LLaVA, GLM-V and InternVL refuse to load without
torchvision, even for images alone. Here they are put together from their other parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class MissingVideoProcessor:
    """Stands in for a video processor, with the attributes that processors read from it."""

    model_input_names: tuple[str, ...] = ()
    num_frames = fps = None
    merge_size, patch_size, temporal_patch_size = 2, 14, 2

    def __call__(self, *videos: Any, **settings: Any) -> Any:
        """Raise RuntimeError."""
        raise RuntimeError("Video input needs torchvision: pip install torchvision")


EQUIVALENTS = {"SmolVLMProcessor": "Idefics3Processor"}
"""Processor -> one that treats images alike and needs no packages for video."""


def load_image_only_processor(folder: Path) -> Any:
    """Load the processor of a checkpoint for images and text."""
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    local = {"trust_remote_code": False, "local_files_only": True}
    model_type = AutoConfig.from_pretrained(folder, **local).model_type
    name = PROCESSOR_MAPPING_NAMES[model_type]
    processor_class: Any = getattr(transformers, EQUIVALENTS.get(name, name))

    class ImageOnlyProcessor(processor_class):  # type: ignore[misc]
        """The family's processor, which accepts a MissingVideoProcessor."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if isinstance(argument, MissingVideoProcessor):
                return MissingVideoProcessor
            return super().check_argument_for_proper_class(argument_name, argument)

        def __repr__(self) -> str:  # the inherited one serializes every part to JSON
            return str(processor_class.__name__)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(folder, **local),
        "tokenizer": AutoTokenizer.from_pretrained(folder, **local),
        "video_processor": MissingVideoProcessor(),
    }
    settings, _ = processor_class.get_processor_dict(folder, local_files_only=True)
    return ImageOnlyProcessor.from_args_and_dict(
        [parts[name] for name in processor_class.get_attributes()], settings
    )
