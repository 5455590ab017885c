"""The loss of the student: a module whose forward pass is the loss of some batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import IMAGE, IMAGE_TOKENS, prompt_text
from atari_vlm.learning.distill.data import Batch, Dataset
from atari_vlm.learning.distill.packed_decoder import Request, answer_logits
from atari_vlm.learning.distill.targets import soft_targets
from atari_vlm.learning.distill.vision_forward import image_features
from atari_vlm.prompts.embedded import ACT, LOOK, SEE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ACT_EVERY, LOOK_EVERY = 6, 8
"""One decision in six is asked for its plan, one in eight for one object."""
HEADS_WEIGHT, LOOK_WEIGHT = 0.3, 0.3
NEIGHBOUR_PROBABILITY = 0.1
"""Probability that an input token is replaced by a neighbour, as errors in play would do."""


class DistillationLoss(torch.nn.Module):  # type: ignore[misc]
    """Student and linear heads in one module: all parameters of the optimiser, on any device.

    Args:
        model: the student, an Idefics3ForConditionalGeneration.
        tokenizer: its tokenizer.
        data: game -> its decisions.
        bf16: multiply matrices in bf16; weights and losses stay in fp32.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerFast,
        data: Mapping[str, Dataset],
        *,
        bf16: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.data, self.bf16 = model, data, bf16
        self.heads = _build_heads(model, data)
        self.register_buffer("soft_targets", soft_targets(tokenizer), persistent=False)
        sums = self.soft_targets.cumsum(-1)
        self.register_buffer("soft_sums", sums, persistent=False)
        plans = torch.zeros(len(tokenizer), dtype=torch.bool)
        for decisions in data.values():
            plans[list(decisions.grammar.sentences[-1][0].tokens)] = True
        self.register_buffer("is_plan", plans, persistent=False)
        self.image_id = int(tokenizer.convert_tokens_to_ids(IMAGE))
        requests = [request.format(game=game) for game in data for request in (SEE, ACT)]
        for game in data:
            names = get_answer_schema(game).objects
            requests += [LOOK.format(game=game, thing=name) for name in names]
        self.prompts = {
            request: torch.tensor(tokenizer.encode(prompt_text(request))) for request in requests
        }
        """Request -> the tokens of its whole prompt."""

    def forward(self, batches: Sequence[tuple[Batch, str]], vision_only: bool) -> torch.Tensor:
        """Mean cross-entropy of the heads, of whole answers, of plans and of single objects.

        Args:
            batches: pairs of a batch of one game and the object to ask for.
            vision_only: return the loss of the heads alone, which trains the vision encoder.
        """
        device = self.soft_targets.device
        moved = [(batch.to(device), name) for batch, name in batches]
        # torch's autocast, because the precision of accelerate is one for the whole process.
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            features = image_features(self.model, torch.cat([batch.images for batch, _ in moved]))
            parts = features.split([len(batch.answers) for batch, _ in moved])
            heads = sum(
                self._heads_loss(batch, part) for (batch, _), part in zip(moved, parts, strict=True)
            ) / len(moved)
            if vision_only:
                return heads
            return HEADS_WEIGHT * heads + self._answers_loss(moved, features) / len(moved)

    def _heads_loss(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        flat = features.flatten(1)
        total = flat.new_zeros((), dtype=torch.float32)
        for name, ids, rows, target in head_targets(
            self.data[batch.game], batch, self.soft_targets
        ):
            head = self.heads[f"{batch.game}_{name}"]
            log_probabilities = torch.log_softmax(head(flat[rows]).float(), -1)
            total = total - (target[:, ids] * log_probabilities).sum() / len(flat)
        return total

    def _answers_loss(
        self, batches: Sequence[tuple[Batch, str]], features: torch.Tensor
    ) -> torch.Tensor:
        """Sum over the batches of the losses of answers, plans and single objects."""
        asked: list[_Asked] = []
        first = 0
        for batch, name in batches:
            count = len(batch.answers)
            images = torch.arange(first, first + count, device=features.device)
            asked += self._ask(batch, name, images)
            first += count
        requests = [each.request for each in asked]
        logits = answer_logits(self.model, features, requests, self.image_id)
        log_probabilities = torch.log_softmax(logits.float(), -1)
        targets = torch.cat([each.targets for each in asked])
        weights = torch.cat([each.weights for each in asked])
        return -((targets * log_probabilities).sum(-1) * weights).sum()

    def _ask(self, batch: Batch, name: str, images: torch.Tensor) -> Iterator[_Asked]:
        """Whole answers to most images, the plans of the first, an object of the last ones."""
        acts, looks = len(images) // ACT_EVERY, len(images) // LOOK_EVERY
        answers = batch.answers[acts:]
        inputs = self.with_errors(answers.clamp(min=0))
        weights = batch.loss_weights[acts:] / len(answers)
        asked = self._asked(SEE.format(game=batch.game), images[acts:], answers, inputs, weights)
        rows, columns = self.is_plan[answers[answers >= 0]].nonzero()[:, 0], batch.plans[acts:]
        asked.targets[rows] = columns[(answers >= 0).nonzero()[:, 0][rows]]
        yield asked
        nothing = batch.answers[:acts, :0]
        request = Request(
            self._prompt(ACT.format(game=batch.game)),
            images[:acts],
            nothing,
            torch.zeros_like(images[:acts]),
        )
        yield _Asked(request, batch.plans[:acts], batch.loss_weights.new_full((acts,), 1 / acts))
        words = self.data[batch.game].object_answers(batch.words[-looks:], name)
        clauses = words.to(images.device)
        weights = batch.loss_weights.new_full(clauses.shape, LOOK_WEIGHT / looks)
        yield self._asked(
            LOOK.format(game=batch.game, thing=name),
            images[-looks:],
            clauses,
            clauses.clamp(min=0),
            weights,
        )

    def _asked(
        self,
        request: str,
        images: torch.Tensor,
        answers: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> _Asked:
        """A request for answers that are padded with -1."""
        there = answers >= 0
        lengths = there.sum(1) - 1  # the end of an answer is not read
        return _Asked(
            Request(self._prompt(request), images, inputs[:, :-1], lengths),
            self.soft_targets[answers[there]],
            weights[there],
        )

    def with_errors(self, tokens: torch.Tensor) -> torch.Tensor:
        """Some tokens replaced by neighbours, as errors in play would do."""
        wrong = (torch.rand(tokens.shape, device=tokens.device) < NEIGHBOUR_PROBABILITY).nonzero(
            as_tuple=True
        )
        drawn = torch.rand(len(wrong[0]), 1, device=tokens.device)
        sums = self.soft_sums[tokens[wrong]]
        neighbours = torch.searchsorted(sums, drawn * sums[:, -1:], right=True)[:, 0]
        return tokens.index_put(wrong, neighbours)

    def _prompt(self, request: str) -> torch.Tensor:
        return self.prompts[request].to(self.soft_targets.device)


class _Asked(NamedTuple):
    """A request, with the soft target and the weight of every prediction."""

    request: Request
    targets: torch.Tensor
    """(predictions, vocabulary)."""
    weights: torch.Tensor
    """(predictions,)."""


def head_targets(data: Dataset, batch: Batch, soft_targets: torch.Tensor) -> list[tuple[Any, ...]]:
    """(field, its tokens, rows that state it, their soft targets) of every field in a batch."""
    found = []
    device = soft_targets.device
    for field, positions in zip(data.fields, data.positions[:, batch.sentences], strict=True):
        (rows,) = np.nonzero(positions >= 0)
        if not len(rows):
            continue
        at = torch.from_numpy(rows).to(device)
        place = torch.from_numpy(positions[rows]).to(device)
        target = batch.plans[at] if field.name == "plan" else soft_targets[batch.answers[at, place]]
        found.append((field.name, torch.tensor(field.tokens, device=device), at, target))
    return found


def _build_heads(model: Any, data: Mapping[str, Dataset]) -> torch.nn.ModuleDict:
    hidden = model.config.text_config.hidden_size
    heads = torch.nn.ModuleDict()
    for game, decisions in data.items():
        for name, tokens, _ in decisions.fields:
            head = torch.nn.Linear(IMAGE_TOKENS * hidden, len(tokens))
            torch.nn.init.normal_(head.weight, std=0.3 * (IMAGE_TOKENS * hidden) ** -0.5)
            torch.nn.init.zeros_(head.bias)
            heads[f"{game}_{name}"] = head
    return heads
