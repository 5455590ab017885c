"""Export of the student to two ONNX graphs, so that it plays without torch.

`vision_encoder.onnx`: picture -> image features. `decoder.onnx`: tokens + features + key-value
cache -> logits of the next tokens and the extended cache. Both are written out here, node by node:
tracing transformers gives five times the nodes, and at this size a node costs as much as its
arithmetic. A test compares both with transformers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.learning.distill.graph import Graph
from atari_vlm.models.embedded.checkpoints import DECODER, VISION_ENCODER


def export(folder: Path) -> None:
    """Write both graphs beside the model.safetensors in `folder`."""
    config = json.loads((folder / "config.json").read_text())
    # The graphs' inner names never change: a checkpoint exported again keeps its digest.
    _vision_encoder(Graph(folder, "eyes"), config, folder / VISION_ENCODER)
    _decoder(Graph(folder, "words"), config, folder / DECODER)


def _linear(graph: Graph, x: str, name: str) -> str:
    weight, bias = graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")
    return graph.add("Gemm", x, weight, bias, transB=1)


def _layer_norm(graph: Graph, x: str, name: str, epsilon: float) -> str:
    weight, bias = graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")
    return graph.add("LayerNormalization", x, weight, bias, epsilon=epsilon)


def _reshape(graph: Graph, x: str, *shape: int, name: str | None = None) -> str:
    named = {} if name is None else {"name": name}
    return graph.add("Reshape", x, graph.constant(shape), **named)


def _vision_encoder(graph: Graph, config: dict[str, Any], path: Path) -> None:
    """(side, side, 3) uint8 -> features (1, image tokens, hidden): the vision tower of Idefics3."""
    vision = config["vision_config"]
    side, patch, wide = (vision[key] for key in ("image_size", "patch_size", "hidden_size"))
    heads, epsilon = vision["num_attention_heads"], vision["layer_norm_eps"]
    across = side // patch
    tower = "model.vision_model"
    # Patches are cut out by whole rows, so their pixels are ordered (row, column, colour).
    x = _reshape(graph, "picture", across, patch, across, patch * 3)
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    x = _reshape(graph, x, across**2, 3 * patch**2)
    x = graph.cast(x, np.float32)
    x = graph.add("Div", x, graph.constant(127.5, np.float32))
    x = graph.add("Sub", x, graph.constant(1, np.float32))
    embed = f"{tower}.embeddings"
    weight = graph.weight(f"{embed}.patch_embedding.weight")
    weight = graph.add("Transpose", weight, perm=[0, 2, 3, 1])
    weight = _reshape(graph, weight, wide, 3 * patch**2)
    x = graph.add("Gemm", x, weight, graph.weight(f"{embed}.patch_embedding.bias"), transB=1)
    x = graph.add("Add", x, graph.weight(f"{embed}.position_embedding.weight"))
    for number in range(vision["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{number}"
        h = _layer_norm(graph, x, f"{layer}.layer_norm1", epsilon)
        h = graph.add("Gemm", h, *_concatenated_qkv(graph, f"{layer}.self_attn", "bias"), transB=1)
        h = _reshape(graph, h, 1, across**2, 3 * wide)
        parts = graph.split("Split", h, outputs=3, num_outputs=3, axis=2)
        h = graph.add("Attention", *parts, q_num_heads=heads, kv_num_heads=heads)
        h = _linear(graph, _reshape(graph, h, across**2, wide), f"{layer}.self_attn.out_proj")
        x = graph.add("Add", x, h)
        h = _layer_norm(graph, x, f"{layer}.layer_norm2", epsilon)
        h = graph.add("Gelu", _linear(graph, h, f"{layer}.mlp.fc1"), approximate="tanh")
        x = graph.add("Add", x, _linear(graph, h, f"{layer}.mlp.fc2"))
    x = _layer_norm(graph, x, f"{tower}.post_layernorm", epsilon)
    block = config["scale_factor"]
    down, hidden = across // block, config["text_config"]["hidden_size"]
    x = _reshape(graph, x, down, block, down, block * wide)
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    x = _reshape(graph, x, down**2, block**2 * wide)
    weight = graph.weight("model.connector.modality_projection.proj.weight")
    x = graph.add("Gemm", x, weight, transB=1)
    _reshape(graph, x, 1, down**2, hidden, name="features")
    graph.write(
        path,
        {"picture": (np.uint8, (side, side, 3))},
        {"features": (np.float32, (1, down**2, hidden))},
    )


def _concatenated_qkv(graph: Graph, attention: str, *more: str) -> list[str]:
    """Weights, and other parameters, of queries, keys and values, concatenated along axis 0."""
    return [
        graph.add(
            "Concat", *(graph.weight(f"{attention}.{part}_proj.{kind}") for part in "qkv"), axis=0
        )
        for kind in ("weight", *more)
    ]


def _decoder(graph: Graph, config: dict[str, Any], path: Path) -> None:
    """Tokens (1, n), features, past, rows -> logits, memory: the Llama of Idefics3.

    The logits (rows, vocabulary) follow the tokens at `rows`. Past and memory are the key-value
    cache before and after the tokens, (2 x layers, key-value heads, tokens, head size): the keys
    and then the values of each layer.
    """
    text = config["text_config"]
    layers, epsilon = text["num_hidden_layers"], text["rms_norm_eps"]
    heads, keys, size = (
        text[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim")
    )
    llama = "model.text_model"
    table = graph.weight(f"{llama}.embed_tokens.weight")
    x = _embeddings(graph, table, config)
    positions, mask = _positions_and_mask(graph)
    rotary = _rotary_tables(graph, text)
    past = graph.split("Split", "past", outputs=2 * layers, num_outputs=2 * layers, axis=0)
    memory: list[str] = []
    for number in range(layers):
        layer = f"{llama}.layers.{number}"
        h = _rms_norm(graph, x, f"{layer}.input_layernorm", epsilon)
        (weight,) = _concatenated_qkv(graph, f"{layer}.self_attn")
        sizes = graph.constant([heads * size, keys * size, keys * size])
        q, k, v = graph.split("Split", _matmul(graph, h, weight), sizes, outputs=3, axis=2)
        q = graph.add("RotaryEmbedding", q, *rotary, positions, num_heads=heads)
        k = graph.add("RotaryEmbedding", k, *rotary, positions, num_heads=keys)
        before = past[2 * number : 2 * number + 2]
        h, *now = graph.split(
            "Attention", q, k, v, mask, *before, outputs=3, q_num_heads=heads, kv_num_heads=keys
        )
        memory += now
        h = _matmul(graph, h, graph.weight(f"{layer}.self_attn.o_proj.weight"))
        x = graph.add("Add", x, h)
        if number == layers - 1:  # no logits are needed at the other rows
            x = graph.add("Gather", x, "rows", axis=1)
        h = _rms_norm(graph, x, f"{layer}.post_attention_layernorm", epsilon)
        gates = [graph.weight(f"{layer}.mlp.{part}_proj.weight") for part in ("gate", "up")]
        h = _matmul(graph, h, graph.add("Concat", *gates, axis=0))
        gate, up = graph.split("Split", h, outputs=2, num_outputs=2, axis=2)
        h = graph.add("Mul", graph.add("Mul", gate, graph.add("Sigmoid", gate)), up)
        h = _matmul(graph, h, graph.weight(f"{layer}.mlp.down_proj.weight"))
        x = graph.add("Add", x, h)
    x = _rms_norm(graph, x, f"{llama}.norm", epsilon)
    head = graph.weight("lm_head.weight") if "lm_head.weight" in graph else table
    _reshape(graph, _matmul(graph, x, head), -1, text["vocab_size"], name="logits")
    graph.add("Concat", *memory, axis=0, name="memory")
    cache = (2 * layers, keys)
    graph.write(
        path,
        {
            "ids": (np.int64, (1, "read")),
            "features": (np.float32, (1, "image", text["hidden_size"])),
            "past": (np.float32, (*cache, "known", size)),
            "rows": (np.int64, ("asked",)),
        },
        {
            "logits": (np.float32, ("asked", text["vocab_size"])),
            "memory": (np.float32, (*cache, "all", size)),
        },
    )


def _matmul(graph: Graph, x: str, weight: str) -> str:
    """Multiply by the transpose of a weight; onnxruntime transposes it once, at loading."""
    return graph.add("MatMul", x, graph.add("Transpose", weight, perm=[1, 0]))


def _rms_norm(graph: Graph, x: str, name: str, epsilon: float) -> str:
    return graph.add("RMSNormalization", x, graph.weight(f"{name}.weight"), epsilon=epsilon)


def _embeddings(graph: Graph, table: str, config: dict[str, Any]) -> str:
    """Embedding of each token; image tokens take the features, in order."""
    image = graph.constant(config["image_token_id"])
    is_image = graph.add("Equal", "ids", image)
    nth = graph.add("CumSum", graph.cast(is_image, np.int64), graph.constant(1))
    # The features are appended to the embedding table, so the first follows the last token.
    below = graph.add("Add", nth, graph.constant(config["text_config"]["vocab_size"] - 1))
    row = graph.add("Where", is_image, below, "ids")
    features = graph.add("Squeeze", "features", graph.constant([0]))
    return graph.add("Gather", graph.add("Concat", table, features, axis=0), row, axis=0)


def _positions_and_mask(graph: Graph) -> tuple[str, str]:
    """Position of each token (1, n), and the causal mask (n, all)."""
    length = graph.add("Shape", "past", start=2, end=3)
    total = graph.add("Add", length, graph.add("Shape", "ids", start=1))
    length, total = (graph.add("Squeeze", size, graph.constant([0])) for size in (length, total))
    one = graph.constant(1)
    new = graph.add("Range", length, total, one)
    every = graph.add("Range", graph.constant(0), total, one)
    mask = graph.add("LessOrEqual", every, graph.add("Unsqueeze", new, graph.constant([1])))
    return graph.add("Unsqueeze", new, graph.constant([0])), mask


def _rotary_tables(graph: Graph, text: dict[str, Any]) -> tuple[str, str]:
    """Cosine and sine of the rotary embedding, (positions, head size / 2)."""
    half = text["head_dim"] // 2
    speeds = float(text["rope_parameters"]["rope_theta"]) ** -(np.arange(half) / half)
    angles = np.arange(text["max_position_embeddings"])[:, None] * speeds
    return graph.constant(np.cos(angles), np.float32), graph.constant(np.sin(angles), np.float32)
