"""What a student is graded on: a module whose forward pass is the loss of some batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from atari_vlm.learning.distill.architecture import IMAGE, IMAGE_TOKENS, prompt_text
from atari_vlm.learning.distill.curriculum import get_subject
from atari_vlm.learning.distill.data import Batch, Dataset, soft_words
from atari_vlm.prompts.embedded import ACT, LOOK, SEE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ACT_SHARE, LOOK_SHARE = 6, 8
"""Of the decisions in a batch, every sixth is asked for its plan, every eighth for one thing."""
HEADS_WEIGHT, LOOK_WEIGHT = 0.3, 0.3
MISHEARD = 0.1
"""Chance that a value of the answer is fed back as one of its neighbours, as when playing."""


class Lesson(torch.nn.Module):  # type: ignore[misc]
    """Student and linear heads together: what the optimiser moves, on any device.

    Args:
        model: the student, an Idefics3ForConditionalGeneration.
        tokenizer: its tokenizer.
        data: game -> its decisions, for the words its answers are made of.
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
        self.register_buffer("soft", soft_words(tokenizer), persistent=False)
        self.image_id = int(tokenizer.convert_tokens_to_ids(IMAGE))
        asked = [ask.format(game=game) for game in data for ask in (SEE, ACT)]
        for game in data:
            asked += [LOOK.format(game=game, thing=t) for t in get_subject(game).things]
        self.prompts = {ask: torch.tensor(tokenizer.encode(prompt_text(ask))) for ask in asked}
        """Request -> the tokens of its whole prompt."""

    def forward(self, batches: Sequence[tuple[Batch, str]], eyes_only: bool) -> torch.Tensor:
        """Mean cross-entropy of heads, of whole answers, of plans and of things asked for alone.

        Args:
            batches: decisions of one game each, and the thing asked for.
            eyes_only: train nothing but what is seen, through the heads.
        """
        device = self.soft.device
        # Of autocast rather than of accelerate, whose precision is one for the whole process.
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            losses = [self._loss(batch.to(device), thing, eyes_only) for batch, thing in batches]
        return torch.stack(losses).mean()

    def _loss(self, batch: Batch, thing: str, eyes_only: bool) -> torch.Tensor:
        features = image_features(self.model, batch.pixels)
        heads = self._heads_loss(batch, features)
        if eyes_only:
            return heads
        acts = len(batch.answers) // ACT_SHARE
        looks = len(batch.answers) // LOOK_SHARE
        see = self._see_loss(batch, features, acts)
        act = self._act_loss(batch, features, acts)
        look = self._look_loss(batch, features, looks, thing)
        return HEADS_WEIGHT * heads + see + act + LOOK_WEIGHT * look

    def _heads_loss(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        flat = features.flatten(1)
        total = flat.new_zeros(())
        for name, ids, rows, target in head_targets(self.data[batch.game], batch, self.soft):
            head = self.heads[f"{batch.game}_{name}"]
            scores = torch.log_softmax(head(flat[rows]), -1)
            total = total - (target[:, ids] * scores).sum() / len(flat)
        return total

    def _see_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        answers = batch.answers[acts:]
        heard = torch.where(answers >= 0, answers, 0)
        target = self.soft[heard]
        plans = self._is_plan(batch.game, answers)
        target[plans] = batch.plans[acts:][plans.nonzero()[:, 0]]
        swap = torch.rand(heard.shape, device=heard.device) < MISHEARD
        other = torch.multinomial(self.soft[heard].flatten(0, 1), 1).view_as(heard)
        fed = torch.where(swap, other, heard)[:, :-1]
        scores = self.answer_scores(SEE.format(game=batch.game), features[acts:], fed)
        each = -(target * torch.log_softmax(scores, -1)).sum(-1)
        return (each * batch.stress[acts:]).sum() / len(answers)

    def _act_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        nothing = batch.answers[:acts, :0]
        ask = ACT.format(game=batch.game)
        scores = self.answer_scores(ask, features[:acts], nothing)[:, 0]
        return -(batch.plans[:acts] * torch.log_softmax(scores, -1)).sum(-1).mean()

    def _look_loss(
        self, batch: Batch, features: torch.Tensor, looks: int, thing: str
    ) -> torch.Tensor:
        said = self.data[batch.game].looks(batch.words[-looks:], thing).to(features.device)
        heard = said.clamp(min=0)
        ask = LOOK.format(game=batch.game, thing=thing)
        scores = self.answer_scores(ask, features[-looks:], heard[:, :-1])
        each = -(self.soft[heard] * torch.log_softmax(scores, -1)).sum(-1)
        return (each * (said >= 0)).sum() / looks

    def _is_plan(self, game: str, answers: torch.Tensor) -> torch.Tensor:
        plan = self.data[game].grammar.sentences[-1][0].tokens
        return torch.isin(answers, torch.tensor(plan, device=answers.device))

    def answer_scores(self, ask: str, features: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Logits of every next word of the answers to a request, (batch, words said + 1, words)."""
        prompt = self.prompts[ask].to(features.device)
        return answer_scores(self.model, prompt, features, said, self.image_id)


def image_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """(batch, 3, side, side) -> (batch, image tokens, hidden), as the model's own forward does."""
    seen = model.model.vision_model(pixel_values=pixels).last_hidden_state
    return model.model.connector(seen)


def answer_scores(
    model: Any, prompt: torch.Tensor, features: torch.Tensor, said: torch.Tensor, image: int
) -> torch.Tensor:
    """Logits of every next word of the answers, (batch, words said + 1, vocabulary)."""
    count = len(features)
    ids = torch.cat([prompt[None].expand(count, -1), said], 1)
    at = int((prompt == image).nonzero()[0])
    words = model.get_input_embeddings()(ids)
    words = torch.cat([words[:, :at], features, words[:, at + IMAGE_TOKENS :]], 1)
    hidden = model.model.text_model(inputs_embeds=words, use_cache=False).last_hidden_state
    return model.lm_head(hidden[:, len(prompt) - 1 :])


def head_targets(data: Dataset, batch: Batch, soft: torch.Tensor) -> list[tuple[Any, ...]]:
    """(field, its tokens, rows that state it, soft targets) of every field in a batch."""
    found = []
    for name, kind_ids, places in data.fields:
        rows, words = [], []
        for row, answer in enumerate(batch.answers.tolist()):
            place = places.get(int(batch.shapes[row]))
            if place is not None:
                rows.append(row)
                words.append(answer[place])
        if not rows:
            continue
        at = torch.tensor(rows, device=soft.device)
        target = (
            batch.plans[at] if name == "plan" else soft[torch.tensor(words, device=soft.device)]
        )
        found.append((name, torch.tensor(kind_ids, device=soft.device), at, target))
    return found


def _build_heads(model: Any, data: Mapping[str, Dataset]) -> torch.nn.ModuleDict:
    hidden = model.config.text_config.hidden_size
    heads = torch.nn.ModuleDict()
    for game, decisions in data.items():
        for name, ids, _ in decisions.fields:
            head = torch.nn.Linear(IMAGE_TOKENS * hidden, len(ids))
            torch.nn.init.normal_(head.weight, std=0.3 * (IMAGE_TOKENS * hidden) ** -0.5)
            torch.nn.init.zeros_(head.bias)
            heads[f"{game}_{name}"] = head
    return heads
