"""The optimiser's side of training: steps, rates, averaged weights, checkpoints, any device."""

from __future__ import annotations

import copy
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.architecture import begin_with, build_model, build_tokenizer
from atari_vlm.learning.distill.curriculum import get_subject
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.settings import DistillSettings

KEEP = 0.998
"""Decay of the averaged weights, which are the ones that play."""


class Trainer:
    """Student, heads, optimiser and averaged weights; all of it in one checkpoint.

    It runs on accelerate: on a GPU where there is one, and under `torchrun` on as many as it
    starts, each process with its own share of every batch.
    """

    def __init__(self, settings: DistillSettings) -> None:
        import torch
        from accelerate import Accelerator, DistributedDataParallelKwargs

        from atari_vlm.learning.distill.distillation_loss import Lesson

        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.tokenizer = build_tokenizer(settings.games)
        self.data = {game: Dataset(game, self.tokenizer) for game in settings.games}
        model = build_model(self.tokenizer, seed=settings.seed)
        if settings.base is not None:
            begin_with(model, self.tokenizer, settings.base)
        # Every step leaves out the heads of the games that are not in its batch.
        spare = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Without a GPU, accelerate takes no notice of `torchrun` unless told to use the CPU.
        cpu = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
        self.accelerator = Accelerator(cpu=cpu, kwargs_handlers=[spare])
        bf16 = settings.precision == "bf16"
        if bf16 and self.accelerator.device.type == "cpu":
            # torch 2.13 on the CPU: the backward pass of sdpa takes ten times as long in bf16.
            model.set_attn_implementation("eager")
        self.lesson = Lesson(model.train(), self.tokenizer, self.data, bf16=bf16)
        optimiser = torch.optim.AdamW(
            _groups(list(self.lesson.parameters())), lr=settings.rate, betas=(0.9, 0.95)
        )
        self._wrapped, self.optimiser = self.accelerator.prepare(self.lesson, optimiser)
        self.average = copy.deepcopy(model).eval()
        self.steps, self.seconds, self.rounds = 0, 0.0, 0
        self.losses: list[float] = []

    @property
    def model(self) -> Any:
        """The student that is being trained."""
        return self.lesson.model

    @property
    def total(self) -> float:
        """Seconds of training asked for."""
        return self.settings.minutes * 60

    @property
    def opening(self) -> bool:
        """Whether only the eyes are being trained."""
        return self.seconds < self.settings.opening * self.total

    @property
    def leads(self) -> bool:
        """Whether this process writes, plays and reports for all."""
        return bool(self.accelerator.is_main_process)

    def agree(self, news: Any) -> Any:
        """What the leading process knows, in every process; also how long they have trained."""
        if self.accelerator.num_processes == 1:
            return news
        from accelerate.utils import broadcast_object_list

        told = [news, self.seconds]
        broadcast_object_list(told)
        news, self.seconds = told
        return news

    def step(self, rng: np.random.Generator) -> None:
        """One optimiser step on a batch of some games."""
        start = time.perf_counter()
        rate = self._rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        games = self.settings.games
        chosen = [games[i] for i in rng.permutation(len(games))[: self.settings.blend]]
        size = self.settings.batch // len(chosen) // self.accelerator.num_processes
        batches = []
        for game in chosen:
            things = get_subject(game).things
            thing = things[int(rng.integers(len(things)))]
            batches.append((self.data[game].sample(max(8, size), rng), thing))
        loss = self._wrapped(batches, self.opening)
        self.accelerator.backward(loss)
        weights = [w for w in self.lesson.parameters() if w.grad is not None]
        self.accelerator.clip_grad_norm_(weights, 1.0)
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

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        import torch

        part = path.with_suffix(".part")
        torch.save(
            {
                "settings": self.settings.to_json(),
                "lesson": self.lesson.state_dict(),
                "average": self.average.state_dict(),
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

        state = torch.load(path, weights_only=True, map_location="cpu")
        if state["settings"] != self.settings.to_json():
            raise InvalidSetting(
                f"{path.parent} holds a distillation with other settings. Continue it with the "
                "settings in its settings.json, or name another folder."
            )
        self.lesson.load_state_dict(state["lesson"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.rounds = state["rounds"]


def _groups(weights: list[Any]) -> list[dict[str, Any]]:
    return [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": 0.02},
        {"params": [w for w in weights if w.dim() <= 1], "weight_decay": 0.0},
    ]
