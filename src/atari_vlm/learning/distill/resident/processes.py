"""The processes of a training: one, or several that `torchrun` started, one for each GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.train import no_cuda

if TYPE_CHECKING:
    import torch


class Processes:
    """This process among those that train the same students.

    Each has rows, players and a share of every batch of its own. Only the main one writes, reports
    and chooses.

    Args:
        settings: of the training.

    Raises:
        InvalidSetting: there is no CUDA though it was asked for.
    """

    def __init__(self, settings: ResidentSettings) -> None:
        import torch

        self.rank = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.local_count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.device = _device(settings, int(os.environ.get("LOCAL_RANK", "0")))
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1:
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            # The others wait while the main process lets players choose, and play whole games.
            torch.distributed.init_process_group(backend, timeout=timedelta(hours=12))

    @property
    def is_main(self) -> bool:
        """Whether this process writes, reports and chooses."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """The value of the main process, in every process."""
        if self.count == 1:
            return value
        import torch

        values = [value]
        torch.distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def every(self, value: bool) -> bool:
        """Whether something holds in every process."""
        if self.count == 1:
            return value
        import torch

        least = torch.tensor(int(value))
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        return bool(least)

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Average tensors over all processes, in place."""
        import torch

        for tensor in tensors:
            torch.distributed.all_reduce(tensor)
            tensor.div_(self.count)

    def leave(self) -> None:
        """End what holds the processes together."""
        if self.count > 1:
            import torch

            torch.distributed.destroy_process_group()


def _device(settings: ResidentSettings, number: int) -> torch.device:
    import torch

    there = torch.cuda.is_available()
    if settings.device == "cpu" or (settings.device == "auto" and not there):
        return torch.device("cpu")
    if not there:
        raise no_cuda()
    return torch.device("cuda", number)
