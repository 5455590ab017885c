"""Changes to safetensors files, for tests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def tensors_of(header: dict[str, Any]) -> list[str]:
    """Names of the tensors in the order of the file."""
    names = [name for name in header if name != "__metadata__"]
    return sorted(names, key=lambda name: header[name]["data_offsets"])


def rewrite(path, *, change=None, number=None, every=False, length=None):
    """Rewrite a safetensors file of F32 tensors.

    Args:
        path: the file.
        change: changes the header in place.
        number: written over the last number, or `every` number.
        every: see `number`.
        length: what the file says its header has, in bytes.
    """
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8 : 8 + size]), bytearray(whole[8 + size :])
    if change is not None:
        change(header)
    if number is not None:
        one = np.float32(number).tobytes()
        data = one * (len(data) // 4) if every else data[:-4] + one
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
