"""The vision encoder of the student in training: the features of transformers' own forward, sooner.

The weights are those of the model. Query, key and value are one product, pixels are scaled inside
the weights of the patches, and attention in bf16 on the CPU goes picture by picture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_PICTURES = 4
"""Pictures whose attention is computed together; their 2 MB stay in the cache of a core."""


def image_features(model: Any, images: torch.Tensor) -> torch.Tensor:
    """Features of images, (batch, image tokens, hidden).

    Args:
        model: an Idefics3ForConditionalGeneration.
        images: (batch, 3, side, side) uint8.
    """
    vision = model.model.vision_model
    size, heads = vision.config.hidden_size, vision.config.num_attention_heads
    x = _patches(vision.embeddings, images)
    batch, patches, _ = x.shape
    for layer in vision.encoder.layers:
        attention = layer.self_attn
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts])
        mixed = functional.linear(layer.layer_norm1(x), weight, bias)
        split = mixed.view(batch, patches, 3 * heads, size // heads).split(heads, 2)
        query, key, value = (part.transpose(1, 2) for part in split)
        seen = _attention(query, key, value).transpose(1, 2).reshape(batch, patches, size)
        x = x + attention.out_proj(seen)
        x = x + layer.mlp(layer.layer_norm2(x))
    return model.model.connector(vision.post_layernorm(x))


def _patches(embeddings: Any, images: torch.Tensor) -> torch.Tensor:
    """Embedded patches with their positions, (batch, patches, hidden)."""
    patch = embeddings.patch_embedding
    # Pixels are from -1 to 1: w (p / 127.5 - 1) + b = (w / 127.5) p + (b - the sum of w).
    bias = patch.bias - patch.weight.sum((1, 2, 3))
    x = functional.conv2d(images.float(), patch.weight / 127.5, bias, patch.stride)
    return x.flatten(2).transpose(1, 2) + embeddings.position_embedding.weight


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        return _PictureAttention.apply(query, key, value)
    return functional.scaled_dot_product_attention(query, key, value)


class _PictureAttention(torch.autograd.Function):  # type: ignore[misc]
    """Attention that keeps the probabilities for the backward pass.

    On the CPU, torch 2.13 takes ten times as long for the backward pass of its own in bf16.
    """

    @staticmethod
    def forward(
        context: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        batch, heads, length, size = query.shape
        scaled = (query * size**-0.5).contiguous()
        key, value = key.contiguous(), value.contiguous()
        seen = torch.empty_like(value)
        shares = value.new_empty(batch, heads, length, length)
        for some in _chunks(batch):
            share = shares[some].flatten(0, 1)
            torch.bmm(_flat(scaled, some), _flat(key, some).transpose(1, 2), out=share)
            torch.softmax(share, -1, out=share)
            torch.bmm(share, _flat(value, some), out=_flat(seen, some))
        context.save_for_backward(scaled, key, value, seen, shares)
        return seen

    @staticmethod
    def backward(
        context: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scaled, key, value, seen, shares = context.saved_tensors
        of_query, of_key, of_value = (torch.empty_like(each) for each in (scaled, key, value))
        # One column more takes the mean out of the product, as the backward of softmax does.
        means = (gradient.float() * seen).sum(-1, keepdim=True).to(gradient.dtype)
        with_means = torch.cat([gradient, means], -1)
        with_ones = torch.cat([value, torch.full_like(means, -1)], -1)
        gradient = gradient.contiguous()
        for some in _chunks(len(shares)):
            share = shares[some].flatten(0, 1)
            torch.bmm(share.transpose(1, 2), _flat(gradient, some), out=_flat(of_value, some))
            change = torch.bmm(_flat(with_means, some), _flat(with_ones, some).transpose(1, 2))
            change.mul_(share)
            torch.bmm(change, _flat(key, some), out=_flat(of_query, some))
            torch.bmm(change.transpose(1, 2), _flat(scaled, some), out=_flat(of_key, some))
        return of_query * scaled.shape[-1] ** -0.5, of_key, of_value


def _chunks(batch: int) -> list[slice]:
    return [slice(start, start + _PICTURES) for start in range(0, batch, _PICTURES)]


def _flat(values: torch.Tensor, some: slice) -> torch.Tensor:
    return values[some].flatten(0, 1)
