"""What is reported of the losses: sums on the device, read when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from atari_vlm.learning.distill.distillation_loss import HEADS_WEIGHT, LOOK_WEIGHT
from atari_vlm.learning.distill.resident.stacked_loss import PARTS


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean parts of the loss by student, and what went wrong."""

    heads: tuple[float, ...]
    see: tuple[float, ...]
    act: tuple[float, ...]
    look: tuple[float, ...]
    norms: tuple[float, ...]
    """Norm of each student's last gradient, before clipping."""
    skipped: tuple[int, ...]
    """Steps that each student skipped, because its loss or gradient was not finite."""

    def total(self, student: int) -> float:
        """The loss of a student, from its parts."""
        heads, look = self.heads[student], self.look[student]
        return float(
            HEADS_WEIGHT * heads + self.see[student] + self.act[student] + LOOK_WEIGHT * look
        )

    @staticmethod
    def of(parts: torch.Tensor, norms: torch.Tensor, skipped: torch.Tensor) -> Losses:
        """From tensors: (4, students), (students,) and (students,)."""
        heads, see, act, look = map(tuple, parts.tolist())
        counts = tuple(int(count) for count in skipped.tolist())
        return Losses(heads, see, act, look, tuple(norms.tolist()), counts)


class Totals:
    """Sums over the steps since the last report.

    Args:
        students: how many.
        device: where the sums are.
    """

    def __init__(self, students: int, device: torch.device) -> None:
        self._sums = torch.zeros(len(PARTS), students, device=device)
        self._counts = torch.zeros(3, students, device=device)
        """Steps that each student took, those of them with its decoder, and those it skipped."""

    def add(
        self, parts: torch.Tensor, finite: torch.Tensor, active: torch.Tensor, vision_only: bool
    ) -> None:
        """Count a step; nothing waits for the device.

        Args:
            parts: of the loss, (4, students).
            finite: whether each student took the step, (students,).
            active: 0 counts nothing.
            vision_only: whether the step was without the decoders.
        """
        whole = torch.zeros_like(finite) if vision_only else finite
        counts = torch.stack([finite, whole, ~finite]) * active
        self._counts += counts
        self._sums += parts.masked_fill(counts[0] == 0, 0.0)

    def take(self, norms: torch.Tensor) -> Losses:
        """Means since the last call, with the norms of now. Waits for the device."""
        numbers = torch.cat([self._sums, self._counts, norms[None]]).cpu()
        self._sums.zero_()
        self._counts.zero_()
        taken, whole, skipped, last = numbers[len(PARTS) :]
        steps = torch.stack([taken, whole, whole, whole]).clamp(min=1)
        return Losses.of(numbers[: len(PARTS)] / steps, last, skipped)
