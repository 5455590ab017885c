"""Compiling the loss in a thread, beside the training, and checking it against the plain one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch

Loss: TypeAlias = Callable[
    [Mapping[str, torch.Tensor], Mapping[str, torch.Tensor], bool],
    tuple[torch.Tensor, torch.Tensor],
]
"""(weights, batch, vision only) -> the sum of the losses, and their parts; see `StackedLoss`."""
Compiler: TypeAlias = Callable[[Loss], Loss]

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-3, 5e-2
"""Largest relative difference of a compiled loss, and of the norm of a gradient. On an H100 in
bf16, 2e-5 and 3e-3 were seen."""


def torch_compile(loss: Loss) -> Loss:
    """The loss as kernels that torch writes for exactly these shapes."""

    def function(
        weights: Mapping[str, torch.Tensor], batch: Mapping[str, torch.Tensor], vision_only: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return loss(weights, batch, vision_only)

    compiled: Loss = torch.compile(function, fullgraph=True, dynamic=False)
    return compiled


class BackgroundCompile:
    """A compilation that runs in a thread.

    Args:
        loss: the plain loss.
        compiler: makes the compiled one.
        weights: copies that nobody changes.
        batch: labels to compile and compare on, which nobody changes; laid out as those of steps.
    """

    def __init__(
        self,
        loss: Loss,
        compiler: Compiler,
        weights: Mapping[str, torch.Tensor],
        batch: Mapping[str, torch.Tensor],
    ) -> None:
        self.compiled: Loss | None = None
        """The compiled loss; None before it is done, and if it failed."""
        self.failure = ""
        """Why there is none."""
        # With another number of threads, torch would compile once more in the caller's thread.
        self._threads = torch.get_num_threads()
        work = (loss, compiler, weights, batch)
        self._thread = threading.Thread(target=self._run, args=work, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the compilation has ended."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end, at most so long."""
        self._thread.join(seconds)

    def _run(
        self,
        loss: Loss,
        compiler: Compiler,
        weights: Mapping[str, torch.Tensor],
        batch: Mapping[str, torch.Tensor],
    ) -> None:
        try:
            torch.set_num_threads(self._threads)
            device = next(iter(weights.values())).device
            if device.type == "cuda":
                torch.cuda.set_device(device)  # each thread has its own
            compiled = compiler(loss)
            found = gradients(compiled, weights, batch)
            found = gradients(compiled, weights, batch)  # as often as torch needs to settle
            check_equal(found, gradients(loss, weights, batch))
            self.compiled = compiled
        except Exception as error:  # a compiler raises many kinds
            self.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def gradients(
    loss: Loss,
    weights: Mapping[str, torch.Tensor],
    batch: Mapping[str, torch.Tensor],
    *,
    vision_only: bool = False,
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Name -> gradient of every weight that the loss depends on; and the parts of the loss."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    trained = [name for name in leaves if not (vision_only and name.startswith("text"))]
    with torch.enable_grad():
        total, parts = loss(leaves, batch, vision_only)
    found: Sequence[torch.Tensor] = torch.autograd.grad(total, [leaves[name] for name in trained])
    return dict(zip(trained, found, strict=True)), parts.detach()


def check_equal(
    found: tuple[Mapping[str, torch.Tensor], torch.Tensor],
    wanted: tuple[Mapping[str, torch.Tensor], torch.Tensor],
) -> None:
    """Raise ValueError if gradients or losses differ by more than the tolerances."""
    off = _difference(found[1], wanted[1])
    if not off <= LOSS_TOLERANCE:
        raise ValueError(f"the compiled loss differs by {off:.2g}")
    for name, gradient in wanted[0].items():
        off = _difference(found[0][name], gradient)
        if not off <= GRADIENT_TOLERANCE:
            raise ValueError(f"the gradient of {name} differs by {off:.2g} when it is compiled")


def _difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / (wanted.norm() + 1e-12))
