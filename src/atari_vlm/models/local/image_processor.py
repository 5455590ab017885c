"""A processor without video, for families whose video half needs torchvision.

Qwen-VL, SmolVLM, Video-LLaVA, GLM-V and InternVL refuse to load their processor without
torchvision, even for pictures. Their picture half is put together here from its parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class MissingVideoProcessor:
    """Where the video processor would be; it has what processors read when they are built."""

    model_input_names: tuple[str, ...] = ()
    num_frames = fps = None
    merge_size, patch_size, temporal_patch_size = 2, 14, 2

    def __call__(self, *videos: Any, **settings: Any) -> Any:
        """Refuse."""
        raise RuntimeError("Video input needs torchvision: pip install torchvision")


PICTURE_HALF = {"SmolVLMProcessor": "Idefics3Processor"}
"""Processors whose pictures another one treats alike, where their own asks for packages that only
its videos need."""


def processor_for_stills(folder: Path) -> Any:
    """The processor of a checkpoint, for pictures and text alone."""
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    local = {"trust_remote_code": False, "local_files_only": True}
    family = AutoConfig.from_pretrained(folder, **local).model_type
    name = PROCESSOR_MAPPING_NAMES[family]
    kind: Any = getattr(transformers, PICTURE_HALF.get(name, name))

    class Stills(kind):  # type: ignore[misc]
        """The family's processor, which takes MissingVideoProcessor for its video half."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if isinstance(argument, MissingVideoProcessor):
                return MissingVideoProcessor
            return super().check_argument_for_proper_class(argument_name, argument)

        def __repr__(self) -> str:  # the inherited one would write MissingVideoProcessor as JSON
            return str(kind.__name__)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(folder, **local),
        "tokenizer": AutoTokenizer.from_pretrained(folder, **local),
        "video_processor": MissingVideoProcessor(),
    }
    settings, _ = kind.get_processor_dict(folder, local_files_only=True)
    return Stills.from_args_and_dict([parts[name] for name in kind.get_attributes()], settings)
