"""What a distillation is asked to do, and what it hands back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.collect import HELD_OUT
from atari_vlm.learning.distill.curriculum import get_subject

Report = Callable[[str], None]
"""Takes one line of progress."""

Precision: TypeAlias = Literal["fp32", "bf16"]
"""Numbers that matrices are multiplied in; weights and optimiser stay in fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """Settings of one distillation; those that decide what is learned are kept beside it."""

    games: tuple[str, ...] = ("pong",)
    minutes: float = 60.0
    """Minutes of training; collecting, exporting and the final evaluation come on top. A finished
    run continues when asked for more minutes."""
    out: Path = Path("distilled")
    """Folder of the checkpoint, the data and, at the end, the weights."""
    base: Path | None = None
    """Folder of weights to begin with instead of chance; words it does not know begin anew."""
    data: Path | None = None
    """Folder that `collect` filled, to learn from in place of the expert's own first round."""
    seed: int = 0
    threads: int = 1
    """Threads of the training process."""
    workers: int = 1
    """Processes that let the student play while it trains; 0 plays and trains in turn."""
    batch: int = 64
    blend: int = 2
    """Games in each batch."""
    rate: float = 1e-3
    """Highest learning rate; warms up, then falls to 3% of it on a cosine."""
    opening: float = 0.1
    """Share of the minutes in which only the eyes are trained, through linear heads."""
    first_decisions: int = 20_000
    """Decisions the expert plays before training starts, for each game; fewer in short runs, and
    none where there is `data`."""
    round_decisions: int = 8_000
    """Decisions the student plays in each round, for each game; fewer in short runs."""
    round_minutes: float = 3.0
    """Training minutes between two rounds in which the student plays."""
    precision: Precision = "fp32"
    """On processors and GPUs with bf16 units, bf16 takes 0.6 of the time of a step or less."""
    checkpoint_seconds: float = 60.0
    report_seconds: float = 10.0
    episodes: int = 5
    """Full episodes of the final evaluation, for each game; 0 for none."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.games:
            raise InvalidSetting("Name at least one game to teach.")
        for game in self.games:
            get_subject(game)
        if self.seed == HELD_OUT:
            raise InvalidSetting(f"Seed {HELD_OUT} is kept for decisions that are never learned.")
        if self.precision not in get_args(Precision):
            raise InvalidSetting(f"precision is fp32 or bf16, not {self.precision!r}.")
        if not 0 <= self.opening < 1:
            raise InvalidSetting(f"opening is a share of the minutes, 0 to 1, not {self.opening}.")
        rounds = ("round_minutes", "first_decisions", "round_decisions")
        for name in ("minutes", *rounds, "batch", "blend", "threads", "rate"):
            if getattr(self, name) <= 0:
                raise InvalidSetting(f"{name} must be above 0, not {getattr(self, name)}.")

    def decisions(self, wanted: int) -> int:
        """`wanted`, or fewer in a run too short to learn from them."""
        return max(200, min(wanted, int(2_000 * self.minutes)))

    def command(self) -> str:
        """The command line that asks for the same, but for the folder and the computer."""
        usual = {each.name: each.default for each in fields(self)}
        flags = {
            "games": ",".join(self.games),
            "minutes": f"{self.minutes:g}",
            "seed": self.seed,
            "from": self.base,
            "data": self.data,
        }
        for name in ("precision", "round_minutes", "round_decisions", "opening"):
            value = getattr(self, name)
            if value != usual[name]:
                flags[name.replace("_", "-")] = value
        asked = (
            f"--{name} {shlex.quote(str(value))}"
            for name, value in flags.items()
            if value is not None
        )
        return f"atari-vlm distill {' '.join(asked)} --out FOLDER"

    def to_json(self) -> str:
        """Every setting that decides what is learned, to be kept in the folder."""
        free = {"out", "minutes", "threads", "workers", "episodes"}
        free |= {"checkpoint_seconds", "report_seconds"}
        # What came later is named only where it is used, so that older folders still continue.
        free |= set() if self.data else {"data"}
        free |= set() if self.precision != "fp32" else {"precision"}
        kept = {k: v for k, v in asdict(self).items() if k not in free}
        return json.dumps(kept, indent=1, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillResult:
    """What came out."""

    folder: Path
    """The weights: transformers format and ONNX."""
    steps: int
    minutes: float
    """Minutes trained, over all continuations."""
    held_out: dict[str, float]
    """"<game>/<field>" -> share of held-out decisions answered within a hair of the truth."""
    scores: dict[str, tuple[float, ...]]
    """Game -> scores of the final full episodes."""
