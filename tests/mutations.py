"""Damages to real files, drawn by chance: bytes, JSON values, headers of weights, graphs."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from atari_vlm.errors import AtariVLMError

MOST_SECONDS, MOST_MEMORY = 60, 3 * 2**30
"""Of one mutant; the memory is what the process grows by."""

ODD = [
    *(None, True, 0, -1, 1, 7, 2**31, 2**63, 10**30, -(10**12), 0.5, 1e308, float("nan")),
    *("", "x", "../../etc/passwd", "/dev/zero", "x" * 5_000, "{game:>999999999}", "{a.__class__}"),
    *("\ud83d", "\x00", "NOOP for 4 frames", "<image>", "(a+)+$", [], {}, [[]], [None], {"a": 1}),
    *([1] * 300, {str(n): n for n in range(300)}, "F32", "BF16", "float16", "llama", "{{ x }}"),
]
"""Values that are put in the place of others."""


def mutated_bytes(content: bytes, random: Random) -> bytes:
    """A text of bytes with one to four damages."""
    data = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        at = random.randrange(len(data) + 1)
        # Most of a file's meaning is at its two ends.
        at = min(len(data), random.choice([at, at % 600, max(0, len(data) - at % 600)]))
        length = random.choice([1, 1, 2, 4, 8, 64, 4_096])
        kind = random.randrange(7)
        if kind == 0:
            data[at : at + length] = random.randbytes(length)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at : at + length] = random.choice([b"\x00", b"\xff", b"\x7f", b"9"]) * length
        elif kind == 4:
            del data[at:]
        elif at < len(data):
            data[at] ^= 1 << random.randrange(8)
    return bytes(data)


def mutated_value(value: Any, random: Random) -> Any:
    """A JSON value with one to three other values inside."""
    value = json.loads(json.dumps(value))
    for _ in range(random.choice([1, 1, 2, 3])):
        value = _mutated_once(value, random)
    return value


def _mutated_once(value: Any, random: Random) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.02:
        return random.choice(ODD)
    inside = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    kind = random.randrange(12)
    if kind == 0:
        del value[inside]
    elif kind == 1 and isinstance(value, dict):
        value[f"{inside}x"] = value.pop(inside)
    elif kind == 1:
        value[inside : inside + 1] = [value[inside]] * 40
    elif kind == 2:
        other = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value[inside], value[other] = value[other], value[inside]
    elif kind == 3 and type(value[inside]) is int:
        value[inside] *= random.choice([-1, 2, 1_000, 10**6, 10**12])
    else:
        value[inside] = _mutated_once(value[inside], random)
    return value


def mutate_file(path: Path, random: Random) -> None:
    """Damage a file of a checkpoint by its kind."""
    if random.random() < 0.05:
        _replace(path, random)
    elif path.suffix == ".json" and random.random() < 0.8:
        path.write_text(json.dumps(mutated_value(json.loads(path.read_text()), random)))
    elif path.suffix == ".safetensors" and random.random() < 0.7:
        _mutate_tensors(path, random)
    elif path.suffix == ".onnx" and random.random() < 0.7:
        _mutate_graph(path, random)
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), random))


def _replace(path: Path, random: Random) -> None:
    path.unlink()
    make = random.choice(
        [os.mkfifo, os.mkdir, Path.touch, lambda path: path.symlink_to("/dev/zero")]
    )
    if random.random() < 0.8:
        make(path)


def _mutate_tensors(path: Path, random: Random) -> None:
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    if random.random() < 0.3:
        data = mutated_bytes(data, random)
    else:
        header = mutated_value(header, random)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def _mutate_graph(path: Path, random: Random) -> None:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    graph = model.graph
    for _ in range(random.choice([1, 1, 2, 4])):
        if random.random() < 0.5:
            _mutate_node(graph, random)
        else:
            _mutate_constant(graph, random)
    path.write_bytes(model.SerializeToString())


def _mutate_node(graph: Any, random: Random) -> None:
    node, other = random.choice(graph.node), random.choice(graph.node)
    kind = random.randrange(5)
    if kind == 0:
        node.op_type = random.choice(["Loop", "If", "Expand", "Tile", "Exp", other.op_type])
    elif kind == 1 and node.input and other.output:
        node.input[random.randrange(len(node.input))] = random.choice(list(other.output))
    elif kind == 2 and node.input:
        node.input[random.randrange(len(node.input))] = random.choice(graph.initializer).name
    elif kind == 3 and node.attribute:
        random.choice(node.attribute).i = random.choice([0, -1, 1, 2, 7, 2**31, -(2**63)])
    else:
        graph.node.remove(node)


def _mutate_constant(graph: Any, random: Random) -> None:
    some, kind = random.choice(graph.initializer), random.randrange(4)
    if kind == 0:
        some.dims[:] = [random.choice([0, 1, 2, 2**31 - 1, 10**6]) for _ in some.dims]
    elif kind == 1:
        for entry in some.external_data:
            entry.value = random.choice([entry.value, "0", "8", "99999999", "/etc/passwd"])
    elif kind == 2:
        some.raw_data = mutated_bytes(some.raw_data, random)
    else:
        dims = random.choice([*graph.input, *graph.output]).type.tensor_type.shape.dim
        random.choice(dims).dim_value = random.choice([0, 1, 2, 4_000, 2**31, -1])


@contextmanager
def bounded(folder: Path) -> Iterator[None]:
    """Check what a block makes of a mutant: it is used, or refused in a sentence about `folder`.

    Fails for any other error, and for more than MOST_SECONDS or MOST_MEMORY.
    """

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {MOST_SECONDS} seconds")

    told = None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    former = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    except AtariVLMError as error:
        told = str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    if told is not None:
        assert 20 < len(told) < 1_000
        assert str(folder) in told or "checkpoint" in told, told
        told.encode()  # no half of a surrogate pair
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_MEMORY, f"{grown:,} bytes more"
