"""Weights of several students in a few flat tensors, [students, ...], and back to transformers.

A step then casts, clips and updates a handful of tensors, however many layers there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

_VISION, _TEXT = "model.vision_model", "model.text_model"
EMBEDDINGS = f"{_TEXT}.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class FlatWeights:
    """Named blocks of weights, one after the other in a flat tensor."""

    blocks: Mapping[str, tuple[str, ...]]
    """Block -> the weights of transformers that are its rows, one below the other."""
    shapes: Mapping[str, tuple[int, ...]]
    """Weight of transformers -> its shape."""

    @property
    def names(self) -> list[str]:
        """The weights of transformers in their order."""
        return [name for names in self.blocks.values() for name in names]

    def flatten(self, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weights of one student as one row of numbers, (numbers,)."""
        return torch.cat([state[name].detach().float().reshape(-1) for name in self.names])

    def split(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """(students, numbers) -> block -> (students, rows, columns); vectors are one row."""
        shapes = [self._block_shape(names) for names in self.blocks.values()]
        parts = torch.split(flat, [rows * columns for rows, columns in shapes], 1)
        return {
            block: part.view(len(flat), *shape)
            for block, part, shape in zip(self.blocks, parts, shapes, strict=True)
        }

    def _block_shape(self, names: tuple[str, ...]) -> tuple[int, int]:
        shapes = [self.shapes[name] for name in names]
        rows = sum(shape[0] for shape in shapes)
        return (rows, math.prod(shapes[0][1:])) if len(shapes[0]) > 1 else (1, rows)

    def unflatten(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """The weights of one student, (numbers,), under the names of transformers."""
        sizes = [math.prod(self.shapes[name]) for name in self.names]
        parts = torch.split(flat, sizes)
        return {
            name: part.reshape(self.shapes[name])
            for name, part in zip(self.names, parts, strict=True)
        }


def flat_weights(model: Any) -> dict[str, FlatWeights]:
    """The flat tensors of a student: those of the vision encoder first, then those of the decoder.

    Matrices and vectors are apart, because only matrices are multiplied in bf16 and decay.
    """
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    layers = model.config.vision_config.num_hidden_layers
    vision, vision_vectors = _vision_blocks(layers)
    text, text_vectors = _text_blocks(model.config.text_config.num_hidden_layers)
    positions = {"positions": (f"{_VISION}.embeddings.position_embedding.weight",)}
    every = {
        "vision": FlatWeights(vision, shapes),
        "positions": FlatWeights(positions, shapes),
        "vision_vectors": FlatWeights(vision_vectors, shapes),
        "text": FlatWeights(text, shapes),
        "text_vectors": FlatWeights(text_vectors, shapes),
    }
    held = [name for flat in every.values() for name in flat.names]
    assert sorted(held) == sorted(shapes), set(held) ^ set(shapes)
    return every


def _vision_blocks(
    layers: int,
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    patch = f"{_VISION}.embeddings.patch_embedding"
    matrices: dict[str, tuple[str, ...]] = {"patch": (f"{patch}.weight",)}
    vectors: dict[str, tuple[str, ...]] = {"patch": (f"{patch}.bias",)}
    for layer in range(layers):
        path = f"{_VISION}.encoder.layers.{layer}"
        linear = {
            "qkv": tuple(f"{path}.self_attn.{kind}_proj" for kind in "qkv"),
            "out": (f"{path}.self_attn.out_proj",),
            "fc1": (f"{path}.mlp.fc1",),
            "fc2": (f"{path}.mlp.fc2",),
        }
        for block, names in linear.items():
            matrices[f"{layer}.{block}"] = tuple(f"{name}.weight" for name in names)
            vectors[f"{layer}.{block}"] = tuple(f"{name}.bias" for name in names)
        for number in (1, 2):
            for kind in ("weight", "bias"):
                name = f"{path}.layer_norm{number}.{kind}"
                vectors[f"{layer}.norm{number}.{kind}"] = (name,)
    for kind in ("weight", "bias"):
        vectors[f"norm.{kind}"] = (f"{_VISION}.post_layernorm.{kind}",)
    matrices["connector"] = ("model.connector.modality_projection.proj.weight",)
    return matrices, vectors


def _text_blocks(layers: int) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    matrices: dict[str, tuple[str, ...]] = {"embeddings": (EMBEDDINGS,)}
    vectors: dict[str, tuple[str, ...]] = {}
    for layer in range(layers):
        path = f"{_TEXT}.layers.{layer}"
        matrices[f"{layer}.qkv"] = tuple(f"{path}.self_attn.{k}_proj.weight" for k in "qkv")
        matrices[f"{layer}.out"] = (f"{path}.self_attn.o_proj.weight",)
        matrices[f"{layer}.gate_up"] = tuple(f"{path}.mlp.{k}_proj.weight" for k in ("gate", "up"))
        matrices[f"{layer}.down"] = (f"{path}.mlp.down_proj.weight",)
        vectors[f"{layer}.norm1"] = (f"{path}.input_layernorm.weight",)
        vectors[f"{layer}.norm2"] = (f"{path}.post_attention_layernorm.weight",)
    vectors["norm"] = (f"{_TEXT}.norm.weight",)
    return matrices, vectors
