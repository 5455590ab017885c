"""Parts of the tiny checkpoints in `tests.checkpoints`: tokenizer, chat template, configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXTS = (
    "You are playing Pong on the Atari 2600. Actions: 0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT.",
    "Answer with one line only: ACTION: LEFT x3, with 1 to 4 frames. Screen now: Score: 0.",
    '{"reasoning": "", "action": "RIGHTFIRE", "frames": 4}',
)


def train_tokenizer(*special: str, end: str, **extra: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<pad>", "<unk>", end, *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token=end,
        padding_side="left",
        extra_special_tokens=extra,
    )


def build_chat_template(image: str, end: str, *, video: str = "", system: bool = True) -> str:
    refusal = "{% if m['role'] == 'system' %}{{ raise_exception('No system role.') }}{% endif %}"
    return (
        "{% for m in messages %}"
        + ("" if system else refusal)
        + "{{ m['role'] }}\n{% for c in m['content'] %}"
        + "{% if c['type'] == 'image' %}"
        + image
        + "{% elif c['type'] == 'video' %}"
        + video
        + "{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
        + end
        + "\n{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
    )


def text_config(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def vision_config(side: int, patch: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
        **more,
    }


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    for weight in model.parameters():  # with the usual 0.02 all answers are about equally likely
        if weight.dim() >= 2:
            weight.data *= 4
    # Released checkpoints ask for sampling too; it must not change greedy decoding.
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = True
    model.generation_config.temperature = 1.5
    model.generation_config.repetition_penalty = 1.3
    model.save_pretrained(folder)


def save_processor_parts(
    folder: Path,
    tokenizer: Any,
    image_processor: Any,
    processor: str,
    chat_template: str,
    **more: Any,
) -> None:
    """Write the files of a processor that needs torchvision for video, one by one."""
    tokenizer.save_pretrained(folder)
    image_processor.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat_template)
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": processor, **more})
    )
