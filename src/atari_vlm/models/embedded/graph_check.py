"""Checks an ONNX graph before onnxruntime reads it: only what `distill` writes, nothing else.

A graph can loop for ever, ask for gigabytes or read its weights from any file. The graphs of an
embedded checkpoint need none of that: a few hundred nodes of `OPERATORS`, and weights in the
checkpoint's own model.safetensors. The protobuf file is read here in a few lines, because the onnx
package belongs to the extra `train`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

OPERATORS = {
    *("Add", "Attention", "Cast", "Concat", "CumSum", "Div", "Equal", "Gather", "Gelu", "Gemm"),
    *("LayerNormalization", "LessOrEqual", "MatMul", "Mul", "RMSNormalization", "Range", "Reshape"),
    *("RotaryEmbedding", "Shape", "Sigmoid", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    "Where",
}
"""Every operator of `export`. None has a graph inside, and none invents a tensor but Range."""

FOLDED = frozenset(["Concat", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
"""Operators that `export` applies to weights alone; onnxruntime does so once, at loading."""

MOST_NODES = 2_000
MOST_CONSTANTS = 2**28
"""Bytes of all weights and of what is computed from weights alone."""

Message: TypeAlias = "dict[int, list[Any]]"


def check_graph(blob: bytes, weights: str, size: int) -> None:
    """Raise ValueError if a graph is not one that `distill` writes.

    Args:
        blob: the ONNX file.
        weights: name of the only file that its weights may lie in.
        size: of that file, in bytes.
    """
    model = _message(memoryview(blob))
    graphs = model.get(7, [])
    if len(graphs) != 1 or model.get(25):
        raise ValueError("it is no graph that `atari-vlm distill` writes")
    graph = _message(graphs[0])
    if graph.get(15) or len(graph.get(1, [])) > MOST_NODES:
        raise ValueError(f"it has more than {MOST_NODES:,} nodes, or sparse weights")
    known: dict[str, int] = {}
    for number in graph.get(5, []):
        tensor = _message(number)
        known[_text(tensor, 8)] = _check_tensor(tensor, weights, size)
    for number in graph.get(1, []):
        _check_node(_message(number), known)
    if sum(known.values()) > MOST_CONSTANTS:
        raise ValueError(f"its constants take more than {MOST_CONSTANTS:,} bytes")


def _check_tensor(tensor: Message, weights: str, size: int) -> int:
    """The bytes of a weight, at most 8 for each of its numbers."""
    dims = _dims(tensor)
    most = 8 * math.prod(dims)
    entries = {_text(entry, 1): _text(entry, 2) for entry in map(_message, tensor.get(13, []))}
    if not entries and tensor.get(14, [0])[-1] == 0:
        return most
    if entries.get("location") != weights:
        raise ValueError(f"it takes weights from {entries.get('location', '')[:80]!r}")
    first, length = (_whole(entries.get(name, "0")) for name in ("offset", "length"))
    if first + length > size:
        raise ValueError(f"it takes weights from beyond the end of {weights}")
    return most


def _check_node(node: Message, known: dict[str, int]) -> None:
    """Check a node; if all its inputs are constants, its outputs are noted as such."""
    name = _text(node, 4)
    if name not in OPERATORS or _text(node, 7) not in ("", "ai.onnx"):
        raise ValueError(f"it has the operator {name[:40]!r}, which no graph of ours needs")
    for attribute in map(_message, node.get(5, [])):
        if any(attribute.get(kind) for kind in (5, 6, 10, 11, 22, 23)):
            raise ValueError(f"its operator {name} has a graph or a tensor inside")
    inputs = [str(bytes(one), "utf-8") for one in node.get(1, [])]
    if name == "Shape" or not inputs or any(one and one not in known for one in inputs):
        return
    if name not in FOLDED:
        raise ValueError(f"its operator {name} has constants only")
    total = sum(known.get(one, 0) for one in inputs)
    if total > MOST_CONSTANTS:
        raise ValueError(f"its constants take more than {MOST_CONSTANTS:,} bytes")
    known.update({str(bytes(one), "utf-8"): total for one in node.get(2, [])})


def _dims(tensor: Message) -> list[int]:
    dims: list[int] = []
    for value in tensor.get(1, []):
        if isinstance(value, int):
            dims.append(value)
            continue
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            dims.append(number)
    if any(number >= 2**31 for number in dims) or len(dims) > 8:
        raise ValueError("a weight has an impossible shape")
    return dims


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ValueError("the place of a weight is no number")
    return int(text)


def _text(message: Message, field: int) -> str:
    values = message.get(field)
    return str(bytes(values[-1]), "utf-8") if values and not isinstance(values[-1], int) else ""


def _message(blob: Any) -> Message:
    """Number of a field -> its values: whole numbers, or bytes for everything longer."""
    if isinstance(blob, int):
        raise ValueError("it is damaged")
    fields: Message = {}
    for field, value in _fields(blob):
        fields.setdefault(field, []).append(value)
    return fields


def _fields(blob: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    place = 0
    while place < len(blob):
        key, place = _varint(blob, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(blob, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(blob, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("it is damaged")
        if place + length > len(blob):
            raise ValueError("it is cut off")
        yield key >> 3, blob[place : place + length]
        place += length


def _varint(blob: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(blob) and shift < 64:
        byte = blob[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise ValueError("it is cut off")
