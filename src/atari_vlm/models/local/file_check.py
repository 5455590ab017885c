"""Checks the files of a checkpoint before transformers reads any of them.

A checkpoint may come from anyone, and often arrives incomplete. What is checked here: that every
file is a regular file and the real one, that JSON has a sensible size and depth, that weights lie
in the folder and their headers are true, and that config.json describes a model of the size of its
weights. What transformers, tokenizers and torch do with a file that passes is theirs.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.placeholders import HEAD, placeholder
from atari_vlm.files.tensors import read_header
from atari_vlm.files.untrusted import json_of, read_regular
from atari_vlm.models.local.hub import CODE, FILES

MB = 2**20
LONGEST = {".json": 128 * MB, ".jinja": MB, ".txt": 64 * MB, ".model": 64 * MB, ".py": 4 * MB}
"""Longest files by suffix, in bytes; weights may have any length."""

PARSED = 4 * MB
"""JSON files up to this length are parsed here too; longer ones are left to their own library."""

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "tekken.json"),
)
"""A checkpoint has one of them."""
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
"""A checkpoint has one of them."""

MOST_LAYERS, LARGEST_SIZE, LARGEST_NUMBER = 2_000, 2**24, 2**40
"""In config.json: of layers, experts and heads; of a width or vocabulary; of any whole number."""

LARGEST_SIDE, MOST_PIXELS, MOST_IMAGE_TOKENS = 8_192, 2**26, 2**16
"""In the settings of the image processor."""

SPARE = 64
"""How many times more numbers config.json may describe than the weights hold: quantized weights
hold up to eight in one, and some families use less than they describe."""

_MANY = re.compile(r"layers|depth|heads|experts|blocks")
_WIDE = re.compile(r"size|dim|channels|width")
_SIDES = ("idefics", "smolvlm", "llava", "video_llava")
"""Beginnings of the families whose image processor has sides, where others may have areas."""


def check_files(folder: Path) -> None:
    """Check every file of a checkpoint, apart from its weights.

    Raises:
        ModelUnusable: one is not the real file, too large, damaged or dangerous; says which.
    """
    for path in sorted(p for pattern in (*FILES, *CODE) for p in folder.glob(pattern)):
        _check_file(path)
    if (folder / "adapter_config.json").exists():
        raise ModelUnusable(
            f"{folder / 'adapter_config.json'} makes this an adapter of another model, which it "
            "names at will. Merge the two with peft's merge_and_unload, and name the result."
        )


def check_parts(folder: Path) -> None:
    """Check that a checkpoint has a tokenizer and an image processor.

    Raises:
        ModelUnusable: one is missing; says which.
    """
    for names, what in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "image processor")):
        if not any((folder / name).is_file() for name in names):
            raise ModelUnusable(
                f"The checkpoint in {folder} is incomplete: it lacks its {what} ({names[0]}). "
                f"Fetch it again with `hf download`, all files of it.{_interrupted(folder)}"
            )


def check_weights(folder: Path) -> None:
    """Check that the weights are all there and true to their headers, which are read.

    Raises:
        ModelUnusable: a file is missing, elsewhere, cut off or no safetensors file; says which.
    """
    index = folder / INDEX
    placed = _weight_map(index) if index.exists() else {}
    files = sorted(set(placed.values()) or {WEIGHTS})
    # A pipe or a folder in the place of a file is there, and is refused with its own reason.
    missing = [name for name in files if not (folder / name).exists()]
    if missing:
        pickled = sorted(path.name for path in folder.glob("*.bin"))[:1]
        why = f" Pickled weights ({pickled[0]}) are never read." if pickled else ""
        raise ModelUnusable(
            f"The checkpoint in {folder} is incomplete: it lacks {missing[0]}.{why}"
            f"{_interrupted(folder)}"
        )
    headers: dict[str, Any] = {}
    for name in files:
        try:
            headers[name] = read_header(folder / name)
        except (OSError, ValueError) as error:
            raise _damaged(folder / name, error) from error
    for tensor, name in placed.items():
        if tensor not in headers[name]:
            raise ModelUnusable(f"{index} is damaged: {name} has no tensor {tensor[:80]!r}.")
    tensors = [tensor for header in headers.values() for tensor in header.values()]
    config = read_json(folder / "config.json")
    _check_config(folder / "config.json", config, len(tensors), sum(t.numbers for t in tensors))
    _check_processors(folder, str(config.get("model_type")))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object with limits.

    Raises:
        ModelUnusable: the file cannot be read, is not the real one, or holds something else.
    """
    try:
        content = read_regular(path, most=LONGEST[".json"])
        if other := placeholder(content):
            raise ValueError(f"it {other}")
        value = json_of(content, most=LONGEST[".json"], finite=False)
        if not isinstance(value, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return value


def _check_file(path: Path) -> None:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no regular file")
        most = LONGEST.get(path.suffix)
        if most is not None and about.st_size > most:
            raise ValueError(f"it has {about.st_size:,} bytes, and at most {most:,} are read")
        if path.suffix == ".safetensors":
            return
        with path.open("rb") as file:
            other = placeholder(file.read(HEAD), about.st_size)
        if other and (about.st_size or path.suffix != ".txt"):  # an empty list of words is one
            raise ValueError(f"it {other}")
        if path.suffix == ".json" and about.st_size <= PARSED:
            json_of(read_regular(path, most=PARSED), finite=False)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _weight_map(index: Path) -> Mapping[str, str]:
    """Name of a tensor -> the file in the folder that holds it."""
    placed = read_json(index).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise ModelUnusable(f"{index} is damaged: it has no weight_map.")
    for name in placed.values():
        plain = isinstance(name, str) and Path(name).name == name and "\\" not in name
        if not plain or not name.endswith(".safetensors"):
            raise ModelUnusable(
                f"{index} is damaged: it places weights in {str(name)[:80]!r}, which is no "
                "safetensors file of this folder."
            )
    return placed


def _interrupted(folder: Path) -> str:
    """A sentence about a download that was cut off, if one left its trace."""
    left = [*folder.glob("*.incomplete"), *folder.glob(".cache/huggingface/download/*.incomplete")]
    if not left:
        return ""
    return f" Its download was interrupted ({left[0].name}): run `hf download` again."


def _check_config(path: Path, config: dict[str, Any], tensors: int, numbers: int) -> None:
    """Check that a config describes no larger a model than its weights are."""
    for name, value in _walk(config):
        if isinstance(value, str):
            if "attn_implementation" in name and "/" in value:
                raise ModelUnusable(f"{path} is refused: {name} names code of another repository.")
        elif isinstance(value, int):
            most = LARGEST_NUMBER
            if _MANY.search(name):
                most = MOST_LAYERS
            elif _WIDE.search(name):
                most = LARGEST_SIZE
            if not -LARGEST_NUMBER <= value <= most:
                raise ModelUnusable(f"{path} is damaged: {name} is {value}, and at most {most}.")
    for part in _parts(config):
        least = _least_numbers(part)
        layers = _number(part, "num_hidden_layers", "depth")
        if layers > tensors or least > SPARE * numbers:
            raise ModelUnusable(
                f"{path} describes a model of {layers:,} layers and at least {least:,} numbers, "
                f"and the weights have {tensors:,} tensors with {numbers:,} numbers. One of the "
                "two is of another model."
            )


def _least_numbers(part: Mapping[str, Any]) -> int:
    """The numbers that a part of a config needs at least, by matrices that all families have."""
    wide = _number(part, "hidden_size", "embed_dim", "d_model")
    layers = _number(part, "num_hidden_layers", "depth")
    patches = (_number(part, "image_size") // max(1, _number(part, "patch_size"))) ** 2
    return wide * max(wide * layers, _number(part, "vocab_size"), patches)


def _number(part: Mapping[str, Any], *names: str) -> int:
    values = [part.get(name) for name in names]
    return next((abs(value) for value in values if type(value) is int), 0)


def _check_processors(folder: Path, family: str) -> None:
    for name in PROCESSORS:
        path = folder / name
        if not path.exists():
            continue
        for key, value in _walk(read_json(path)):
            if not isinstance(value, int):
                continue
            most = MOST_PIXELS
            if "seq_len" in key or "tokens" in key:
                most = MOST_IMAGE_TOKENS
            elif key in ("height", "width") or (family.startswith(_SIDES) and "edge" in key):
                most = LARGEST_SIDE
            if not -MOST_LAYERS <= value <= most:
                raise ModelUnusable(
                    f"{path} is damaged: {key} is {str(value)[:40]}, and at most {most}."
                )


def _walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every text and number inside a JSON value, with the nearest name above it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, name)
    elif not isinstance(value, bool):
        yield name, value


def _parts(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield config
    for inner in config.values():
        if isinstance(inner, dict):
            yield from _parts(inner)


def _damaged(path: Path, error: Exception) -> ModelUnusable:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    told = " ".join(reason.split())[:300].rstrip(".")
    advice = "" if ": " in told else " Fetch it again with `hf download`, or restore it."
    return ModelUnusable(f"{path} is damaged: {told}.{advice}")
