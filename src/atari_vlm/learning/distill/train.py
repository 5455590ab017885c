"""The training loop: eyes first, then words; the student's own play joins the data in rounds."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.architecture import (
    IMAGE,
    IMAGE_TOKENS,
    build_model,
    build_tokenizer,
    prompt_text,
)
from atari_vlm.learning.distill.data import Batch, Dataset, soft_words
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.prompts.specialist import ACT, SEE

if TYPE_CHECKING:
    import torch

ACT_SHARE = 4
"""Every fourth decision of a batch is asked for its plan alone."""
HEADS_WEIGHT = 0.3
MISHEARD = 0.1
"""Chance that a value of the answer is fed back as one of its neighbours, as when playing."""
KEEP = 0.998
"""Decay of the averaged weights, which are the ones that play."""


class Trainer:
    """Student, heads, optimiser and averaged weights; all of it in one checkpoint."""

    def __init__(self, settings: DistillSettings) -> None:
        import torch

        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.tokenizer = build_tokenizer(settings.games)
        self.data = {game: Dataset(game, self.tokenizer) for game in settings.games}
        self.model = build_model(self.tokenizer, seed=settings.seed)
        self.model.train()
        self.average = copy.deepcopy(self.model).eval()
        self.heads = _build_heads(self)
        self.optimiser = torch.optim.AdamW(
            _groups([*self.model.parameters(), *self.heads.parameters()]),
            lr=settings.rate,
            betas=(0.9, 0.95),
        )
        self.soft = soft_words(self.tokenizer, settings.games)
        self.prompts = {
            (game, ask): torch.tensor(self.tokenizer.encode(prompt_text(ask.format(game=game))))
            for game in settings.games
            for ask in (SEE, ACT)
        }
        self.steps, self.seconds, self.rounds = 0, 0.0, 0
        self.losses: list[float] = []

    @property
    def total(self) -> float:
        """Seconds of training asked for."""
        return self.settings.minutes * 60

    @property
    def opening(self) -> bool:
        """Whether only the eyes are being trained."""
        return self.seconds < self.settings.opening * self.total

    def step(self, rng: np.random.Generator) -> None:
        """One optimiser step on a batch of one game."""
        import torch

        start = time.perf_counter()
        rate = self._rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        game = self.settings.games[int(rng.integers(len(self.settings.games)))]
        loss = self.loss(self.data[game].draw(self.settings.batch, rng))
        loss.backward()
        weights = [*self.model.parameters(), *self.heads.parameters()]
        torch.nn.utils.clip_grad_norm_([w for w in weights if w.grad is not None], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        self._follow()
        self.losses = [*self.losses[-99:], float(loss.detach())]
        self.seconds += time.perf_counter() - start

    def _rate(self) -> float:
        done = min(1.0, self.seconds / self.total)
        fall = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done))
        return self.settings.rate * min(1.0, (self.steps + 1) / 40) * fall

    def _follow(self) -> None:
        import torch

        keep = min(KEEP, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - keep)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy of heads, of whole answers, and of plans asked for alone."""
        features = image_features(self.model, batch.pixels)
        heads = self._heads_loss(batch, features)
        if self.opening:
            return heads
        acts = len(batch.answers) // ACT_SHARE
        see = self._see_loss(batch, features, acts)
        return HEADS_WEIGHT * heads + see + self._act_loss(batch, features, acts)

    def _heads_loss(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        import torch

        flat = features.flatten(1)
        total = flat.new_zeros(())
        for name, ids, rows, target in head_targets(self.data[batch.game], batch, self.soft):
            head = self.heads[f"{batch.game}_{name}"]
            scores = torch.log_softmax(head(flat[rows]), -1)
            total = total - (target[:, ids] * scores).sum() / len(flat)
        return total

    def _see_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        import torch

        answers = batch.answers[acts:]
        heard = torch.where(answers >= 0, answers, 0)
        target = self.soft[heard]
        plans = self._is_plan(batch.game, answers)
        target[plans] = batch.plans[acts:][plans.nonzero()[:, 0]]
        swap = torch.rand(heard.shape) < MISHEARD
        other = torch.multinomial(self.soft[heard].flatten(0, 1), 1).view_as(heard)
        fed = torch.where(swap, other, heard)[:, :-1]
        scores = self._answer_scores(batch.game, SEE, features[acts:], fed)
        each = -(target * torch.log_softmax(scores, -1)).sum(-1)
        return (each * batch.stress[acts:]).sum() / len(answers)

    def _act_loss(self, batch: Batch, features: torch.Tensor, acts: int) -> torch.Tensor:
        import torch

        nothing = batch.answers[:acts, :0]
        scores = self._answer_scores(batch.game, ACT, features[:acts], nothing)[:, 0]
        return -(batch.plans[:acts] * torch.log_softmax(scores, -1)).sum(-1).mean()

    def _is_plan(self, game: str, answers: torch.Tensor) -> torch.Tensor:
        import torch

        plan = self.data[game].grammar.sentences[-1][0].tokens
        return torch.isin(answers, torch.tensor(plan))

    def _answer_scores(
        self, game: str, ask: str, features: torch.Tensor, said: torch.Tensor
    ) -> torch.Tensor:
        return answer_scores(self.model, self.prompts[game, ask], features, said, self.image_id)

    @property
    def image_id(self) -> int:
        """The token an image feature stands in for."""
        return int(self.tokenizer.convert_tokens_to_ids(IMAGE))

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        import torch

        part = path.with_suffix(".part")
        torch.save(
            {
                "settings": self.settings.to_json(),
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "heads": self.heads.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "steps": self.steps,
                "seconds": self.seconds,
                "rounds": self.rounds,
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same settings."""
        import torch

        state = torch.load(path, weights_only=True)
        if state["settings"] != self.settings.to_json():
            raise InvalidSetting(
                f"{path.parent} holds a distillation with other settings. Continue it with the "
                "settings in its settings.json, or name another folder."
            )
        for name in ("model", "average", "heads"):
            getattr(self, name).load_state_dict(state[name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.rounds = state["rounds"]


def image_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """(batch, 3, side, side) -> (batch, image tokens, hidden), as the model's own forward does."""
    seen = model.model.vision_model(pixel_values=pixels).last_hidden_state
    return model.model.connector(seen)


def answer_scores(
    model: Any, prompt: torch.Tensor, features: torch.Tensor, said: torch.Tensor, image: int
) -> torch.Tensor:
    """Logits of every next word of the answers, (batch, words said + 1, vocabulary)."""
    import torch

    count = len(features)
    ids = torch.cat([prompt[None].expand(count, -1), said], 1)
    at = int((prompt == image).nonzero()[0])
    words = model.get_input_embeddings()(ids)
    words = torch.cat([words[:, :at], features, words[:, at + IMAGE_TOKENS :]], 1)
    hidden = model.model.text_model(inputs_embeds=words, use_cache=False).last_hidden_state
    return model.lm_head(hidden[:, len(prompt) - 1 :])


def head_targets(data: Dataset, batch: Batch, soft: torch.Tensor) -> list[tuple[Any, ...]]:
    """(field, its tokens, rows that state it, soft targets) of every field in a batch."""
    import torch

    found = []
    for name, kind_ids, places in data.fields:
        rows, words = [], []
        for row, answer in enumerate(batch.answers.tolist()):
            place = places.get(data.shape(answer))
            if place is not None:
                rows.append(row)
                words.append(answer[place])
        if not rows:
            continue
        at = torch.tensor(rows)
        target = batch.plans[at] if name == "plan" else soft[torch.tensor(words)]
        found.append((name, torch.tensor(kind_ids), at, target))
    return found


def _build_heads(trainer: Trainer) -> torch.nn.ModuleDict:
    import torch

    hidden = trainer.model.config.text_config.hidden_size
    heads = torch.nn.ModuleDict()
    for game, data in trainer.data.items():
        for name, ids, _ in data.fields:
            head = torch.nn.Linear(IMAGE_TOKENS * hidden, len(ids))
            torch.nn.init.normal_(head.weight, std=0.3 * (IMAGE_TOKENS * hidden) ** -0.5)
            torch.nn.init.zeros_(head.bias)
            heads[f"{game}_{name}"] = head
    return heads


def _groups(weights: list[Any]) -> list[dict[str, Any]]:
    return [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": 0.02},
        {"params": [w for w in weights if w.dim() <= 1], "weight_decay": 0.0},
    ]
