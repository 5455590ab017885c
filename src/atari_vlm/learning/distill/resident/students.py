"""Students that train as one: their weights, and the labels and the loss of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from atari_vlm.learning.distill.architecture import (
    IMAGE_TOKENS,
    Architecture,
    build_model,
    initialize_from,
)
from atari_vlm.learning.distill.distillation_loss import NEIGHBOUR_PROBABILITY
from atari_vlm.learning.distill.resident.stacked_loss import Batch, StackedLoss, Weights
from atari_vlm.learning.distill.resident.step_rows import StepRows
from atari_vlm.learning.distill.resident.store import RowStore
from atari_vlm.learning.distill.resident.tables import QUANTILES, Tables
from atari_vlm.learning.distill.resident.weights import EMBEDDINGS, flat_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HEADS = ("heads", "head_biases")
"""The weights of the linear heads, which are no part of a final model."""
VISION = ("vision", "positions", "vision_vectors", *HEADS)
"""The weights that the loss of the heads trains."""

_BYTES_OF_ROW = 14 * 2**20
"""Bytes of a row of a step in bf16: autograd saves 3.9 MiB of it (with 256 patches), in the memory
of the graphs, and at times again in that of a compilation; the rest is what passes."""
_COPIES = 10
"""Of every weight in fp32: gradients, moments, averages, and those of graphs and compilation."""
_BASIC_BYTES = 3 * 2**29
"""Of the device's own libraries."""


class Students:
    """The weights of several students, and what a step computes with them.

    All have one architecture and one vocabulary, so that their weights stand side by side.

    Args:
        groups: the games of each student.
        tokenizer: of all games.
        architecture: of the vision encoders.
        batch: rows of each student in a step.
        device: where they train.
        dtype: of matrix products; weights, residuals and losses are fp32.
        seed: of the first weights; every student has others.
        bases: checkpoint that each student begins with, or None for random weights.

    Raises:
        InvalidSetting: the games of a student do not divide the batch.
        ModelUnusable: a checkpoint cannot be read, or has another architecture.
    """

    def __init__(
        self,
        groups: tuple[tuple[str, ...], ...],
        tokenizer: PreTrainedTokenizerFast,
        architecture: Architecture,
        batch: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        bases: Sequence[Path | None] | None = None,
    ) -> None:
        self.groups, self.tokenizer, self.architecture = groups, tokenizer, architecture
        self.games = tuple(game for games in groups for game in games)
        self.device, self.dtype, self.batch = device, dtype, batch
        self.rows = StepRows(groups, batch, device)
        self.tables = Tables(self.games, tokenizer, device)
        models = [
            build_model(tokenizer, seed=seed + number, architecture=architecture)
            for number in range(len(groups))
        ]
        for model, base in zip(models, bases or (), strict=False):
            if base is not None:
                initialize_from(model, tokenizer, base)
        self._template = models[0]
        self.flat = flat_weights(self._template)
        self.weights: dict[str, torch.Tensor] = {}
        """The weights in training; see `stacked_loss.Weights`."""
        states = [dict(model.named_parameters()) for model in models]
        for name, flat in self.flat.items():
            stacked = torch.stack([flat.flatten(state) for state in states])
            self.weights[name] = stacked.to(device)
        self._add_heads(seed)
        self.averages = {name: self.weights[name].clone() for name in self.flat}
        """The averaged weights of the students, without heads."""
        self.loss = StackedLoss(
            self._template.config, architecture, self.flat, self.tables, self.rows, dtype
        )
        """The loss of a step."""

    def _add_heads(self, seed: int) -> None:
        games, columns, _ = self.tables.segments.shape
        inputs = IMAGE_TOKENS * self._template.config.text_config.hidden_size
        generator = torch.Generator().manual_seed(seed)
        heads = torch.randn(games, columns, inputs, generator=generator) * 0.3 * inputs**-0.5
        self.weights["heads"] = heads.to(self.device)
        self.weights["head_biases"] = torch.zeros(games, columns, device=self.device)

    @property
    def draws(self) -> int:
        """Random numbers that the labels of a step take."""
        answers = len(self.rows.see.rows) * self.tables.longest_answer
        return len(self.rows.games) + len(self.rows.look.rows) + answers

    @property
    def training_bytes(self) -> int:
        """Bytes that training takes beside the rows: an estimate, rather too large."""
        size = int(self.dtype.itemsize)
        rows = len(self.rows.games) * _BYTES_OF_ROW * size // 2
        weights = sum(int(weight.numel()) for weight in self.weights.values())
        return rows + 4 * _COPIES * weights + _BASIC_BYTES

    def labels(self, store: RowStore, draws: torch.Tensor) -> Batch:
        """Everything of a step but the weights: rows by chance, and what they are asked.

        Args:
            store: the rows.
            draws: uniform random numbers from 0 to below 1, float64 (`draws`,).
        """
        sizes = [len(self.rows.games), len(self.rows.look.rows)]
        rows, names, tokens = torch.split(draws, [*sizes, len(draws) - sum(sizes)])
        return self.labels_of(store, store.draw(self.rows.games, rows), names, tokens)

    def labels_of(
        self, store: RowStore, rows: torch.Tensor, names: torch.Tensor, tokens: torch.Tensor
    ) -> Batch:
        """The labels of these rows of a store.

        Args:
            store: the rows.
            rows: of each student and game, as many as `StepRows` says.
            names: from 0 to below 1: the object that each row of `look` is asked for.
            tokens: from 0 to below 1: NEIGHBOUR_PROBABILITY and above keeps a token of the answers
                as an input; below, it says which neighbour takes its place.
        """
        tables, step = self.tables, self.rows
        games = step.games
        answers = store.answers[rows].long()[:, : tables.longest_answer]
        sentences = store.sentence[rows].long()
        plans = torch.zeros(len(rows), tables.vocabulary + 1, device=self.device)
        plans.scatter_(1, tables.plan_tokens[games], store.plans[rows])
        plans = plans[:, :-1].contiguous()

        see = step.see.rows
        said = answers[see]
        known = said.clamp(min=0)
        choice = (tokens / NEIGHBOUR_PROBABILITY * QUANTILES).long().clamp(max=QUANTILES - 1)
        other = tables.neighbours[known, choice.view_as(known)]
        replaced = (tokens < NEIGHBOUR_PROBABILITY).view_as(known)
        inputs = torch.where(replaced, other, known)[:, :-1]

        look = step.look.rows
        game = games[look]
        number = (names * tables.objects[game]).long()
        clauses = store.looks[rows[look], number].long()
        ids = self._padded(
            torch.cat([tables.see[games[see]], inputs], 1),
            tables.act[games[step.act.rows]],
            torch.cat([tables.look[game, number], clauses.clamp(min=0)[:, :-1]], 1),
        )
        pixels = store.pixels(rows, self.dtype)
        return {
            "pixels": pixels.view(len(self.groups), -1, pixels.shape[-1]),
            "targets": self._head_targets(games, answers, sentences, plans),
            "ids": ids,
            "plans": plans,
            "see_tokens": known,
            "is_plan": tables.is_plan[known] & (said >= 0),
            "loss_weights": tables.loss_weights[games[see], sentences[see]],
            "clauses": clauses,
        }

    def _padded(self, *parts: torch.Tensor) -> torch.Tensor:
        """Tokens of all requests, (students, requests, longest)."""
        longest = max(part.shape[1] for part in parts)
        padded = [
            torch.nn.functional.pad(part, (0, longest - part.shape[1])).view(
                len(self.groups), -1, longest
            )
            for part in parts
        ]
        return torch.cat(padded, 1)

    def _head_targets(
        self,
        games: torch.Tensor,
        answers: torch.Tensor,
        sentences: torch.Tensor,
        plans: torch.Tensor,
    ) -> torch.Tensor:
        """Soft target of every column of the heads, (rows, columns); 0 for what is not stated."""
        tables = self.tables
        positions = tables.field_position[games, sentences]
        stated = torch.gather(answers, 1, positions.clamp(min=0))
        present = (positions >= 0) & (stated >= 0)
        field, token = tables.column_field[games], tables.column_token[games]
        known = token < tables.vocabulary
        token = token.clamp(max=tables.vocabulary - 1)
        asked = torch.gather(stated.clamp(min=0), 1, field)
        soft = torch.where(
            tables.column_is_plan[games], torch.gather(plans, 1, token), tables.soft[asked, token]
        )
        return soft * (torch.gather(present, 1, field) & known)

    def state_dict_of(self, group: int, averaged: bool = True) -> dict[str, torch.Tensor]:
        """The weights that transformers writes of one student, copied to the CPU.

        Args:
            group: number of the student.
            averaged: those of the final model; False for the weights in training.
        """
        source: Weights = self.averages if averaged else self.weights
        state: dict[str, torch.Tensor] = {}
        for name, flat in self.flat.items():
            copy = source[name][group].detach().to("cpu", copy=True)
            state |= {key: part.clone() for key, part in flat.unflatten(copy).items()}
        return state

    def model_of(self, state: Mapping[str, torch.Tensor]) -> Any:
        """An Idefics3ForConditionalGeneration with the weights of `state_dict_of`."""
        model = build_model(self.tokenizer, seed=0, architecture=self.architecture)
        model.load_state_dict({**state, "lm_head.weight": state[EMBEDDINGS]})
        return model.eval()
