"""Training: optimiser steps, learning rate, averaged weights and checkpoints, on any device."""

from __future__ import annotations

import copy
import io
import math
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.errors import InvalidSetting, ModelUnusable, StoreError, setting
from atari_vlm.files.writing import drafted
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import (
    ARCHITECTURES,
    build_model,
    build_tokenizer,
    initialize_from,
)
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.settings import DistillSettings

EMA_DECAY = 0.998
"""Decay of the averaged weights, which are those of the final model."""
LARGEST_NORM = 1.0
"""A longer gradient is scaled to this length."""
LONGEST_STEP = 30.0
"""Seconds of a step that count as training, so that those of a suspended process do not."""


class Trainer:
    """Student, heads, optimiser and averaged weights, all in one checkpoint.

    Training runs on accelerate: on a GPU if there is one, and under `torchrun` on several. Each
    process then computes its share of every batch.
    """

    def __init__(self, settings: DistillSettings) -> None:
        import torch
        from accelerate import Accelerator, DistributedDataParallelKwargs

        from atari_vlm.learning.distill.distillation_loss import DistillationLoss

        if settings.device == "cuda" and not torch.cuda.is_available():
            raise no_cuda()
        torch.set_num_threads(settings.threads)
        self.settings = settings = settings.with_architecture()
        assert settings.architecture is not None
        self.tokenizer = build_tokenizer(settings.games)
        self.data = {game: Dataset(game, self.tokenizer) for game in settings.games}
        model = build_model(
            self.tokenizer,
            seed=settings.seed,
            architecture=ARCHITECTURES[settings.architecture],
        )
        if settings.base is not None:
            initialize_from(model, self.tokenizer, settings.base)
        # No step uses the heads of the games that are not in its batch.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Without a GPU, accelerate ignores `torchrun` unless it is asked to use the CPU.
        without = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
        cpu = without or settings.device == "cpu"
        self.accelerator = Accelerator(cpu=cpu, kwargs_handlers=[unused])
        bf16 = settings.precision == "bf16"
        self.loss_module = DistillationLoss(model.train(), self.tokenizer, self.data, bf16=bf16)
        optimiser = torch.optim.AdamW(
            _parameter_groups(list(self.loss_module.parameters())),
            lr=settings.rate,
            betas=(0.9, 0.95),
            fused=True,
        )
        self._wrapped, self.optimiser = self.accelerator.prepare(self.loss_module, optimiser)
        self.averaged_model = copy.deepcopy(model).eval()
        self.steps, self.seconds, self.rounds = 0, 0.0, 0
        self.losses: list[float] = []

    @property
    def model(self) -> Any:
        """The student in training."""
        return self.loss_module.model

    @property
    def total_seconds(self) -> float:
        """The training time of the settings."""
        return self.settings.minutes * 60

    @property
    def vision_only(self) -> bool:
        """Whether only the vision encoder is trained now."""
        return self.seconds < self.settings.opening * self.total_seconds

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files, plays and reports."""
        return bool(self.accelerator.is_main_process)

    def broadcast(self, value: Any) -> Any:
        """The main process's value and training time, in every process."""
        if self.accelerator.num_processes == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values = [value, self.seconds]
        broadcast_object_list(values)
        value, self.seconds = values
        return value

    def leave(self) -> None:
        """End what holds several processes together. No step can be taken after it.

        The group's threads end with the last object that holds it. One that lets go of a tensor
        while Python ends aborts the whole process.
        """
        if self.accelerator.num_processes > 1:
            import torch

            self.accelerator.wait_for_everyone()
            self._wrapped = None
            self.accelerator.free_memory()
            torch.distributed.destroy_process_group()

    def step(self, rng: np.random.Generator) -> None:
        """Take one optimiser step on a batch of some games.

        Raises:
            ModelUnusable: the loss or its gradient is not finite; the weights are those of before.
        """
        import torch

        start = time.perf_counter()
        rate = self._learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        games = self.settings.games
        chosen = [games[i] for i in rng.permutation(len(games))[: self.settings.blend]]
        size = self.settings.batch // len(chosen) // self.accelerator.num_processes
        batches = []
        for game in chosen:
            names = get_answer_schema(game).objects
            name = names[int(rng.integers(len(names)))]
            batches.append((self.data[game].sample(max(8, size), rng), name))
        loss = self._wrapped(batches, self.vision_only)
        self.accelerator.backward(loss)
        # Both are read at once, because reading waits for the device.
        norms = self._gradient_norm(), loss.detach()
        norm, value = torch.stack([each.float() for each in norms]).tolist()
        if not math.isfinite(norm + value):
            raise self._diverged(f"the loss is {value}, its gradient {norm}")
        if norm > LARGEST_NORM:
            torch._foreach_mul_(self._gradients(), LARGEST_NORM / (norm + 1e-6))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        self._update_average()
        self.losses = [*self.losses[-99:], value]
        self.seconds += min(LONGEST_STEP, time.perf_counter() - start)

    def _learning_rate(self) -> float:
        progress = min(1.0, self.seconds / self.total_seconds)
        cosine = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress))
        return self.settings.rate * min(1.0, (self.steps + 1) / 40) * cosine

    def _update_average(self) -> None:
        import torch

        decay = min(EMA_DECAY, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            averages, weights = (
                list(model.parameters()) for model in (self.averaged_model, self.model)
            )
            torch._foreach_lerp_(averages, weights, 1 - decay)

    def _gradients(self) -> list[Any]:
        return [w.grad for w in self.loss_module.parameters() if w.grad is not None]

    def _gradient_norm(self) -> Any:
        import torch

        return torch.stack(torch._foreach_norm(self._gradients())).norm()

    def _diverged(self, what: str) -> ModelUnusable:
        return ModelUnusable(
            f"Training cannot go on after step {self.steps}: {what}. The last good checkpoint is "
            f"kept in {self.settings.out}. Look at the data, or train with a lower learning rate."
        )

    def check_finite(self) -> None:
        """Raise ModelUnusable if a weight is not finite: such weights are never written."""
        import torch

        for module in (self.loss_module, self.averaged_model):
            for name, weight in module.named_parameters():
                if not bool(torch.isfinite(weight).all()):
                    raise self._diverged(f"the weight {name} is not finite")

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all.

        Raises:
            ModelUnusable: a weight is not finite; the checkpoint on the disk stays as it is.
        """
        self.check_finite()
        state = {
            "settings": self.settings.to_json(),
            "lesson": self.loss_module.state_dict(),
            "average": self.averaged_model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
            "rounds": self.rounds,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InvalidSetting: the checkpoint has other settings.
            StoreError: it is damaged, or holds weights that are not finite.
        """
        try:
            state = read_checkpoint(path)
            self._take(state, path)
        except (InvalidSetting, FileNotFoundError):
            raise
        except Exception as error:  # torch raises many kinds
            text = " ".join(str(error).split())[:200]
            raise StoreError(
                f"{path} is damaged ({type(error).__name__}: {text}), so the training cannot "
                "continue from it. Put a copy back, or delete it to train from the beginning with "
                "the data that was collected."
            ) from error

    def _take(self, state: dict[str, Any], path: Path) -> None:
        if state["settings"] != self.settings.to_json():
            raise InvalidSetting(
                f"{path.parent} holds a distillation with other settings. Continue it with the "
                "settings in its settings.json, or name another folder."
            )
        self.loss_module.load_state_dict(state["lesson"])
        self.averaged_model.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        for group in self.optimiser.param_groups:  # older checkpoints say otherwise
            group.update(fused=True, foreach=False)
        steps, seconds, rounds = (state[name] for name in ("steps", "seconds", "rounds"))
        if not (type(steps) is type(rounds) is int and min(steps, rounds) >= 0):
            raise ValueError(f"it has {steps!r} steps and {rounds!r} rounds")
        if not isinstance(seconds, float | int) or not 0 <= seconds < math.inf:
            raise ValueError(f"it says {seconds!r} seconds of training")
        self.steps, self.seconds, self.rounds = steps, float(seconds), rounds
        self.check_finite()


def no_cuda() -> InvalidSetting:
    """The error of CUDA that is asked for and not there."""
    import torch

    why = "no GPU and driver that it can use" if torch.version.cuda else "a build without CUDA"
    return InvalidSetting(
        f"{setting('device', 'cuda')} needs a GPU, and torch {torch.__version__} here has {why}. "
        f"{setting('device', 'cpu')} trains without one, more slowly."
    )


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: the disk is full.
    """
    import torch

    content = io.BytesIO()  # a full disk is an OSError here, and a RuntimeError inside torch
    torch.save(state, content)
    with drafted(path) as draft, draft.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())


MOST_BYTES = 2**30
"""The largest checkpoint that is read; that of twelve games has 60 MB."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; code that a pickle may hold is never run.

    Raises:
        Exception: it is damaged; torch raises many kinds.
    """
    import torch

    if not path.is_file():
        raise ValueError("it is no regular file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    with zipfile.ZipFile(path) as archive:  # torch compresses nothing: a bomb would be
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("it is compressed")
    state = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(state, dict):
        raise ValueError("it holds no state")
    return state


def _parameter_groups(weights: list[Any]) -> list[dict[str, Any]]:
    return [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": 0.02},
        {"params": [w for w in weights if w.dim() <= 1], "weight_decay": 0.0},
    ]
