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


def own(folder: Path, games: tuple[str, ...] = ("pong",)) -> Path:
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


def template(image: str, end: str, *, system: bool = True) -> str:
    refused = "{% if m['role'] == 'system' %}{{ raise_exception('No system turn.') }}{% endif %}"
    return (
        "{% for m in messages %}"
        + ("" if system else refused)
        + "{{ m['role'] }}\n{% for c in m['content'] %}"
        + "{% if c['type'] == 'image' %}"
        + image
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


def _idefics3(folder: Path, side: int = 112, patch: int = 14) -> None:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    fence, image, whole, end = (
        "<fake_token_around_image>",
        "<image>",
        "<global-img>",
        "<end_of_utterance>",
    )
    tiles = [f"<row_{row}_col_{column}>" for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)]
    words = tokenizer(
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
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    assert images.do_image_splitting  # as released: every screen would be five tiles
    config = Idefics3Config(
        text_config=_text(words),
        vision_config=_vision(side, patch),
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


def _qwen2_vl(folder: Path, patch: int = 14) -> None:
    """Its processor's video half needs torchvision, so the parts are written one by one."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    start, image, stop = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
    words = tokenizer(start, image, stop, "<|video_pad|>", end="<|im_end|>")
    named = words.convert_tokens_to_ids
    config = Qwen2VLConfig(
        text_config=_text(
            words,
            model_type="qwen2_vl_text",
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 3, 3],
            },
        ),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": patch,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=named(image),
        video_token_id=named("<|video_pad|>"),
        vision_start_token_id=named(start),
        vision_end_token_id=named(stop),
    )
    _save(Qwen2VLForConditionalGeneration(config), words, folder)
    words.save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        patch_size=patch,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 28 * 28, "longest_edge": 640 * 640},
    ).save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template(start + image + stop, "<|im_end|>"))
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "Qwen2VLProcessor"})
    )


FAMILIES = {
    "idefics2": _idefics2,
    "idefics3": _idefics3,
    "llava": _llava,
    "llava_next": _llava_next,
    "qwen2_vl": _qwen2_vl,
}
"""Builder by model_type."""
