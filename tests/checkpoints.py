"""Tiny random checkpoints of several families, built on the spot: about 0.2 million parameters.

Each is a folder that `AutoModelForImageTextToText` loads as it would load the released weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from atari_vlm.learning.distill.architecture import build_model, build_tokenizer, save_pretrained
from atari_vlm.learning.distill.export import export

WORDS = (
    "You are playing Pong on the Atari 2600. Actions: 0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT.",
    "Answer with one line only: ACTION: LEFT x3, with 1 to 4 frames. Screen now: Score: 0.",
    '{"reasoning": "", "action": "RIGHTFIRE", "frames": 4}',
)


def embedded(folder: Path, games: tuple[str, ...] = ("pong",)) -> Path:
    """A checkpoint of the project's own, both halves: transformers and ONNX."""
    words = build_tokenizer(games)
    model = build_model(words, seed=7)
    for name, weight in model.named_parameters():  # so that what it says depends on the picture
        if "connector" in name:
            weight.data *= 8
        elif weight.dim() >= 2 and not ("embed" in name or "position" in name):
            weight.data *= 3 if "vision" in name else 2
    save_pretrained(model, words, games, folder)
    export(folder)
    return folder


def family(name: str, folder: Path) -> Path:
    """A checkpoint of another family, by its model_type."""
    import torch

    torch.manual_seed(1)
    FAMILIES[name](folder)
    return folder


def wide(folder: Path) -> Path:
    """An Idefics3 whose matrices have sides of 64 and 128: 4 bits come in blocks of 64."""
    import torch

    torch.manual_seed(1)
    _idefics3(folder, wide=64)
    return folder


def tokenizer(*special: str, end: str, **extra: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<pad>", "<unk>", end, *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(WORDS * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token=end,
        padding_side="left",
        extra_special_tokens=extra,
    )


def template(image: str, end: str, *, video: str = "", system: bool = True) -> str:
    refused = "{% if m['role'] == 'system' %}{{ raise_exception('No system turn.') }}{% endif %}"
    return (
        "{% for m in messages %}"
        + ("" if system else refused)
        + "{{ m['role'] }}\n{% for c in m['content'] %}"
        + "{% if c['type'] == 'image' %}"
        + image
        + "{% elif c['type'] == 'video' %}"
        + video
        + "{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
        + end
        + "\n{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
    )


def _text(words: Any, **more: Any) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(words),
        "max_position_embeddings": 2048,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        **more,
    }


def _vision(side: int, patch: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
        **more,
    }


def _save(model: Any, words: Any, folder: Path) -> None:
    for weight in model.parameters():  # at the usual 0.02 every answer is equally likely
        if weight.dim() >= 2:
            weight.data *= 4
    # As released checkpoints do, which must not change what is recorded as greedy.
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    model.generation_config.do_sample = True
    model.generation_config.temperature = 1.5
    model.generation_config.repetition_penalty = 1.3
    model.save_pretrained(folder)


def _idefics3_words() -> Any:
    fence, image, whole, end = (
        "<fake_token_around_image>",
        "<image>",
        "<global-img>",
        "<end_of_utterance>",
    )
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)]
    return tokenizer(
        fence,
        image,
        whole,
        *tiles,
        end=end,
        image_token=image,
        fake_image_token=fence,
        global_image_token=whole,
        end_of_utterance_token=end,
    )


def _idefics3(folder: Path, side: int = 112, patch: int = 14, wide: int = 32) -> None:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    words, image, end = _idefics3_words(), "<image>", "<end_of_utterance>"
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    assert images.do_image_splitting  # as released: every screen would be five tiles
    config = Idefics3Config(
        text_config=_text(words, intermediate_size=64 + wide),
        vision_config=_vision(side, patch, hidden_size=wide),
        scale_factor=4,
        image_token_id=words.convert_tokens_to_ids(image),
        pad_token_id=words.pad_token_id,
    )
    _save(Idefics3ForConditionalGeneration(config), words, folder)
    Idefics3Processor(
        images, words, image_seq_len=4, chat_template=template(image, end)
    ).save_pretrained(folder)


def _idefics2(folder: Path, side: int = 112, patch: int = 14) -> None:
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration, Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import (
        Idefics2ImageProcessorPil,
    )

    end = "<end_of_utterance>"
    words = tokenizer("<fake_token_around_image>", "<image>", end=end)
    images = Idefics2ImageProcessorPil(size={"shortest_edge": 84, "longest_edge": side})
    config = Idefics2Config(
        text_config=_text(words, model_type="mistral"),
        vision_config=_vision(side, patch),
        perceiver_config={
            "hidden_size": 64,
            "resampler_n_latents": 16,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    _save(Idefics2ForConditionalGeneration(config), words, folder)
    Idefics2Processor(
        images, words, image_seq_len=16, chat_template=template("<image>", end)
    ).save_pretrained(folder)


def _llava(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer("<image>", end="</s>", image_token="<image>")
    images = CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    config = LlavaConfig(
        text_config=_text(words, max_position_embeddings=400),
        vision_config=_vision(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // patch) ** 2,
    )
    _save(LlavaForConditionalGeneration(config), words, folder)
    LlavaProcessor(
        images,
        words,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>\n", "</s>", system=False),
    ).save_pretrained(folder)


def _llava_next(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    words = tokenizer("<image>", end="<|im_end|>", image_token="<image>")
    grid = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=grid,
    )
    config = LlavaNextConfig(
        text_config=_text(words),
        vision_config=_vision(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        image_seq_length=(side // patch) ** 2,
    )
    _save(LlavaNextForConditionalGeneration(config), words, folder)
    LlavaNextProcessor(
        images,
        words,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>\n", "<|im_end|>"),
    ).save_pretrained(folder)


def _parts(folder: Path, words: Any, images: Any, processor: str, chat: str, **more: Any) -> None:
    """The files of a processor whose video half needs torchvision, written one by one."""
    words.save_pretrained(folder)
    images.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat)
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": processor, **more})
    )


_QWEN = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")


def _qwen(words: Any, **vision: Any) -> dict[str, Any]:
    """What the configurations of all Qwen-VLs share."""
    named = words.convert_tokens_to_ids
    sides = {"in_channels": 3, "spatial_merge_size": 2, "temporal_patch_size": 2, "depth": 2}
    return {
        "text_config": _text(
            words,
            model_type="qwen2_vl_text",
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 3, 3],
            },
        ),
        "vision_config": {**sides, "num_heads": 2, **vision},
        "image_token_id": named("<|image_pad|>"),
        "video_token_id": named("<|video_pad|>"),
        "vision_start_token_id": named("<|vision_start|>"),
        "vision_end_token_id": named("<|vision_end|>"),
    }


def _save_qwen(
    model: Any, words: Any, folder: Path, processor: str, patch: int, **more: Any
) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    _save(model, words, folder)
    images = Qwen2VLImageProcessorPil(
        patch_size=patch,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": (2 * patch) ** 2, "longest_edge": 640 * 640},
        **more,
    )
    start, image, stop, video = _QWEN
    chat = template(start + image + stop, "<|im_end|>", video=start + video + stop)
    _parts(folder, words, images, processor, chat)


def _qwen2_vl(folder: Path) -> None:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    words = tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, "patch_size": 14}
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(**_qwen(words, **vision)))
    _save_qwen(model, words, folder, "Qwen2VLProcessor", 14)


def _qwen2_5_vl(folder: Path) -> None:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    words = tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "patch_size": 14}
    windows = {"window_size": 56, "fullatt_block_indexes": [1]}
    config = _qwen(words, **vision, **windows)
    config["text_config"]["model_type"] = "qwen2_5_vl_text"
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config))
    _save_qwen(model, words, folder, "Qwen2_5_VLProcessor", 14)


def _qwen3_vl(folder: Path) -> None:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    words = tokenizer(*_QWEN, end="<|im_end|>")
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "patch_size": 16}
    places = {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    config = _qwen(words, **vision, **places)
    config["text_config"].update(model_type="qwen3_vl_text", head_dim=16)
    config["text_config"]["rope_parameters"]["mrope_interleaved"] = True
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**config))
    halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    _save_qwen(model, words, folder, "Qwen3VLProcessor", 16, **halves)


def _glm4v(folder: Path, patch: int = 14) -> None:
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    fences = ("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>")
    words = tokenizer("<|image|>", "<|video|>", *fences, end="<|user|>")
    named = words.convert_tokens_to_ids
    config = Glm4vConfig(
        text_config=_text(
            words,
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
        image_token_id=named("<|image|>"),
        video_token_id=named("<|video|>"),
        image_start_token_id=named("<|begin_of_image|>"),
        image_end_token_id=named("<|end_of_image|>"),
        video_start_token_id=named("<|begin_of_video|>"),
        video_end_token_id=named("<|end_of_video|>"),
    )
    _save(Glm4vForConditionalGeneration(config), words, folder)
    images = Glm4vImageProcessorPil(
        patch_size=patch, size={"shortest_edge": 28 * 28, "longest_edge": 2 * 640 * 640}
    )
    chat = template(f"{fences[0]}<|image|>{fences[1]}", "<|user|>")
    _parts(folder, words, images, "Glm4vProcessor", chat)


def _smolvlm(folder: Path, side: int = 112, patch: int = 14) -> None:
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import (
        SmolVLMImageProcessorPil,
    )

    words = _idefics3_words()
    config = SmolVLMConfig(
        text_config=_text(words),
        vision_config=_vision(side, patch),
        scale_factor=4,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )
    _save(SmolVLMForConditionalGeneration(config), words, folder)
    images = SmolVLMImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    chat = template("<image>", "<end_of_utterance>")
    _parts(folder, words, images, "SmolVLMProcessor", chat, image_seq_len=4)


def _video_llava(folder: Path, side: int = 56, patch: int = 14) -> None:
    from transformers import VideoLlavaConfig, VideoLlavaForConditionalGeneration
    from transformers.models.video_llava.image_processing_video_llava import (
        VideoLlavaImageProcessor,
    )

    words = tokenizer(
        "<image>", "<video>", end="</s>", image_token="<image>", video_token="<video>"
    )
    config = VideoLlavaConfig(
        text_config=_text(words),
        vision_config=_vision(side, patch, model_type="clip_vision_model", projection_dim=32),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_seq_length=(side // patch) ** 2,
        video_seq_length=8 * ((side // patch) ** 2 + 1),
    )
    _save(VideoLlavaForConditionalGeneration(config), words, folder)
    images = VideoLlavaImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    chat = template("<image>\n", "</s>", video="<video>\n", system=False)
    _parts(
        folder,
        words,
        images,
        "VideoLlavaProcessor",
        chat,
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
"""Builder by model_type."""
