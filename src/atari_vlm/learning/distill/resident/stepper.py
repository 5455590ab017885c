"""The steps of the resident school, all on the device: nothing in a step waits for the host.

Each step draws its rows, computes losses and gradients of all students, and updates them. On CUDA
it is two graphs, replayed; between them the gradients of several processes can be averaged.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from atari_vlm.errors import InvalidSetting, ModelUnusable
from atari_vlm.learning.distill.resident.background_compile import (
    BackgroundCompile,
    Compiler,
    Loss,
    gradients,
    torch_compile,
)
from atari_vlm.learning.distill.resident.cuda_graphs import Found, StepGraphs
from atari_vlm.learning.distill.resident.held_out import held_out_parts
from atari_vlm.learning.distill.resident.losses import Losses, Totals
from atari_vlm.learning.distill.resident.store import RowStore
from atari_vlm.learning.distill.resident.students import Students
from atari_vlm.learning.distill.resident.update import Update
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.train import EMA_DECAY

AllReduce: TypeAlias = Callable[[Sequence[torch.Tensor]], None]
"""Replaces tensors by their means over all processes, in place."""

_AHEAD = 3
"""Steps that the host may be ahead of the device."""


class Stepper:
    """Steps of several students.

    Args:
        students: their weights and loss.
        store: their rows; every game needs some before the first step.
        rate: peak learning rate; a cosine of the progress decays it to 3%.
        seed: of the rows that are drawn; another one in each process.
        warm_up: steps in which the rate rises, and half as many when the decoders begin to learn.
        weight_decay: of matrices.
        report: takes a line when a graph or the compiled loss takes over, or cannot.
        graphs: capture steps as CUDA graphs; None where the device is CUDA.
        compile: compile the loss beside the training; None where the device is CUDA.
        compiler: how it is compiled.
        all_reduce: averages gradients over processes; None for a single process.
    """

    def __init__(
        self,
        students: Students,
        store: RowStore,
        rate: float = 1.5e-3,
        *,
        seed: int = 0,
        warm_up: int = 200,
        weight_decay: float = 0.05,
        report: Report = print,
        graphs: bool | None = None,
        compile: bool | None = None,
        compiler: Compiler = torch_compile,
        all_reduce: AllReduce | None = None,
    ) -> None:
        self.students, self.store = students, store
        self.device, self.cuda = students.device, students.device.type == "cuda"
        self.steps, self._whole_steps = 0, 0
        self._rate, self._warm_up, self._report = rate, warm_up, report
        self._use_graphs = self.cuda if graphs is None else graphs and self.cuda
        self._compile = self.cuda if compile is None else compile
        self._compiler, self._all_reduce = compiler, all_reduce
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._draws = torch.empty(students.draws, dtype=torch.float64, device=self.device)
        self._update = Update(students, weight_decay)
        self._totals = Totals(len(students.groups), self.device)
        self._loss: Loss = students.loss
        self._graphs: dict[bool, StepGraphs] = {}
        self._pool: Any = None
        self._compiling: BackgroundCompile | None = None
        self._events: deque[Any] = deque()
        if self.cuda:
            if self.device.index is not None:
                torch.cuda.set_device(self.device)
            # The plans of cuDNN's attention are made for each shape while a graph is captured.
            torch.backends.cuda.enable_cudnn_sdp(False)

    def prepare(self) -> None:
        """Capture the graphs, and begin to compile. No weight changes.

        Raises:
            InvalidSetting: a game has no rows that can be drawn.
        """
        for game in self.store.games:
            if not self.store.teaches(game):
                raise InvalidSetting(f"There are no rows of {game} to learn from yet.")
        if self._use_graphs:
            for vision_only in (True, False):
                if (graphs := self._capture(vision_only)) is not None:
                    self._graphs[vision_only] = graphs
        if self._compile:
            self._draws.uniform_(generator=torch.Generator(self.device).manual_seed(1))
            with torch.no_grad():
                batch = self.students.labels(self.store, self._draws)
            weights = {n: w.detach().clone() for n, w in self.students.weights.items()}
            self._compiling = BackgroundCompile(self._loss, self._compiler, weights, batch)

    def step(self, vision_only: bool, progress: float) -> None:
        """Take one step with every student. Nothing is read back from the device.

        Args:
            vision_only: train the vision encoders alone, by their heads.
            progress: share of the training that is over, 0 to 1.
        """
        if self._compiling is not None and self._compiling.done:
            self._take_compiled(self._compiling)
        self._set_rates(vision_only, progress)
        self._draws.uniform_(generator=self._generator)
        self._run(vision_only, self._graphs.get(vision_only), self._all_reduce)
        self.steps += 1
        self._whole_steps += not vision_only
        if self.cuda:
            self._keep_close()

    def _set_rates(self, vision_only: bool, progress: float) -> None:
        cosine = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
        ramp = min(1.0, (self.steps + 1) / self._warm_up)
        if not vision_only:
            ramp = min(ramp, 2 * (self._whole_steps + 1) / self._warm_up)
        self._update.rate.fill_(self._rate * ramp * cosine)
        decay = min(EMA_DECAY, (2 + self.steps) / (11 + self.steps))
        self._update.averaging.fill_(1 - decay)

    def _run(
        self, vision_only: bool, graphs: StepGraphs | None, reduce: AllReduce | None = None
    ) -> None:
        """Run a step, through graphs if there are any.

        Only real steps reduce: other processes capture and time their graphs at other moments.
        """
        if graphs is None:
            found = self._gradients(vision_only)
        else:
            graphs.first.replay()
            found = graphs.found
        if reduce is not None:
            reduce([*found[0].values(), found[1]])
        if graphs is None:
            self._apply(found, vision_only)
        else:
            graphs.second.replay()

    def _gradients(self, vision_only: bool) -> Found:
        with torch.no_grad():
            batch = self.students.labels(self.store, self._draws)
        return gradients(self._loss, self.students.weights, batch, vision_only=vision_only)

    def _apply(self, found: Found, vision_only: bool) -> None:
        with torch.no_grad():
            finite = self._update.apply(*found)
            self._totals.add(found[1], finite, self._update.active, vision_only)

    def _keep_close(self) -> None:
        """Let the device come so close that what waits for it, such as a report, waits briefly."""
        event = torch.cuda.Event()
        event.record()
        self._events.append(event)
        if len(self._events) > _AHEAD:
            self._events.popleft().synchronize()

    def _capture(self, vision_only: bool) -> StepGraphs | None:
        """Capture a step with the loss in use; None if that does not work, which is reported.

        Raises:
            OutOfMemoryError: there is too little memory on the device.
        """
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        self._draws.fill_(0.5)
        with self._unchanged():
            try:
                return StepGraphs.capture(
                    lambda: self._gradients(vision_only),
                    lambda found: self._apply(found, vision_only),
                    self._pool,
                )
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                self._report(f"No CUDA graph of a step ({reason}): its kernels are started singly.")
                return None

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Steps in this block change no weight and count for nothing."""
        self._update.active.fill_(0.0)
        try:
            yield
        finally:
            self._update.active.fill_(1.0)

    def _take_compiled(self, compiling: BackgroundCompile) -> None:
        """Go on with the compiled loss, if there is one and it is faster."""
        self._compiling = None
        if compiling.compiled is None:
            self._report(f"The loss is not compiled ({compiling.failure}); training goes on.")
            return
        plain, before = self._loss, self._graphs.get(False)
        self._loss = compiling.compiled
        if before is None:
            self._report("Training goes on with the compiled loss.")
            return
        try:
            graphs = self._capture(False)
        except torch.OutOfMemoryError:
            graphs = None
            self._report("There is too little memory for a graph of the compiled loss.")
        with self._unchanged():
            old, new = before.seconds(), graphs.seconds() if graphs else math.inf
        if graphs is None or new >= old:
            self._loss = plain
            self._report("The compiled loss is not faster; training goes on without it.")
            return
        self._graphs[False] = graphs
        self._report(
            f"Training goes on with the compiled loss: {1e3 * new:.1f} ms a step, "
            f"{1e3 * old:.1f} before."
        )

    def losses(self) -> Losses:
        """Means since the last call. Waits for the device."""
        return self._totals.take(self._update.norms)

    def held_out_losses(self) -> Losses:
        """Of the averaged weights, on rows that are never drawn. Waits for the device.

        Raises:
            InvalidSetting: a game has no held-out rows.
        """
        parts = held_out_parts(self.students, self.store)
        nothing = torch.zeros(parts.shape[1])
        return Losses.of(parts, nothing, nothing)

    def check_finite(self) -> None:
        """Raise ModelUnusable if a weight is not finite: such weights are never written."""
        every = [*self.students.weights.values(), *self.students.averages.values()]
        for weight in every:
            rows = torch.isfinite(weight).flatten(1).all(1).tolist()
            if not all(rows):
                owners = self.students.rows.students.tolist()
                place = rows.index(False)
                group = owners[place] if len(rows) == len(owners) else place
                games = ", ".join(self.students.groups[group])
                raise ModelUnusable(f"A weight of the student of {games} is not finite.")

    def state_dict(self) -> dict[str, Any]:
        """Everything that continues the training exactly, but the rows; on the CPU."""
        return {
            "weights": _copied(self.students.weights),
            "averages": _copied(self.students.averages),
            "optimisers": _copied(self._update.state_dict()),
            "generator": self._generator.get_state(),
            "steps": self.steps,
            "whole_steps": self._whole_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state, before `prepare`: graphs captured earlier are dropped.

        Raises:
            ValueError: it is damaged, or of other students.
            KeyError: it lacks something.
            ModelUnusable: it holds weights that are not finite.
        """
        steps, whole = state["steps"], state["whole_steps"]
        if not (type(steps) is type(whole) is int and 0 <= whole <= steps):
            raise ValueError(f"it has {steps!r} steps, {whole!r} of them with the decoders")
        self._graphs.clear()
        with torch.no_grad():
            for name, own in (
                ("weights", self.students.weights),
                ("averages", self.students.averages),
            ):
                for key, weight in own.items():
                    loaded = state[name][key]
                    if loaded.shape != weight.shape:
                        raise ValueError(f"its {name} are of other students ({key})")
                    weight.copy_(loaded)
        self._update.load_state_dict(state["optimisers"])
        self._generator.set_state(state["generator"].cpu())
        self.steps, self._whole_steps = steps, whole
        self.check_finite()


def _copied(value: Any) -> Any:
    """A copy on the CPU of all tensors in dicts and lists."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return value
