"""The decoder of the student in training: many prompts and answers, packed without padding.

Logits are those of transformers' own forward. Four things make it cheaper: answers of different
length and requests of different games are rows of the same products; the tokens before an image,
equal in all prompts, are computed once, and those of an image once for all its requests; the last
layer computes only what is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from atari_vlm.learning.distill.architecture import IMAGE_TOKENS


class Request(NamedTuple):
    """A request, and its answers to some images."""

    prompt: torch.Tensor
    """Tokens of the whole prompt, (prompt,)."""
    images: torch.Tensor
    """Numbers of the images, (answers,)."""
    tokens: torch.Tensor
    """Tokens of the answers, (answers, tokens); may have no columns."""
    lengths: torch.Tensor
    """Number of tokens of each answer that are read, (answers,)."""


def answer_logits(
    model: Any, features: torch.Tensor, requests: Sequence[Request], image_id: int
) -> torch.Tensor:
    """Logits after the prompt and after every token of an answer that is read.

    Args:
        model: an Idefics3ForConditionalGeneration.
        features: of images, (images, image tokens, hidden).
        requests: of any of the images, in any order. Their prompts are equal up to the image and
            the token behind it.
        image_id: the image token.

    Returns:
        (predictions, vocabulary), answer by answer.
    """
    text = model.model.text_model
    prompt = requests[0].prompt
    start = int((prompt == image_id).nonzero()[0])
    packing = _pack(requests, start + IMAGE_TOKENS + 1, len(features))
    embed = text.embed_tokens
    behind = embed(prompt[start + IMAGE_TOKENS]).expand(len(features), 1, -1)
    x = torch.cat(
        [
            embed(prompt[:start]),
            torch.cat([features, behind], 1).flatten(0, 1),
            embed(packing.tokens),
        ]
    )
    cos, sin = (each[0] for each in text.rotary_emb(x, packing.positions[None]))
    attention = _Attention(text.config, packing, cos[:, None], sin[:, None])
    for layer in text.layers[:-1]:
        x = x + attention.all(layer.self_attn, layer.input_layernorm(x))
        x = x + _mlp(layer.mlp, layer.post_attention_layernorm(x))
    last = text.layers[-1]
    seen = attention.wanted(last.self_attn, last.input_layernorm(x))
    x = x[packing.wanted] + seen
    x = x + _mlp(last.mlp, last.post_attention_layernorm(x))
    return model.lm_head(text.norm(x))


def _mlp(mlp: Any, x: torch.Tensor) -> torch.Tensor:
    both = functional.linear(x, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]))
    gate, up = both.chunk(2, -1)
    return mlp.down_proj(functional.silu(gate) * up)


@dataclass(frozen=True, slots=True)
class _Packing:
    """Where the packed tokens are: those before an image, of every image, and of every request."""

    start: int
    """Tokens before an image."""
    block: int
    """Tokens of an image, with the one behind it."""
    images: torch.Tensor
    """Image of each answer, (answers,)."""
    tokens: torch.Tensor
    """Packed tokens of requests and answers."""
    positions: torch.Tensor
    """Positions of all packed tokens."""
    places: torch.Tensor
    """Their places in the padded (answers * longest)."""
    padded: torch.Tensor
    """Packed place of every padded one, (answers, longest), counted from the first request; that
    of some token where there is none, which no token before it sees."""
    wanted: torch.Tensor
    """Packed places, of all tokens, after which logits are wanted."""
    queries: torch.Tensor
    """Places of the wanted tokens in a padded (answers * most wanted)."""
    padded_queries: torch.Tensor
    """Number of the wanted token at every padded place, (answers, most wanted)."""
    first: torch.Tensor
    """Place of the first wanted token in its request, (answers,)."""


def _pack(requests: Sequence[Request], prefix: int, count: int) -> _Packing:
    device = requests[0].prompt.device
    block = IMAGE_TOKENS + 1
    ends = [len(request.prompt) - prefix for request in requests]
    longest = max(
        end + request.tokens.shape[1] for end, request in zip(ends, requests, strict=True)
    )
    rows, firsts = [], []
    for end, request in zip(ends, requests, strict=True):
        answers, width = request.tokens.shape
        prompt = request.prompt[prefix:].expand(answers, -1)
        row = torch.cat([prompt, request.tokens], 1)
        rows.append(functional.pad(row, (0, longest - end - width)))
        firsts.append(torch.full((answers,), end - 1, device=device))
    tokens, first = torch.cat(rows), torch.cat(firsts)
    lengths = first + 1 + torch.cat([request.lengths for request in requests])
    column = torch.arange(longest, device=device)
    there = column < lengths[:, None]
    places = there.flatten().nonzero()[:, 0]
    wanted = (column >= first[:, None]) & there
    column_of = column.expand_as(there).flatten()[places]
    before = prefix - block + count * block
    asked = wanted.sum(1)
    query = torch.arange(int(asked.max()), device=device) < asked[:, None]
    return _Packing(
        start=prefix - block,
        block=block,
        images=torch.cat([request.images for request in requests]),
        tokens=tokens.flatten()[places],
        positions=torch.cat(
            [
                torch.arange(prefix - block, device=device),
                torch.arange(prefix - block, prefix, device=device).repeat(count),
                prefix + column_of,
            ]
        ),
        places=places,
        padded=_inverse(there),
        wanted=before + wanted.flatten()[places].nonzero()[:, 0],
        queries=query.flatten().nonzero()[:, 0],
        padded_queries=_inverse(query),
        first=first,
    )


def _inverse(there: torch.Tensor) -> torch.Tensor:
    """The number of each place that is there, (rows, columns); 0 or more for the others."""
    return (there.flatten().cumsum(0) - 1).clamp_(min=0).view_as(there)


class _Attention:
    """Attention over packed tokens; the linear products take them all at once."""

    def __init__(
        self, config: Any, packing: _Packing, cos: torch.Tensor, sin: torch.Tensor
    ) -> None:
        self.packing, self.cos, self.sin = packing, cos, sin
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads
        self.size = config.head_dim
        before, device = packing.start + packing.block, cos.device
        longest, asked = packing.padded.shape[1], packing.padded_queries.shape[1]
        keys = torch.arange(before + longest, device=device)
        self.image_mask = keys[:before] <= keys[packing.start : before, None]
        self.mask = keys <= keys[before:, None]
        row = before + packing.first[:, None] + torch.arange(asked, device=device)
        self.wanted_mask = (keys <= row[..., None])[:, None]

    def all(self, module: Any, x: torch.Tensor) -> torch.Tensor:
        """What every token sees, (tokens, hidden)."""
        p, heads = self.packing, self.heads + self.groups
        parts = (module.q_proj, module.k_proj, module.v_proj)
        mixed = functional.linear(x, torch.cat([part.weight for part in parts]))
        mixed = mixed.view(len(x), heads + self.groups, self.size)
        turned = _turn(mixed[:, :heads], self.cos, self.sin)
        query, key = turned.split([self.heads, self.groups], 1)
        keys, values = self._seen(key), self._seen(mixed[:, heads:])
        first, image, answer = query.split(self._sizes(query))
        image = image.unflatten(0, (-1, p.block))
        everything = [
            self._attend(first[None], keys.first, values.first, self._causal(p.start))[0],
            self._attend(image, keys.images, values.images, self.image_mask).flatten(0, 1),
            self._attend(answer[p.padded], keys.answers, values.answers, self.mask).flatten(0, 1)[
                p.places
            ],
        ]
        return module.o_proj(torch.cat(everything))

    def wanted(self, module: Any, x: torch.Tensor) -> torch.Tensor:
        """What the tokens see after which logits are wanted, (predictions, hidden)."""
        p = self.packing
        both = functional.linear(x, torch.cat([module.k_proj.weight, module.v_proj.weight]))
        key, value = both.view(len(x), 2 * self.groups, self.size).split(self.groups, 1)
        keys, values = self._seen(_turn(key, self.cos, self.sin)), self._seen(value)
        query = module.q_proj(x[p.wanted]).view(-1, self.heads, self.size)
        query = _turn(query, self.cos[p.wanted], self.sin[p.wanted])
        padded = query[p.padded_queries]
        seen = self._attend(padded, keys.answers, values.answers, self.wanted_mask)
        return module.o_proj(seen.flatten(0, 1)[p.queries])

    def _sizes(self, packed: torch.Tensor) -> list[int]:
        start, answers = self.packing.start, len(self.packing.places)
        return [start, len(packed) - start - answers, answers]

    def _seen(self, packed: torch.Tensor) -> _Seen:
        """The keys, or values, of packed tokens as the tokens of each part see them."""
        first, image, answer = packed.split(self._sizes(packed))
        image = image.unflatten(0, (-1, self.packing.block))
        images = torch.cat([first.expand(len(image), -1, -1, -1), image], 1)
        answers = torch.cat([images[self.packing.images], answer[self.packing.padded]], 1)
        return _Seen(first[None], images, answers)

    def _causal(self, length: int) -> torch.Tensor:
        return torch.ones(length, length, dtype=torch.bool, device=self.cos.device).tril()

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(rows, queries, heads, size) -> (rows, queries, hidden).

        The heads that share a key are so many queries of it, so that keys are not repeated.
        """
        rows, length, heads, size = query.shape
        shared = heads // self.groups
        query = query.unflatten(2, (self.groups, shared)).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mask = torch.cat([mask] * shared, -2)
        seen = _attention(query, key.transpose(1, 2), value.transpose(1, 2), mask)
        seen = seen.unflatten(2, (shared, length)).permute(0, 3, 1, 2, 4)
        return seen.reshape(rows, length, heads * size)


class _Seen(NamedTuple):
    """Keys or values, (rows, tokens, heads, size)."""

    first: torch.Tensor
    """Before an image; one row."""
    images: torch.Tensor
    """Up to the end of each image."""
    answers: torch.Tensor
    """Up to the end of each answer."""


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions, as in Llama."""
    one, two = x.chunk(2, -1)
    half = one.shape[-1]
    c, s = cos[..., :half], sin[..., :half]
    return torch.cat([one * c - two * s, two * c + one * s], -1)


def _attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    if torch.is_autocast_enabled("cpu") and query.device.type == "cpu":
        # torch 2.13: the backward pass of its own takes ten times as long in bf16.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ value
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
