"""Loads a checkpoint's model and processor with transformers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local import remote_code
from atari_vlm.models.local.checkpoint import Checkpoint
from atari_vlm.models.local.placement import Placement

SMALL = 100_000_000
"""Parameters below which one CPU thread is fastest; several threads on a busy machine are up to 50
times slower."""


def load_checkpoint(
    checkpoint: Checkpoint, placement: Placement, image_settings: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Load a model and its processor; for CogVLM2, its tokenizer.

    Args:
        checkpoint: from `find_checkpoint`.
        placement: device, data type and quantization.
        image_settings: attributes of the image processor to set, if it has them.

    Raises:
        ModelUnusable: the weights are damaged, do not fit the device, or are of another
            architecture.
        MissingExtra: a package that this family needs is missing.
    """
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    progress_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        if checkpoint.remote_code:
            kwargs = _from_pretrained_kwargs(placement)
            loaded: tuple[Any, Any] = _call(
                lambda: remote_code.load(checkpoint.folder, checkpoint.name, kwargs),
                checkpoint,
                "by its own code",
            )
            return loaded
        return _load_model(checkpoint, placement), _load_processor(checkpoint, image_settings)
    finally:
        transformers_logging.set_verbosity(verbosity)
        if progress_bars:
            transformers_logging.enable_progress_bar()


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _from_pretrained_kwargs(placement: Placement) -> dict[str, Any]:
    device = placement.device or _default_device()
    kwargs: dict[str, Any] = {
        "dtype": placement.dtype or ("float32" if device == "cpu" else "auto")
    }
    if device != "cpu":
        kwargs["device_map"] = "auto" if device == "auto" else {"": device}
    if placement.attention is not None:
        kwargs["attn_implementation"] = placement.attention
    if placement.quantize is not None:
        kwargs["quantization_config"] = _quantization_config(placement.quantize, device)
    return kwargs


def _load_model(checkpoint: Checkpoint, placement: Placement) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    kwargs = _from_pretrained_kwargs(placement)

    def load() -> Any:
        return AutoModelForImageTextToText.from_pretrained(
            checkpoint.folder,
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **kwargs,
        )

    device = placement.device or _default_device()
    model, loading_info = _call(load, checkpoint, f"on {device}")
    missing = sorted(loading_info["missing_keys"])
    if missing:
        raise ModelUnusable(
            f"The weights of {checkpoint.name} are damaged, or of another architecture: they lack "
            f"{missing[0]} and {len(missing) - 1} more."
        )
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise ModelUnusable(
                f"The weights of {checkpoint.name} are damaged: {name} holds numbers that are not "
                "finite. Fetch them again with `hf download`."
            )
    is_small = sum(weight.numel() for weight in model.parameters()) < SMALL
    if placement.threads or is_small:
        torch.set_num_threads(placement.threads or 1)
    return model.eval()


def _quantization_config(kind: str, device: str) -> Any:
    import torch

    if kind == "int8":
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        return TorchAoConfig(quant_type=Int8WeightOnlyConfig())
    from transformers import BitsAndBytesConfig

    # On a CPU it logs a line for every layer of every token.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32 if device == "cpu" else torch.bfloat16,
    )


def _load_processor(checkpoint: Checkpoint, image_settings: Mapping[str, Any]) -> Any:
    from transformers import AutoProcessor

    from atari_vlm.models.local.image_processor import load_image_only_processor
    from atari_vlm.models.local.video_processor import build_video_processor

    def load() -> Any:
        try:
            return AutoProcessor.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
        except (ImportError, AttributeError, TypeError):
            if find_spec("torchvision") is not None:
                raise
            return load_image_only_processor(checkpoint.folder)

    processor = _call(load, checkpoint, "with its processor")
    for name, value in image_settings.items():
        if hasattr(processor.image_processor, name):
            setattr(processor.image_processor, name, value)
    video_processor = build_video_processor(checkpoint.model_type, processor.image_processor)
    if video_processor is not None:
        processor.video_processor = video_processor
    return processor


def _call(load: Callable[[], Any], checkpoint: Checkpoint, how: str) -> Any:
    """Call `load`, and turn any error into a ModelUnusable of one sentence."""
    try:
        return load()
    except ModelUnusable:
        raise
    except MemoryError as error:
        raise ModelUnusable(f"{checkpoint.name} does not fit into memory {how}.") from error
    except BaseException as error:  # transformers, safetensors and torch raise many kinds
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # only a panic of a library in Rust is an error of the checkpoint
        text = " ".join(str(error).split())[:300]
        if "out of memory" in text.lower():
            raise ModelUnusable(
                f"{checkpoint.name} does not fit into memory {how}; choose a smaller model or "
                "another device."
            ) from error
        raise ModelUnusable(
            f"The checkpoint {checkpoint.name} in {checkpoint.folder} cannot be loaded {how} "
            f"({type(error).__name__}: {text})"
        ) from error
