"""The loss of several students at once, equal to `DistillationLoss` of each.

A function of tensors alone, which `torch.compile` takes whole: it reads nothing back from the
device, and no shape depends on a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from atari_vlm.learning.distill.architecture import IMAGE_SIZE, IMAGE_TOKENS, Architecture
from atari_vlm.learning.distill.distillation_loss import HEADS_WEIGHT, LOOK_WEIGHT
from atari_vlm.learning.distill.resident.step_rows import StepRows
from atari_vlm.learning.distill.resident.tables import Tables
from atari_vlm.learning.distill.resident.weights import FlatWeights

Weights: TypeAlias = Mapping[str, torch.Tensor]
"""Name of a flat tensor -> (students, numbers); "heads" and "head_biases": (games, ...)."""
Batch: TypeAlias = Mapping[str, torch.Tensor]
"""What `Students.labels` makes of the rows of a step."""
_Blocks: TypeAlias = dict[str, torch.Tensor]

PARTS = ("heads", "see", "act", "look")
"""The parts of the loss, in their order."""


class StackedLoss:
    """The loss of a step.

    Args:
        config: of the students, an Idefics3Config.
        architecture: of their vision encoders.
        flat: their flat weights.
        tables: of their games.
        rows: of a step.
        dtype: of matrix products; residuals and losses are fp32.
    """

    def __init__(
        self,
        config: Any,
        architecture: Architecture,
        flat: Mapping[str, FlatWeights],
        tables: Tables,
        rows: StepRows,
        dtype: torch.dtype,
    ) -> None:
        self.vision, self.text = config.vision_config, config.text_config
        self.architecture, self.flat, self.dtype = architecture, flat, dtype
        self.tables, self.rows = tables, rows
        half = self.text.head_dim // 2
        theta = float(self.text.rope_parameters["rope_theta"])
        speeds = theta ** -(torch.arange(half, dtype=torch.float32) / half)
        longest = tables.see.shape[1] + IMAGE_TOKENS + tables.longest_answer - 1
        angles = torch.arange(longest, dtype=torch.float32)[:, None] * torch.cat([speeds, speeds])
        device = tables.soft.device
        self.cos, self.sin = angles.cos().to(device), angles.sin().to(device)

    def __call__(
        self, weights: Weights, batch: Batch, vision_only: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the students' losses, and their PARTS, (4, students).

        Args:
            weights: all of them, also with `vision_only`.
            batch: of `Students.labels`.
            vision_only: the loss is that of the heads alone, which trains the vision encoders.
        """
        features = self.features(weights, batch["pixels"])
        heads = self._heads(weights, features, batch["targets"])
        if vision_only:
            nothing = torch.zeros_like(heads)
            return heads.sum(), torch.stack([heads, nothing, nothing, nothing])
        see, act, look = self._answers(weights, features, batch)
        total = HEADS_WEIGHT * heads + see + act + LOOK_WEIGHT * look
        return total.sum(), torch.stack([heads, see, act, look])

    def _matrices(self, weights: Weights, name: str) -> _Blocks:
        return self.flat[name].split(weights[name].to(self.dtype))

    def _linear(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(students, rows, inputs) -> (students, rows, outputs)."""
        x = x.to(self.dtype)
        if bias is None:
            return torch.bmm(x, weight.transpose(1, 2))
        return torch.baddbmm(bias.to(self.dtype), x, weight.transpose(1, 2))

    def features(self, weights: Weights, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures -> features, (students, batch * image tokens, hidden).

        Args:
            weights: the flat tensors.
            pixels: (students, batch * patches, 3 * patch_size ** 2).
        """
        m = self._matrices(weights, "vision")
        v = self.flat["vision_vectors"].split(weights["vision_vectors"])
        positions = self.flat["positions"].split(weights["positions"])["positions"]
        students, batch, patches = len(pixels), self.rows.batch, self.architecture.patches
        hidden, heads = self.vision.hidden_size, self.vision.num_attention_heads

        def norm(x: torch.Tensor, block: str) -> torch.Tensor:
            plain = functional.layer_norm(x, (hidden,), eps=self.vision.layer_norm_eps)
            return plain * v[f"{block}.weight"] + v[f"{block}.bias"]

        x = self._linear(pixels, m["patch"], v["patch"]).view(students, batch, patches, hidden)
        x = (x + positions[:, None]).view(students, batch * patches, hidden)
        for layer in range(self.vision.num_hidden_layers):
            qkv, out, fc1, fc2 = (f"{layer}.{kind}" for kind in ("qkv", "out", "fc1", "fc2"))
            mixed = self._linear(norm(x, f"{layer}.norm1"), m[qkv], v[qkv])
            mixed = mixed.view(students * batch, patches, 3, heads, hidden // heads)
            query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
            seen = functional.scaled_dot_product_attention(query, key, value)
            seen = seen.transpose(1, 2).reshape(students, batch * patches, hidden)
            x = x + self._linear(seen, m[out], v[out])
            inner = self._linear(norm(x, f"{layer}.norm2"), m[fc1], v[fc1])
            inner = functional.gelu(inner, approximate="tanh")
            x = x + self._linear(inner, m[fc2], v[fc2])
        x = norm(x, "norm").to(self.dtype)
        scale = self.architecture.scale_factor
        side = IMAGE_SIZE // self.architecture.patch_size // scale
        x = x.view(students * batch, side, scale, side, scale * hidden).transpose(2, 3)
        x = x.reshape(students, batch * side * side, scale * scale * hidden)
        return self._linear(x, m["connector"])

    def _heads(
        self, weights: Weights, features: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """(students,): cross-entropy of all fields of a row; mean over the rows of a game."""
        tables, rows = self.tables, self.rows
        flat = features.reshape(len(targets), -1)
        heads, biases = weights["heads"].to(self.dtype), weights["head_biases"]
        losses = []
        for games, places, size in rows.blocks:
            count = games.stop - games.start
            x = flat[places].view(count, size, -1)
            logits = torch.bmm(x, heads[games].transpose(1, 2)).float() + biases[games, None]
            segments = tables.segments[games]
            index = tables.column_field[games, None].expand(-1, size, -1)
            largest = _largest(logits.detach(), segments)
            shifted = logits - largest.gather(-1, index)
            padding = (tables.column_token[games] == tables.vocabulary)[:, None]
            powers = shifted.masked_fill(padding, -torch.inf).exp()
            # A field that the game lacks has no columns; its sum is 1 and its logarithm nothing.
            sums = torch.bmm(powers, segments) + (segments.sum(1) == 0)[:, None]
            target = targets[places].view(count, size, -1)
            mass = torch.bmm(target, segments)
            each = (mass * sums.log()).sum(-1) - (target * shifted).sum(-1)
            losses.append(each.mean(-1))
        by_game = torch.cat(losses) * rows.shares
        return torch.zeros_like(features[:, 0, 0], dtype=torch.float32).index_add(
            0, rows.students, by_game
        )

    def _answers(
        self, weights: Weights, features: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(students,) each: losses of whole answers, of plans alone and of objects."""
        tables, rows = self.tables, self.rows
        m = self._matrices(weights, "text")
        hidden = self._hidden(weights, m, features, batch["ids"])
        ends = rows.see.count, rows.see.count + rows.act.count

        def log_probabilities(part: torch.Tensor, prompt: torch.Tensor, words: int) -> torch.Tensor:
            """Of the words that follow a prompt, (students * rows, words, vocabulary)."""
            start = prompt.shape[-1] + IMAGE_TOKENS - 1
            part = part[:, :, start : start + words]
            flat = part.reshape(len(features), -1, part.shape[-1])
            logits = torch.bmm(flat, m["embeddings"].transpose(1, 2)).float()
            return torch.log_softmax(logits, -1).view(-1, words, tables.vocabulary)

        words = log_probabilities(hidden[:, : ends[0]], tables.see, tables.longest_answer)
        tokens = batch["see_tokens"]
        soft = tables.soft[tokens]
        plans = batch["plans"].index_select(0, rows.see.rows)[:, None]
        target = torch.where(batch["is_plan"][..., None], plans, soft)
        each = (-(target * words).sum(-1) * batch["loss_weights"]).sum(-1)
        see = (each.view_as(rows.see.weights) * rows.see.weights).sum(-1)

        words = log_probabilities(hidden[:, ends[0] : ends[1]], tables.act, 1)[:, 0]
        each = -(batch["plans"].index_select(0, rows.act.rows) * words).sum(-1)
        act = (each.view_as(rows.act.weights) * rows.act.weights).sum(-1)

        words = log_probabilities(hidden[:, ends[1] :], tables.look, tables.longest_clause)
        clauses = batch["clauses"]
        each = -(tables.soft[clauses.clamp(min=0)] * words).sum(-1)
        each = (each * (clauses >= 0)).sum(-1)
        look = (each.view_as(rows.look.weights) * rows.look.weights).sum(-1)
        return see, act, look

    def _hidden(
        self, weights: Weights, m: _Blocks, features: torch.Tensor, ids: torch.Tensor
    ) -> torch.Tensor:
        """Last hidden states, (students, requests, tokens with the image, hidden)."""
        v = self.flat["text_vectors"].split(weights["text_vectors"])
        students, requests, _ = ids.shape
        width, eps = self.text.hidden_size, self.text.rms_norm_eps
        heads, groups = self.text.num_attention_heads, self.text.num_key_value_heads
        size = self.text.head_dim

        def norm(x: torch.Tensor, block: str) -> torch.Tensor:
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * v[block]

        # A product instead of a look-up: its backward pass adds without atomics.
        vocabulary = torch.arange(self.tables.vocabulary, device=ids.device)
        one_hot = (ids.view(students, -1, 1) == vocabulary).to(self.dtype)
        words = torch.bmm(one_hot, m["embeddings"]).view(students, requests, -1, width)
        pictures = features.view(-1, IMAGE_TOKENS, width).index_select(0, self.rows.asked)
        pictures = pictures.view(students, requests, IMAGE_TOKENS, width)
        start = self.tables.image_start
        x = torch.cat([words[:, :, :start], pictures, words[:, :, start:]], 2).float()
        length = x.shape[2]
        x = x.view(students, requests * length, width)
        cos, sin = self.cos[:length], self.sin[:length]

        def turned(z: torch.Tensor) -> torch.Tensor:
            z = z.float()
            other = torch.cat([-z[..., size // 2 :], z[..., : size // 2]], -1)
            return (z * cos + other * sin).to(self.dtype)

        def shared(z: torch.Tensor) -> torch.Tensor:
            """Each key and value, for all the queries that share it."""
            z = z[:, :, None].expand(-1, -1, heads // groups, -1, -1)
            return z.reshape(students * requests, heads, length, size)

        for layer in range(self.text.num_hidden_layers):
            mixed = self._linear(norm(x, f"{layer}.norm1"), m[f"{layer}.qkv"])
            mixed = mixed.view(students * requests, length, -1, size).transpose(1, 2)
            query, key, value = mixed.split([heads, groups, groups], 1)
            read = functional.scaled_dot_product_attention(
                turned(query), shared(turned(key)), shared(value), is_causal=True
            )
            read = read.transpose(1, 2).reshape(students, requests * length, width)
            x = x + self._linear(read, m[f"{layer}.out"])
            inner = self._linear(norm(x, f"{layer}.norm2"), m[f"{layer}.gate_up"])
            gate, up = inner.chunk(2, -1)
            x = x + self._linear(functional.silu(gate) * up, m[f"{layer}.down"])
        return norm(x, "norm").to(self.dtype).view(students, requests, length, width)


def _largest(logits: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """The largest logit of each field, (games, rows, fields); 0 for a field without columns."""
    parts = []
    for field in range(segments.shape[-1]):
        outside = segments[:, None, :, field] == 0
        largest = logits.masked_fill(outside, -torch.inf).amax(-1)
        parts.append(largest.masked_fill(outside.all(-1), 0.0))
    return torch.stack(parts, -1)
