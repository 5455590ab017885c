"""Settings and result of a distillation."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeAlias, get_args

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import (
    ARCHITECTURES,
    Architecture,
    ArchitectureName,
    architecture_of,
)
from atari_vlm.learning.distill.collect import HELD_OUT_SEED

Report = Callable[[str], None]
"""A function that takes one line of progress."""

Precision: TypeAlias = Literal["fp32", "bf16"]
"""Data type of matrix products; weights and optimiser stay in fp32."""

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Where a student is trained; auto: on a GPU if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """Settings of a distillation; `to_json` has those that decide its result."""

    games: tuple[str, ...] = ("pong",)
    minutes: float = 60.0
    """Minutes of training, without collection, export and the final evaluation. A larger number
    continues a finished run."""
    out: Path = Path("distilled")
    """Folder of the checkpoint, the data and the final weights."""
    base: Path | None = None
    """Checkpoint to start from; new words start with random embeddings. None for random weights."""
    data: Path | None = None
    """Data set from `collect` that replaces the first decisions of the expert."""
    seed: int = 0
    device: Device = "auto"
    threads: int = 1
    """Threads of the training process."""
    workers: int = 1
    """Processes in which the student plays during training; 0 plays and trains in turn."""
    batch: int = 64
    """Decisions of each optimiser step."""
    blend: int = 2
    """Games in each batch."""
    rate: float = 1e-3
    """Peak learning rate, after a warm-up; a cosine decays it to 3%."""
    opening: float = 0.1
    """Share of the minutes in which linear heads train the vision encoder alone."""
    first_decisions: int = 20_000
    """Decisions of the expert before training, for each game; fewer in short runs, none with
    `data`."""
    round_decisions: int = 8_000
    """Decisions of the student in each round, for each game; fewer in short runs."""
    round_minutes: float = 3.0
    """Minutes of training between two rounds of the student's play."""
    architecture: ArchitectureName | None = None
    """None: that of `base` or of the training in `out`, in a new folder NEW_ARCHITECTURE."""
    precision: Precision = "fp32"
    """With bf16 units, a step with fine patches takes 0.8 of the time in bf16."""
    checkpoint_seconds: float = 60.0
    report_seconds: float = 10.0
    episodes: int = 5
    """Full episodes of the final evaluation, for each game; 0 skips it."""

    NEW_ARCHITECTURE: ClassVar[ArchitectureName] = "coarse"
    """On a CPU, a step with finer patches takes longer than they give back in ten minutes:
    `python benchmarks/distill_versions.py`."""

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.games:
            raise InvalidSetting("Name at least one game to teach.")
        for game in self.games:
            get_answer_schema(game)
        if self.seed == HELD_OUT_SEED:
            raise InvalidSetting(
                f"Seed {HELD_OUT_SEED} is kept for decisions that are never learned."
            )
        if self.precision not in get_args(Precision):
            raise InvalidSetting(f"{setting('precision')} is fp32 or bf16, not {self.precision!r}.")
        if self.device not in get_args(Device):
            raise InvalidSetting(f"{setting('device')} is auto, cpu or cuda, not {self.device!r}.")
        if self.architecture not in (None, *ARCHITECTURES):
            raise InvalidSetting(
                f"{setting('architecture')} is {' or '.join(ARCHITECTURES)}, not "
                f"{self.architecture!r}."
            )
        if not 0 <= self.opening < 1:
            raise InvalidSetting(
                f"{setting('opening')} is a share of the minutes, 0 to 1, not {self.opening}."
            )
        rounds = ("round_minutes", "first_decisions", "round_decisions")
        for name in ("minutes", *rounds, "batch", "blend", "threads", "rate"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidSetting(f"{setting(name)} must be above 0 and finite, not {value}.")

    def with_architecture(self) -> Self:
        """These settings with an architecture.

        Raises:
            ModelUnusable: `base` has none that is known.
            InvalidSetting: it has another one than was asked for.
        """
        if self.base is not None:
            of_base = self._architecture_of(self.base)
            name = next(name for name, each in ARCHITECTURES.items() if each == of_base)
            if self.architecture not in (None, name):
                raise InvalidSetting(
                    f"The weights in {self.base} are {name}, so {setting('architecture')} cannot "
                    f"be {self.architecture}."
                )
            return replace(self, architecture=name)
        if self.architecture is not None:
            return self
        stored = _stored_architecture(self.out / "settings.json")
        return replace(self, architecture=stored or self.NEW_ARCHITECTURE)

    def _architecture_of(self, base: Path) -> Architecture:
        return architecture_of(base)

    def decisions(self, wanted: int) -> int:
        """`wanted`, or fewer in a run that is too short to learn from them."""
        return max(200, min(wanted, int(2_000 * self.minutes)))

    _FLAGS: ClassVar[tuple[str, ...]] = (
        "precision",
        "round_minutes",
        "round_decisions",
        "opening",
    )
    """Settings that a command names if they are not the default ones."""

    def _taught(self) -> dict[str, object]:
        """The flag that names the games, and its value."""
        return {"games": ",".join(self.games)}

    def command(self) -> str:
        """The command line of these settings, without those of the folder and the computer."""
        defaults = {each.name: each.default for each in fields(self)}
        flags = self._taught() | {
            "minutes": f"{self.minutes:g}",
            "seed": self.seed,
            "from": self.base,
            "data": self.data,
        }
        if self.base is None and self.architecture not in (None, self.NEW_ARCHITECTURE):
            flags["architecture"] = self.architecture
        for name in self._FLAGS:
            value = getattr(self, name)
            if value != defaults[name]:
                flags[name.replace("_", "-")] = value
        asked = (
            f"--{name} {shlex.quote(str(value))}"
            for name, value in flags.items()
            if value is not None
        )
        return f"atari-vlm distill {' '.join(asked)} --out FOLDER"

    def to_json(self) -> str:
        """All settings that decide the result, as JSON; stored in the folder."""
        ignored = {"out", "minutes", "device", "threads", "workers", "episodes"}
        ignored |= {"checkpoint_seconds", "report_seconds"}
        # Later settings are stored only if they are used, so that older folders can continue.
        ignored |= set() if self.data else {"data"}
        ignored |= set() if self.precision != "fp32" else {"precision"}
        ignored |= set() if self.architecture == "fine" else {"architecture"}
        kept = {k: v for k, v in asdict(self).items() if k not in ignored}
        return json.dumps(kept, indent=1, default=str)


def _stored_architecture(path: Path) -> ArchitectureName | None:
    """The architecture of the training that has these settings; None if there is none."""
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):  # the checkpoint has its own copy, which is compared
        return None
    return "fine" if isinstance(stored, dict) and "architecture" in stored else "coarse"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillResult:
    """Result of a distillation."""

    folder: Path
    """Folder of the weights, in transformers format and ONNX."""
    steps: int
    """Optimiser steps."""
    minutes: float
    """Minutes of training, over all continuations."""
    held_out: dict[str, float]
    """GAME/FIELD -> share of correct values; see `evaluate.TOLERANCE`."""
    scores: dict[str, tuple[float, ...]]
    """Game -> scores of the final episodes."""
