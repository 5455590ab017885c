"""Logits processors: each changes the logits of the next token before the largest is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from atari_vlm.models.embedded.answers import TokenSampler

LogitsProcessor: TypeAlias = Callable[[Sequence[int], Any], Any]
"""(token ids of the answer so far, logits of the next token) -> new logits, (vocabulary,)."""


def force_token(sample_token: TokenSampler) -> LogitsProcessor:
    """Leave only the token that `sample_token` returns."""

    def process(token_ids: Sequence[int], logits: Any) -> Any:
        token = sample_token(token_ids, logits.float().cpu().numpy().astype(np.float32))
        forced = logits.new_full(logits.shape, float("-inf"))
        forced[token] = 0.0
        return forced

    return process


def sample(temperature: float, seed: int) -> LogitsProcessor:
    """Make the largest logit a draw from the softmax, by adding Gumbel noise.

    The noise comes from a generator of its own, so the draw does not depend on other threads or on
    other answers of the batch.

    Args:
        temperature: above 0.
        seed: equal seeds give equal answers.
    """
    import torch

    generator = torch.Generator().manual_seed(seed % 2**63)

    def process(token_ids: Sequence[int], logits: Any) -> Any:
        noise = torch.empty(logits.shape).exponential_(generator=generator).log()
        return logits.float() / temperature - noise.to(logits.device)

    return process
