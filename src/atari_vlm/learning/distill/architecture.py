"""The student: a small Idefics3 with its own vocabulary, built from nothing.

One 160 x 160 picture becomes 64 patches, then 16 tokens; a 4-layer Llama reads them with the
prompt and writes the answer. Vocabulary: the words of the prompts and of the answers, no more.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.learning.distill.curriculum import common_kinds, get_subject, kinds, own_kinds
from atari_vlm.learning.distill.subjects.base import Subject, plan_words, plans
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.prompts.embedded import ACT, LOOK, SEE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SIDE, PATCH, SCALE = 160, 20, 2
IMAGE_TOKENS = (SIDE // PATCH // SCALE) ** 2

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<|im_start|>", "<end_of_utterance>"
FENCE, IMAGE, WHOLE = "<fake_token_around_image>", "<image>", "<global-img>"
USER, ASSISTANT = "User: ", "\nAssistant: "
_SPECIAL = (PAD, UNKNOWN, START, END, FENCE, IMAGE, WHOLE, USER, ASSISTANT)
_WORD = r" ?\w+| ?[^\w\s]"

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>User: ' if message['role'] == 'user' else '\\nAssistant: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant: ' }}{% endif %}"
)
"""Jinja chat template: text and pictures in order, then the assistant's turn."""


def prompt_text(request: str) -> str:
    """The whole prompt as the processor writes it out, image tokens included."""
    image = FENCE + WHOLE + IMAGE * IMAGE_TOKENS + FENCE
    return f"{START}{USER}{image}{request}{END}{ASSISTANT}"


def build_tokenizer(games: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """One token a word; a displacement ("right 5") and a plan ("LEFT for 3 frames") are one word.

    Tokens carry the space before them, so that joining them gives back the sentence.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    subjects = tuple(get_subject(game) for game in games)
    common = common_kinds()
    every_plan = {plan_words(*plan): None for subject in subjects for plan in plans(subject)}
    phrases = [": ", *common["across"], *common["along"], *every_plan]
    words = [f" {n}" for n in range(210)] + _plain_words(subjects)
    every = dict.fromkeys([*_SPECIAL, *words, *phrases])
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(every)}, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(w, normalized=False, special=True) for w in _SPECIAL])
    tokenizer.add_tokens([AddedToken(w, normalized=False) for w in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={
            "image_token": IMAGE,
            "fake_image_token": FENCE,
            "global_image_token": WHOLE,
            "end_of_utterance_token": END,
        },
    )


def _plain_words(subjects: tuple[Subject, ...]) -> list[str]:
    texts = [ask.format(game=s.game) for s in subjects for ask in (SEE, ACT)]
    for subject in subjects:
        texts += [LOOK.format(game=subject.game, thing=thing) for thing in subject.things]
        about = [clause for thing in subject.things for clause in subject.about(thing)]
        texts += [re.sub(r" ?\{\w+:\w+\}", "", text) for text in (*subject.answers, *about)]
        texts += [f" {word}" for words in subject.kinds.values() for word in words]
    return [word for text in texts for word in re.findall(_WORD, text)]


def build_model(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> Any:
    """A fresh Idefics3ForConditionalGeneration of about 1.5 million parameters.

    Every matrix starts at 1 / sqrt(inputs), and image positions at 0.5: at the usual 0.02 a small
    vision transformer hardly learns where things are.
    """
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    torch.manual_seed(seed)
    ids = tokenizer.convert_tokens_to_ids
    special: dict[str, int] = {
        "pad_token_id": ids(PAD),
        "bos_token_id": ids(START),
        "eos_token_id": ids(END),
    }
    text = {
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 344,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        **special,
    }
    vision = {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    model = Idefics3ForConditionalGeneration(
        Idefics3Config(
            text_config=text,
            vision_config=vision,
            scale_factor=SCALE,
            image_token_id=ids(IMAGE),
            tie_word_embeddings=True,
            **special,
        )
    )
    for name, weight in model.named_parameters():
        if weight.dim() >= 2:
            fan_in = weight[0].numel() ** -0.5
            std = 0.5 if "position" in name else 0.05 if "embed_tokens" in name else fan_in
            torch.nn.init.normal_(weight, std=std)
    model.generation_config.eos_token_id = ids(END)
    model.generation_config.pad_token_id = ids(PAD)
    model.generation_config.max_new_tokens = 24
    return model


def begin_with(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Give a fresh model the weights in `folder`; words that are new to them keep their own.

    Raises:
        ModelUnusable: the weights are missing, damaged, or of another architecture.
    """
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    try:
        known = load_file(folder / "model.safetensors")
        words = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    except Exception as error:
        raise ModelUnusable(
            f"Cannot begin with the weights in {folder} ({type(error).__name__}: {error}). "
            "Name a folder that `atari-vlm distill` wrote."
        ) from error
    own = model.state_dict()
    table = known.pop("model.text_model.embed_tokens.weight")
    known.pop("lm_head.weight", None)
    other = [n for n, weight in known.items() if n not in own or own[n].shape != weight.shape]
    if other or table.shape[1] != model.config.text_config.hidden_size:
        raise ModelUnusable(
            f"The weights in {folder} are of another architecture: {', '.join(other[:3])} differ."
        )
    with torch.no_grad():
        for name, weight in known.items():
            own[name].copy_(weight)
        for word, place in tokenizer.get_vocab().items():
            if word in words:
                own["model.text_model.embed_tokens.weight"][place] = table[words[word]]


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The Idefics3Processor that makes the model's inputs; needs no torchvision."""
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    side = {"longest_edge": SIDE}
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        size=side,
        max_image_size=side,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return Idefics3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        image_seq_len=IMAGE_TOKENS,
        chat_template=TEMPLATE,
    )


def answer_rules(games: tuple[str, ...]) -> dict[str, Any]:
    """What `answers.json` holds: the sentences of every game and the words of every kind."""
    subjects = tuple(get_subject(game) for game in games)
    return {
        "kinds": common_kinds(),
        "games": {
            s.game: {
                "answers": s.answers,
                "looks": {thing: s.about(thing) for thing in s.things},
                "axis": s.axis,
                "kinds": own_kinds(s),
            }
            for s in subjects
        },
        "requests": {"see": SEE, "act": ACT, "look": LOOK},
        "side": SIDE,
    }


def grammars(games: tuple[str, ...], tokenizer: PreTrainedTokenizerFast) -> dict[str, Grammar]:
    """The grammar of every game, in the tokens of this tokenizer."""

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    end = tokenizer.convert_tokens_to_ids(END)
    subjects = tuple(get_subject(game) for game in games)
    return {s.game: Grammar.parse(s.answers, kinds(s), encode, end) for s in subjects}


def save_pretrained(
    model: Any, tokenizer: PreTrainedTokenizerFast, games: tuple[str, ...], folder: Path
) -> None:
    """Write what `from_pretrained` and the runtime read, apart from the ONNX graphs."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    build_processor(tokenizer).save_pretrained(folder)
    (folder / "answers.json").write_text(json.dumps(answer_rules(games)))
