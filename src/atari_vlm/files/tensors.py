"""The header of a safetensors file, read with limits and checked against the file's length.

The format: 8 bytes with the length of the header, the header as JSON (name -> type, shape, first
and last byte), then the numbers, without gaps (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.files.placeholders import HEAD, placeholder
from atari_vlm.files.untrusted import json_of, open_regular

LONGEST_HEADER = 32 * 2**20
"""The longest header that is read, in bytes; a model of 100,000 tensors has 15 MB."""

BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Type of a number -> its size in bits."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in its file."""

    dtype: str
    """A key of `BITS`."""
    shape: tuple[int, ...]
    first: int
    """Its first byte, from the start of the file."""
    after: int
    """The byte after its last."""

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """Name -> place of every tensor of a safetensors file. The numbers are not read.

    Raises:
        ValueError: it is no safetensors file, cut off, or its header contradicts itself.
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        about = os.fstat(file.fileno())
        head = file.read(HEAD)
        if other := placeholder(head[8:] if _is_length(head, about.st_size) else head, len(head)):
            raise ValueError(f"it {other}")
        length = int.from_bytes(head[:8], "little")
        if length > min(LONGEST_HEADER, about.st_size - 8):
            raise ValueError(
                f"it says that its header has {length:,} bytes, and the file has {about.st_size:,}"
                if length > about.st_size - 8
                else f"its header has {length:,} bytes, and at most {LONGEST_HEADER:,} are read"
            )
        file.seek(8)
        header = json_of(file.read(length), most=LONGEST_HEADER, deepest=8)
    return _tensors(header, 8 + length, about.st_size)


def _is_length(head: bytes, size: int) -> bool:
    return len(head) > 8 and int.from_bytes(head[:8], "little") <= size - 8


def _tensors(header: Any, start: int, size: int) -> dict[str, Tensor]:
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    tensors = {
        name: _tensor(name, row, start) for name, row in header.items() if name != "__metadata__"
    }
    end, before = start, "the header"
    for name, tensor in sorted(tensors.items(), key=lambda pair: (pair[1].first, pair[1].after)):
        if tensor.first != end:
            raise ValueError(f"its tensor {name[:80]!r} overlaps {before}, or leaves a gap")
        end, before = tensor.after, repr(name[:80])
    if end != size:
        raise ValueError(f"it has {size:,} bytes, and its header says {end:,}: it was cut off")
    return tensors


def _tensor(name: str, row: Any, start: int) -> Tensor:
    try:
        dtype, shape, (first, after) = row["dtype"], row["shape"], row["data_offsets"]
        whole = [*shape, first, after]
        if any(type(number) is not int or not 0 <= number < 2**63 for number in whole):
            raise ValueError
        bits = BITS[dtype] * math.prod(shape)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"its entry for the tensor {name[:80]!r} is damaged") from None
    if (bits + 7) // 8 != after - first:
        raise ValueError(f"its tensor {name[:80]!r} has another length than its shape")
    return Tensor(dtype, tuple(shape), start + first, start + after)


def not_finite(path: Path, tensors: dict[str, Tensor]) -> str:
    """The name of the first F32 or F64 tensor that holds NaN or infinity; empty if none does."""
    for name, part in _floats(path, tensors):
        # A sum is finite unless a number is not, or the sum itself is too large: then look closely.
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(part.sum(dtype=np.float64)) and not np.isfinite(part).all():
                return name
    return ""


def _floats(path: Path, tensors: dict[str, Tensor]) -> Iterator[tuple[str, Any]]:
    kinds: dict[str, np.dtype[Any]] = {
        "F32": np.dtype("<f4"),
        "F64": np.dtype("<f8"),
        "F16": np.dtype("<f2"),
    }
    with path.open("rb") as file:
        for name, tensor in tensors.items():
            if tensor.dtype not in kinds or not tensor.numbers:
                continue
            file.seek(tensor.first)
            left = tensor.after - tensor.first
            while left > 0:
                part = file.read(min(left, 1 << 24))
                if not part:
                    return
                left -= len(part)
                yield name, np.frombuffer(part, kinds[tensor.dtype])
