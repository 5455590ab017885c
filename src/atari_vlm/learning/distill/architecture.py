"""The student: a small Idefics3 with its own vocabulary, and random weights.

One 160 x 160 image becomes patches, then 16 tokens. A 4-layer Llama reads them with the prompt
and writes the answer. The vocabulary has the words of the prompts and answers only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from atari_vlm.errors import ModelUnusable, NoSuchFolder
from atari_vlm.files.tensors import not_finite, read_header
from atari_vlm.learning.distill.answer_schemas.base import AnswerSchema, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import (
    common_kinds,
    game_kinds,
    get_answer_schema,
    kinds,
)
from atari_vlm.models.embedded.checkpoints import LIMITS, read_json
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.models.embedded.vocabulary import WORD, Vocabulary
from atari_vlm.prompts.embedded import ACT, LOOK, SEE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IMAGE_SIZE, IMAGE_TOKENS = 160, 16

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<|im_start|>", "<end_of_utterance>"
FAKE_IMAGE, IMAGE, GLOBAL_IMAGE = "<fake_token_around_image>", "<image>", "<global-img>"
USER, ASSISTANT = "User: ", "\nAssistant: "
_SPECIAL = (PAD, UNKNOWN, START, END, FAKE_IMAGE, IMAGE, GLOBAL_IMAGE, USER, ASSISTANT)
_EMBEDDINGS = "model.text_model.embed_tokens.weight"


ArchitectureName: TypeAlias = Literal["fine", "coarse"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a vision encoder; the decoder is the same in all."""

    patch_size: int
    """Side of a patch, in pixels."""
    scale_factor: int
    """Side of the square of patches that becomes one image token, in patches."""
    hidden_size: int
    intermediate_size: int

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return (IMAGE_SIZE // self.patch_size) ** 2


FINE = Architecture(patch_size=10, scale_factor=4, hidden_size=64, intermediate_size=192)
"""256 patches: on the same decisions, its held-out loss falls faster than with COARSE."""

COARSE = Architecture(patch_size=20, scale_factor=2, hidden_size=128, intermediate_size=384)
"""64 patches, as in the checkpoints of version 0.1. They play, and train on with `--from`."""

ARCHITECTURES: dict[ArchitectureName, Architecture] = {"fine": FINE, "coarse": COARSE}


def architecture_of(folder: Path) -> Architecture:
    """The architecture of the checkpoint in a folder.

    Raises:
        NoSuchFolder: there is no such folder.
        ModelUnusable: it cannot be read, or is neither FINE nor COARSE.
    """
    if not folder.is_dir():
        raise NoSuchFolder(f"There is no folder {folder}. Name one that `atari-vlm distill` wrote.")
    try:
        config = read_json(folder / "config.json")
        vision, scale = config["vision_config"], config["scale_factor"]
        found = Architecture(
            patch_size=vision["patch_size"],
            scale_factor=scale,
            hidden_size=vision["hidden_size"],
            intermediate_size=vision["intermediate_size"],
        )
    except ModelUnusable as error:
        raise ModelUnusable(
            f"Cannot begin with the weights in {folder}: {error} Name a folder that `atari-vlm "
            "distill` wrote."
        ) from error
    except (KeyError, TypeError) as error:
        raise ModelUnusable(
            f"Cannot begin with the weights in {folder}: its config.json does not say how its "
            f"vision encoder is built ({type(error).__name__}: {error}). Name a folder that "
            "`atari-vlm distill` wrote."
        ) from error
    if found not in ARCHITECTURES.values():
        known = "; or ".join(map(str, ARCHITECTURES.values()))
        raise ModelUnusable(
            f"The weights in {folder} are of another architecture: {found}. Training can begin "
            f"with these: {known}."
        )
    return found


CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>User: ' if message['role'] == 'user' else '\\nAssistant: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant: ' }}{% endif %}"
)
"""Jinja chat template: text and images in order, then the assistant's turn."""


def prompt_text(request: str) -> str:
    """The whole prompt as the processor formats it, with its image tokens."""
    image = FAKE_IMAGE + GLOBAL_IMAGE + IMAGE * IMAGE_TOKENS + FAKE_IMAGE
    return f"{START}{USER}{image}{request}{END}{ASSISTANT}"


def build_tokenizer(games: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """One token for each word, each displacement ("right 5") and each plan ("LEFT for 3 frames").

    A token includes the space before it, so the concatenated tokens are the text.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    schemas = tuple(get_answer_schema(game) for game in games)
    common = common_kinds()
    every_plan = {plan_words(*plan): None for schema in schemas for plan in plans(schema)}
    phrases = [": ", *common["across"], *common["along"], *every_plan]
    words = [f" {n}" for n in range(210)] + _plain_words(schemas)
    every = dict.fromkeys([*_SPECIAL, *words, *phrases])
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(every)}, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "isolated")
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
            "fake_image_token": FAKE_IMAGE,
            "global_image_token": GLOBAL_IMAGE,
            "end_of_utterance_token": END,
        },
    )


def _plain_words(schemas: tuple[AnswerSchema, ...]) -> list[str]:
    texts = [request.format(game=s.game) for s in schemas for request in (SEE, ACT)]
    for schema in schemas:
        texts += [LOOK.format(game=schema.game, thing=name) for name in schema.objects]
        about = [clause for name in schema.objects for clause in schema.clauses_about(name)]
        texts += [re.sub(r" ?\{\w+:\w+\}", "", text) for text in (*schema.answers, *about)]
        texts += [f" {word}" for words in schema.kinds.values() for word in words]
    return [word for text in texts for word in re.findall(WORD, text)]


def build_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, architecture: Architecture = FINE
) -> Any:
    """A new Idefics3ForConditionalGeneration: 1.1 million parameters if FINE, 1.5 if COARSE.

    Every matrix is initialised with a standard deviation of 1 / sqrt(inputs), and the position
    embeddings of the image with 0.5. With the usual 0.02, a small vision transformer hardly learns
    positions.
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
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.intermediate_size,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": architecture.patch_size,
    }
    model = Idefics3ForConditionalGeneration(
        Idefics3Config(
            text_config=text,
            vision_config=vision,
            scale_factor=architecture.scale_factor,
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


def initialize_from(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Copy the weights in `folder` into a new model; new words keep their own embeddings.

    Raises:
        ModelUnusable: the weights are missing, damaged, or of another architecture.
    """
    import torch
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    try:
        tensors = read_header(path)
        if name := not_finite(path, tensors):
            raise ValueError(f"the tensor {name} holds numbers that are not finite")
        if path.stat().st_size > LIMITS[path.name] or _EMBEDDINGS not in tensors:
            raise ValueError("it is no student")
        weights = load_file(path)
        vocabulary = Vocabulary(read_json(folder / "tokenizer.json"))
        embeddings = weights.pop(_EMBEDDINGS)
        if embeddings.dim() != 2 or len(embeddings) <= vocabulary.largest:
            raise ValueError("the weights and tokenizer.json do not fit together")
    except Exception as error:
        raise ModelUnusable(
            f"Cannot begin with the weights in {folder} ({type(error).__name__}: {error}). "
            "Name a folder that `atari-vlm distill` wrote."
        ) from error
    state = model.state_dict()
    weights.pop("lm_head.weight", None)
    differ = [n for n, w in weights.items() if n not in state or state[n].shape != w.shape]
    if differ or embeddings.shape[1] != model.config.text_config.hidden_size:
        raise ModelUnusable(
            f"The weights in {folder} are of another architecture: {', '.join(differ[:3])} differ."
        )
    with torch.no_grad():
        for name, weight in weights.items():
            state[name].copy_(weight)
        new_embeddings = state["model.text_model.embed_tokens.weight"]
        for word, token in tokenizer.get_vocab().items():
            if word in vocabulary.tokens:
                new_embeddings[token] = embeddings[vocabulary.tokens[word]]


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Any:
    """The Idefics3Processor of the model; it needs no torchvision."""
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    side = {"longest_edge": IMAGE_SIZE}
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
        chat_template=CHAT_TEMPLATE,
    )


def answer_rules(games: tuple[str, ...]) -> dict[str, Any]:
    """The content of `answers.json`: the sentences of every game and the words of every kind."""
    schemas = tuple(get_answer_schema(game) for game in games)
    return {
        "kinds": common_kinds(),
        "games": {
            s.game: {
                "answers": s.answers,
                "looks": {name: s.clauses_about(name) for name in s.objects},
                "axis": s.axis,
                "kinds": game_kinds(s),
            }
            for s in schemas
        },
        "requests": {"see": SEE, "act": ACT, "look": LOOK},
        "side": IMAGE_SIZE,
    }


def grammars(games: tuple[str, ...], tokenizer: PreTrainedTokenizerFast) -> dict[str, Grammar]:
    """Game -> its grammar in the tokens of this tokenizer."""

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    end = tokenizer.convert_tokens_to_ids(END)
    schemas = tuple(get_answer_schema(game) for game in games)
    return {s.game: Grammar.parse(s.answers, kinds(s), encode, end) for s in schemas}


def save_pretrained(
    model: Any, tokenizer: PreTrainedTokenizerFast, games: tuple[str, ...], folder: Path
) -> None:
    """Write the files that `from_pretrained` and the runtime read, except the ONNX graphs.

    Raises:
        ModelUnusable: a weight is not finite; nothing is written.
        OSError: the disk is full, or the folder cannot be written.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    for name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise ModelUnusable(f"The weight {name} is not finite, so nothing is written.")
    folder.mkdir(parents=True, exist_ok=True)
    progress_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a moment's work, among the lines of a report
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:  # all that can fail is the disk
        raise OSError(str(error)) from error
    finally:
        if progress_bars:
            logging.enable_progress_bar()
    (folder / "model.safetensors").chmod(0o644)
    build_processor(tokenizer).save_pretrained(folder)
    (folder / "answers.json").write_text(json.dumps(answer_rules(games)))
