"""The loss of the student: a module whose forward pass is the loss of some batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import IMAGE, IMAGE_TOKENS, prompt_text
from atari_vlm.learning.distill.data import Batch, Dataset
from atari_vlm.learning.distill.targets import soft_targets
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
        # torch's autocast, because the precision of accelerate is one for the whole process.
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            losses = [self._loss(batch.to(device), name, vision_only) for batch, name in batches]
        return torch.stack(losses).mean()

    def _loss(self, batch: Batch, name: str, vision_only: bool) -> torch.Tensor:
        features = image_features(self.model, batch.pixels)
        heads = self._heads_loss(batch, features)
        if vision_only:
            return heads
        acts = len(batch.answers) // ACT_EVERY
        looks = len(batch.answers) // LOOK_EVERY
        see = self._see_loss(batch, features, acts)
        act = self._act_loss(batch, features, acts)
        look = self._look_loss(batch, features, looks, name)
        return HEADS_WEIGHT * heads + see + act + LOOK_WEIGHT * look

    def _heads_loss(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        flat = features.flatten(1)
        total = flat.new_zeros(())
        for name, ids, rows, target in head_targets(
            self.data[batch.game], batch, self.soft_targets
        ):
            head = self.heads[f"{batch.game}_{name}"]
            log_probabilities = torch.log_softmax(head(flat[rows]), -1)
            total = total - (target[:, ids] * log_probabilities).sum() / len(flat)
        return total

    def _see_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        answers = batch.answers[acts:]
        tokens = torch.where(answers >= 0, answers, 0)
        target = self.soft_targets[tokens]
        plans = self._is_plan(batch.game, answers)
        target[plans] = batch.plans[acts:][plans.nonzero()[:, 0]]
        replaced = torch.rand(tokens.shape, device=tokens.device) < NEIGHBOUR_PROBABILITY
        neighbours = torch.multinomial(self.soft_targets[tokens].flatten(0, 1), 1).view_as(tokens)
        inputs = torch.where(replaced, neighbours, tokens)[:, :-1]
        logits = self.answer_logits(SEE.format(game=batch.game), features[acts:], inputs)
        losses = -(target * torch.log_softmax(logits, -1)).sum(-1)
        return (losses * batch.loss_weights[acts:]).sum() / len(answers)

    def _act_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        no_tokens = batch.answers[:acts, :0]
        request = ACT.format(game=batch.game)
        logits = self.answer_logits(request, features[:acts], no_tokens)[:, 0]
        return -(batch.plans[:acts] * torch.log_softmax(logits, -1)).sum(-1).mean()

    def _look_loss(
        self, batch: Batch, features: torch.Tensor, looks: int, name: str
    ) -> torch.Tensor:
        answers = self.data[batch.game].object_answers(batch.words[-looks:], name)
        answers = answers.to(features.device)
        tokens = answers.clamp(min=0)
        request = LOOK.format(game=batch.game, thing=name)
        logits = self.answer_logits(request, features[-looks:], tokens[:, :-1])
        losses = -(self.soft_targets[tokens] * torch.log_softmax(logits, -1)).sum(-1)
        return (losses * (answers >= 0)).sum() / looks

    def _is_plan(self, game: str, answers: torch.Tensor) -> torch.Tensor:
        plan = self.data[game].grammar.sentences[-1][0].tokens
        return torch.isin(answers, torch.tensor(plan, device=answers.device))

    def answer_logits(
        self, request: str, features: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Logits of the answers to a request, (batch, tokens + 1, vocabulary)."""
        prompt = self.prompts[request].to(features.device)
        return answer_logits(self.model, prompt, features, tokens, self.image_id)


def image_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """(batch, 3, side, side) -> (batch, image tokens, hidden), as in the model's own forward."""
    hidden = model.model.vision_model(pixel_values=pixels).last_hidden_state
    return model.model.connector(hidden)


def answer_logits(
    model: Any,
    prompt: torch.Tensor,
    features: torch.Tensor,
    tokens: torch.Tensor,
    image_id: int,
) -> torch.Tensor:
    """Logits of the answers after each of their tokens.

    Args:
        model: an Idefics3ForConditionalGeneration.
        prompt: tokens of the prompt, the same for every answer.
        features: of the images, (batch, image tokens, hidden).
        tokens: of the answers, (batch, tokens); may have no columns.
        image_id: the image token.

    Returns:
        (batch, tokens + 1, vocabulary).
    """
    ids = torch.cat([prompt[None].expand(len(features), -1), tokens], 1)
    start = int((prompt == image_id).nonzero()[0])
    embeddings = model.get_input_embeddings()(ids)
    embeddings = torch.cat(
        [embeddings[:, :start], features, embeddings[:, start + IMAGE_TOKENS :]], 1
    )
    hidden = model.model.text_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    return model.lm_head(hidden[:, len(prompt) - 1 :])


def head_targets(data: Dataset, batch: Batch, soft_targets: torch.Tensor) -> list[tuple[Any, ...]]:
    """(field, its tokens, rows that state it, their soft targets) of every field in a batch."""
    found = []
    for name, field_tokens, positions in data.fields:
        rows, tokens = [], []
        for row, answer in enumerate(batch.answers.tolist()):
            position = positions.get(int(batch.sentences[row]))
            if position is not None:
                rows.append(row)
                tokens.append(answer[position])
        if not rows:
            continue
        device = soft_targets.device
        at = torch.tensor(rows, device=device)
        target = (
            batch.plans[at] if name == "plan" else soft_targets[torch.tensor(tokens, device=device)]
        )
        found.append((name, torch.tensor(field_tokens, device=device), at, target))
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
