"""Soft targets and loss weights: neighbours of a number or a plan share its probability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.table import common_kinds, get_answer_schema
from atari_vlm.models.embedded.grammar import Grammar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

TARGET_STD = {"x": 1.2, "y": 1.2, "across": 0.6, "along": 0.6}
"""Kind -> standard deviation of the soft target around the true word, in words."""
PLAN_STD = 0.5
"""Standard deviation of the soft target around a plan along the game's axis, in frames."""


def loss_weights(grammar: Grammar, weights: Mapping[str, float]) -> NDArray[np.float32]:
    """Weight of each position, (sentences, longest sentence); 0 after the end of a sentence."""
    width = max(len(sentence) for sentence in grammar.sentences)
    table = np.zeros((len(grammar.sentences), width), np.float32)
    for row, sentence in zip(table, grammar.sentences, strict=True):
        row[: len(sentence)] = [weights.get(slot.name, 1.0) for slot in sentence]
    return table


def plan_smoothing(game: str) -> NDArray[np.float64]:
    """(plans, plans): the share of each plan's probability that each plan receives."""
    schema = get_answer_schema(game)
    every = plans(schema)
    smoothing = np.eye(len(every))
    if schema.axis is None:
        return smoothing
    sign = {schema.axis[0]: -1, schema.axis[1]: 1, "NOOP": 0}
    on_axis = [i for i, (action, _) in enumerate(every) if action in sign]
    frames = np.array([sign[every[i].action] * every[i].frames for i in on_axis])
    near = np.exp(-((frames[:, None] - frames[None]) ** 2) / (2 * PLAN_STD**2))
    smoothing[np.ix_(on_axis, on_axis)] = near / near.sum(1, keepdims=True)
    return smoothing


def soft_targets(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """(vocabulary, vocabulary): the soft target of every token; numbers have neighbours."""
    import torch

    targets = torch.eye(len(tokenizer))
    by_kind = common_kinds()
    for kind, std in TARGET_STD.items():
        ids = torch.tensor([tokenizer.encode(word)[0] for word in by_kind[kind]])
        steps = torch.arange(len(ids), dtype=torch.float32)
        near = torch.exp(-((steps[:, None] - steps[None]) ** 2) / (2 * std**2))
        targets[ids[:, None], ids[None]] = near / near.sum(1, keepdim=True)
    return targets
