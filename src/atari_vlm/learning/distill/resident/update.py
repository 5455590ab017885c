"""The update of every student: clipping, AdamW and averages, decided on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from atari_vlm.learning.distill.resident.students import HEADS, Students

CLIP = 1.0
"""Largest norm of the gradient of a student, with its heads."""
BETAS = (0.9, 0.95)
_DECAYING = ("vision", "positions", "text", "heads")


class Update:
    """One optimiser for each student, so that one can skip a step that the others take.

    The fused kernels of AdamW divide gradients and skip steps by numbers on the device, as a
    GradScaler of torch asks them to.

    Args:
        students: whose weights change.
        weight_decay: of matrices.
    """

    def __init__(self, students: Students, weight_decay: float) -> None:
        device, count = students.device, len(students.groups)
        self._cuda = device.type == "cuda"
        self._students = students
        self.rate = torch.zeros((), device=device)
        """Learning rate of the next step."""
        self.averaging = torch.zeros((), device=device)
        """Weight of the new weights in the averages."""
        self.active = torch.ones((), device=device)
        """0: change nothing, as while a graph is captured."""
        self.norms = torch.zeros(count, device=device)
        """Norm of each student's last gradient, before clipping."""
        self._views = [self._views_of(student) for student in range(count)]
        self.optimisers = [
            torch.optim.AdamW(
                [
                    {
                        "params": [view for name, _, view in views if name in _DECAYING],
                        "weight_decay": weight_decay,
                    },
                    {
                        "params": [view for name, _, view in views if name not in _DECAYING],
                        "weight_decay": 0.0,
                    },
                ],
                lr=self.rate,
                betas=BETAS,
                fused=True,
                capturable=self._cuda,
            )
            for views in self._views
        ]
        for optimiser in self.optimisers:
            # Else each warns that it first runs outside a graph, as a capture needs.
            optimiser._warned_capturable_if_run_uncaptured = True

    def _views_of(self, student: int) -> list[tuple[str, int, torch.Tensor]]:
        """Name of a flat tensor, row, and this row, for all weights of a student."""
        games = self._students.rows.students.tolist()
        places = [(name, student) for name in self._students.flat]
        owned = [game for game, owner in enumerate(games) if owner == student]
        places += [(name, game) for name in HEADS for game in owned]
        weights = self._students.weights
        return [(name, row, weights[name].detach()[row].requires_grad_()) for name, row in places]

    def apply(self, gradients: Mapping[str, torch.Tensor], parts: torch.Tensor) -> torch.Tensor:
        """Take a step with each student whose loss and gradient are finite.

        Args:
            gradients: name -> gradient; weights without one stay as they are.
            parts: of the loss, (4, students).

        Returns:
            Whether they are finite, (students,).
        """
        norms = self._norms(gradients)
        self.norms.copy_(norms)
        finite = torch.isfinite(norms) & torch.isfinite(parts.sum(0))
        skip = 1.0 - finite.float() * self.active
        divisors = ((norms + 1e-6) / CLIP).clamp(min=1.0)
        for student, optimiser in enumerate(self.optimisers):
            for name, row, view in self._views[student]:
                view.grad = gradients[name][row] if name in gradients else None
            optimiser.grad_scale, optimiser.found_inf = divisors[student], skip[student]
            optimiser.step()
            for _, _, view in self._views[student]:
                view.grad = None
        new = self.averaging * self.active
        for name, average in self._students.averages.items():
            average.lerp_(self._students.weights[name], new)
        return finite

    def _norms(self, gradients: Mapping[str, torch.Tensor]) -> torch.Tensor:
        students = self._students
        squares = torch.zeros_like(self.norms)
        for name, gradient in gradients.items():
            square = gradient.flatten(1).square().sum(1)
            if name in HEADS:
                squares.index_add_(0, students.rows.students, square)
            else:
                squares += square
        return squares.sqrt()

    def state_dict(self) -> list[dict[str, Any]]:
        """The state of every optimiser."""
        return [optimiser.state_dict() for optimiser in self.optimisers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Continue from a state.

        Raises:
            ValueError: it is of other students.
        """
        if len(states) != len(self.optimisers):
            raise ValueError(f"it has {len(states)} students, not {len(self.optimisers)}")
        for optimiser, state in zip(self.optimisers, states, strict=True):
            optimiser.load_state_dict(state)
            for group in optimiser.param_groups:
                # What was loaded is a copy, and perhaps of a training on another device.
                group["lr"], group["capturable"] = self.rate, self._cuda
