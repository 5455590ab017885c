"""A step as two CUDA graphs: kernels that the device launches by itself, time after time.

The first half ends with the gradients, so that they can be averaged over processes in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

Found: TypeAlias = tuple[dict[str, torch.Tensor], torch.Tensor]
"""Name -> gradient, and the parts of the losses."""

_WARM_UPS, _TIMED = 3, 8
"""Runs before a step is captured, and to time one."""


@dataclass(frozen=True, slots=True)
class StepGraphs:
    """A captured step."""

    first: Any
    second: Any
    found: Found
    """What the first half leaves for the second; the same tensors in every run."""

    @staticmethod
    def capture(
        gradients: Callable[[], Found], apply: Callable[[Found], None], pool: Any
    ) -> StepGraphs:
        """Run a step a few times, then capture it.

        Args:
            gradients: the first half.
            apply: the second half; the caller sees to it that it changes nothing now.
            pool: memory that graphs share which never run at the same time.

        Raises:
            RuntimeError: the step cannot be captured, or there is too little memory.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                apply(gradients())
        torch.cuda.current_stream().wait_stream(stream)
        first, second = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        # Only what this thread does must suit a capture: others may go on.
        settings = {"pool": pool, "capture_error_mode": "thread_local"}
        with torch.cuda.graph(first, **settings):
            found = gradients()
        with torch.cuda.graph(second, **settings):
            apply(found)
        torch.cuda.synchronize()
        return StepGraphs(first, second, found)

    def seconds(self) -> float:
        """Seconds of a run; the caller sees to it that it changes nothing."""
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(_TIMED):
            self.first.replay()
            self.second.replay()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / _TIMED
