"""Builds tiny random checkpoints of several families, of about 0.2 million parameters each.

Each is a folder that `AutoModelForImageTextToText` loads like released weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atari_vlm.learning.distill.architecture import build_model, build_tokenizer, save_pretrained
from atari_vlm.learning.distill.export import export
from tests.checkpoint_parts import (
    build_chat_template,
    save_model,
    save_processor_parts,
    text_config,
    train_tokenizer,
    vision_config,
)


def embedded(folder: Path, games: tuple[str, ...] = ("pong",)) -> Path:
    """An embedded checkpoint, for transformers and as ONNX graphs."""
    tokenizer = build_tokenizer(games)
    model = build_model(tokenizer, seed=7)
    for name, weight in model.named_parameters():  # so that the answer depends on the image
        if "connector" in name:
            weight.data *= 8
        elif weight.dim() >= 2 and not ("embed" in name or "position" in name):
            weight.data *= 3 if "vision" in name else 2
    save_pretrained(model, tokenizer, games, folder)
    export(folder)
    return folder


def family(name: str, folder: Path) -> Path:
    """A checkpoint of a family, by its `model_type`."""
    import torch

    torch.manual_seed(1)
    FAMILIES[name](folder)
    return folder


def wide(folder: Path) -> Path:
    """An Idefics3 with matrices of 64 x 128, because 4-bit quantization works on blocks of 64."""
    import torch

    torch.manual_seed(1)
    _idefics3(folder, wide=64)
    return folder


def _idefics3_tokenizer() -> Any:
    fake, image, global_image, end = (
        "<fake_token_around_image>",
        "<image>",
        "<global-img>",
        "<end_of_utterance>",
    )
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)]
    return train_tokenizer(
        fake,
        image,
        global_image,
        *tiles,
        end=end,
        image_token=image,
        fake_image_token=fake,
        global_image_token=global_image,
        end_of_utterance_token=end,
    )


def _idefics3(folder: Path, side: int = 112, patch: int = 14, wide: int = 32) -> None:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    tokenizer, image, end = _idefics3_tokenizer(), "<image>", "<end_of_utterance>"
    image_processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    assert image_processor.do_image_splitting  # as released: a screen would be five tiles
    config = Idefics3Config(
        text_config=text_config(tokenizer, intermediate_size=64 + wide),
        vision_config=vision_config(side, patch, hidden_size=wide),
        scale_factor=4,
        image_token_id=tokenizer.convert_tokens_to_ids(image),
        pad_token_id=tokenizer.pad_token_id,
    )
    save_model(Idefics3ForConditionalGeneration(config), tokenizer, folder)
    Idefics3Processor(
        image_processor, tokenizer, image_seq_len=4, chat_template=build_chat_template(image, end)
    ).save_pretrained(folder)


def _idefics2(folder: Path, side: int = 112, patch: int = 14) -> None:
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration, Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import (
        Idefics2ImageProcessorPil,
    )

    end = "<end_of_utterance>"
    tokenizer = train_tokenizer("<fake_token_around_image>", "<image>", end=end)
    image_processor = Idefics2ImageProcessorPil(size={"shortest_edge": 84, "longest_edge": side})
    config = Idefics2Config(
        text_config=text_config(tokenizer, model_type="mistral"),
        vision_config=vision_config(side, patch),
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 16,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save_model(Idefics2ForConditionalGeneration(config), tokenizer, folder)
    Idefics2Processor(
        image_processor,
        tokenizer,
        image_seq_len=16,
        chat_template=build_chat_template("<image>", end),
    ).save_pretrained(folder)


def _llava(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = train_tokenizer("<image>", end="</s>", image_token="<image>")
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    config = LlavaConfig(
        text_config=text_config(tokenizer, max_position_embeddings=400),
        vision_config=vision_config(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // patch) ** 2,
    )
    save_model(LlavaForConditionalGeneration(config), tokenizer, folder)
    LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=build_chat_template("<image>\n", "</s>", system=False),
    ).save_pretrained(folder)


def _llava_next(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    tokenizer = train_tokenizer("<image>", end="<|im_end|>", image_token="<image>")
    grid = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]
    image_processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=grid,
    )
    config = LlavaNextConfig(
        text_config=text_config(tokenizer),
        vision_config=vision_config(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        image_seq_length=(side // patch) ** 2,
    )
    save_model(LlavaNextForConditionalGeneration(config), tokenizer, folder)
    LlavaNextProcessor(
        image_processor,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=build_chat_template("<image>\n", "<|im_end|>"),
    ).save_pretrained(folder)


_QWEN = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")


def _qwen(tokenizer: Any, **vision: Any) -> dict[str, Any]:
    """What the configurations of all Qwen-VL families share."""
    token_id = tokenizer.convert_tokens_to_ids
    sides = {"in_channels": 3, "spatial_merge_size": 2, "temporal_patch_size": 2, "depth": 2}
    return {
        "text_config": text_config(
            tokenizer,
            model_type="qwen2_vl_text",
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 3, 3],
            },
        ),
        "vision_config": {**sides, "num_heads": 2, **vision},
        "image_token_id": token_id("<|image_pad|>"),
        "video_token_id": token_id("<|video_pad|>"),
        "vision_start_token_id": token_id("<|vision_start|>"),
        "vision_end_token_id": token_id("<|vision_end|>"),
    }


def _save_qwen(
    model: Any, tokenizer: Any, folder: Path, processor: str, patch: int, **more: Any
) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    save_model(model, tokenizer, folder)
    image_processor = Qwen2VLImageProcessorPil(
        patch_size=patch,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": (2 * patch) ** 2, "longest_edge": 640 * 640},
        **more,
    )
    start, image, end, video = _QWEN
    chat_template = build_chat_template(
        start + image + end, "<|im_end|>", video=start + video + end
    )
    save_processor_parts(folder, tokenizer, image_processor, processor, chat_template)


def _qwen2_vl(folder: Path) -> None:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tokenizer = train_tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, "patch_size": 14}
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**_qwen(tokenizer, **vision)))
    _save_qwen(model, tokenizer, folder, "Qwen2VLProcessor", 14)


def _qwen2_5_vl(folder: Path) -> None:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = train_tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "patch_size": 14}
    windows = {"window_size": 56, "fullatt_block_indexes": [1]}
    config = _qwen(tokenizer, **vision, **windows)
    config["text_config"]["model_type"] = "qwen2_5_vl_text"
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    _save_qwen(model, tokenizer, folder, "Qwen2_5_VLProcessor", 14)


def _qwen3_vl(folder: Path) -> None:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = train_tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "patch_size": 16}
    positions = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    config = _qwen(tokenizer, **vision, **positions)
    config["text_config"].update(model_type="qwen3_vl_text", head_dim=16)
    config["text_config"]["rope_parameters"]["mrope_interleaved"] = True
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**config))
    normalization = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    _save_qwen(model, tokenizer, folder, "Qwen3VLProcessor", 16, **normalization)


def _glm4v(folder: Path, patch: int = 14) -> None:
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    markers = ("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>")
    tokenizer = train_tokenizer("<|image|>", "<|video|>", *markers, end="<|user|>")
    token_id = tokenizer.convert_tokens_to_ids
    config = Glm4vConfig(
        text_config=text_config(
            tokenizer,
            model_type="glm4v_text",
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e4,
                "partial_rotary_factor": 0.5,
                "mrope_section": [1, 1, 2],
            },
        ),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "image_size": 112,
            "patch_size": patch,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=token_id("<|image|>"),
        video_token_id=token_id("<|video|>"),
        image_start_token_id=token_id("<|begin_of_image|>"),
        image_end_token_id=token_id("<|end_of_image|>"),
        video_start_token_id=token_id("<|begin_of_video|>"),
        video_end_token_id=token_id("<|end_of_video|>"),
    )
    save_model(Glm4vForConditionalGeneration(config), tokenizer, folder)
    image_processor = Glm4vImageProcessorPil(
        patch_size=patch, size={"shortest_edge": 28 * 28, "longest_edge": 2 * 640 * 640}
    )
    chat_template = build_chat_template(f"{markers[0]}<|image|>{markers[1]}", "<|user|>")
    save_processor_parts(folder, tokenizer, image_processor, "Glm4vProcessor", chat_template)


def _smolvlm(folder: Path, side: int = 112, patch: int = 14) -> None:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import (
        SmolVLMImageProcessorPil,
    )

    tokenizer = _idefics3_tokenizer()
    config = SmolVLMConfig(
        text_config=text_config(tokenizer),
        vision_config=vision_config(side, patch),
        scale_factor=4,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    save_model(SmolVLMForConditionalGeneration(config), tokenizer, folder)
    image_processor = SmolVLMImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    chat_template = build_chat_template("<image>", "<end_of_utterance>")
    save_processor_parts(
        folder, tokenizer, image_processor, "SmolVLMProcessor", chat_template, image_seq_len=4
    )


def _video_llava(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import VideoLlavaConfig, VideoLlavaForConditionalGeneration
    from transformers.models.video_llava.image_processing_video_llava import (
        VideoLlavaImageProcessor,
    )

    tokenizer = train_tokenizer(
        "<image>", "<video>", end="</s>", image_token="<image>", video_token="<video>"
    )
    config = VideoLlavaConfig(
        text_config=text_config(tokenizer),
        vision_config=vision_config(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=(side // patch) ** 2,
        video_seq_length=8 * ((side // patch) ** 2 + 1),
    )
    save_model(VideoLlavaForConditionalGeneration(config), tokenizer, folder)
    image_processor = VideoLlavaImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    chat_template = build_chat_template("<image>\n", "</s>", video="<video>\n", system=False)
    save_processor_parts(
        folder,
        tokenizer,
        image_processor,
        "VideoLlavaProcessor",
        chat_template,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


FAMILIES = {
    "glm4v": _glm4v,
    "idefics2": _idefics2,
    "idefics3": _idefics3,
    "llava": _llava,
    "llava_next": _llava_next,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": _smolvlm,
    "video_llava": _video_llava,
}
"""Builder by `model_type`."""
