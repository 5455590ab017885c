"""Settings of the school whose rows stay on the device; their defaults are for a GPU."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.distill.architecture import Architecture, ArchitectureName
from atari_vlm.learning.distill.resident.bases import common_architecture
from atari_vlm.learning.distill.resident.groups import (
    LEAST_OF_GAME,
    Groups,
    check_groups,
    groups_of,
)
from atari_vlm.learning.distill.settings import DistillSettings, Precision


def free_cores() -> int:
    """The processor cores of this computer, less two for the training itself; at least one."""
    available = getattr(os, "sched_getaffinity", None)
    cores = len(available(0)) if available else os.cpu_count() or 1
    return max(1, cores - 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentSettings(DistillSettings):
    """Settings of the resident school. `blend`, `first_decisions` and `round_decisions` are unused.

    The numbers are those of a run of nine minutes on one H100.
    """

    games: tuple[str, ...] = ()
    """Empty: those of `groups`."""
    groups: Groups = ()
    """The games of each checkpoint. Empty: the default groups of `games`."""
    workers: int = field(default_factory=free_cores)
    """Processes that play; 0 plays and trains in turn."""
    batch: int = 256
    """Rows of each checkpoint in a step, divided among its games."""
    rate: float = 1.5e-3
    opening: float = 0.05
    precision: Precision = "bf16"
    round_minutes: float = 0.5
    """Minutes of training between two snapshots of the students that play."""
    teacher_share: float = 0.6
    """Share of the chunks that teachers play once there is a student."""
    rows: int = 110_000
    """Rows of a game in memory if there is room for them; half for easy ones."""
    chunk_rows: int = 512
    """Rows that a player delivers at a time."""
    ready_rows: int = 3_072
    """Rows of each game before training begins, also after it was interrupted."""
    held_out_rows: int = 1_024
    """Rows of each game that are never learned."""
    memory: float | None = None
    """Memory for rows, in GB. None: what is free, less a reserve for the training."""
    compile: bool = True
    """Compile the loss beside the running training, on a GPU."""
    candidate_minutes: float = 1.0
    """Minutes of training between two snapshots among which play chooses."""
    tuning_games: int = 2
    """Games of each game that such a snapshot plays; the best play twice as many more."""
    tuning_frames: int = 12_000
    """Most emulator frames of such a game: 200 seconds of play."""
    episode_frames: int = 108_000
    """Most emulator frames of a game of the final evaluation."""

    NEW_ARCHITECTURE: ClassVar[ArchitectureName] = "fine"

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.groups and not self.games:
            named = tuple(game for group in self.groups for game in group)
            object.__setattr__(self, "games", named)
        DistillSettings.__post_init__(self)
        if not self.groups:
            object.__setattr__(self, "groups", groups_of(self.games))
        check_groups(self.groups, self.games)
        if not 0 <= self.teacher_share <= 1:
            raise InvalidSetting(
                f"{setting('teacher_share')} is from 0 to 1, not {self.teacher_share}."
            )
        self._check_numbers()
        longest = max(len(group) for group in self.groups)
        if self.batch < LEAST_OF_GAME * longest:
            raise InvalidSetting(
                f"{setting('batch')} {self.batch} is too small for {longest} games in a "
                f"checkpoint; {LEAST_OF_GAME * longest} would do."
            )

    def _check_numbers(self) -> None:
        counts = ("rows", "chunk_rows", "ready_rows", "held_out_rows")
        frames = ("tuning_frames", "episode_frames")
        for name in (*counts, *frames, "candidate_minutes"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InvalidSetting(f"{setting(name)} must be above 0 and finite, not {value}.")
        for name in ("workers", "tuning_games", "episodes"):
            if getattr(self, name) < 0:
                raise InvalidSetting(f"{setting(name)} is 0 or more, not {getattr(self, name)}.")

    def _architecture_of(self, base: Path) -> Architecture:
        """That of all checkpoints in a folder; see `common_architecture` for its errors."""
        return common_architecture(base, self.groups)

    _FLAGS: ClassVar[tuple[str, ...]] = ("precision", "round_minutes", "opening")

    def _taught(self) -> dict[str, object]:
        return {"groups": ";".join(",".join(group) for group in self.groups)}

    def to_json(self) -> str:
        """All settings that decide the result, as JSON; stored in the folder."""
        ignored = {"out", "minutes", "threads", "workers", "episodes", "device", "memory"}
        ignored |= {"checkpoint_seconds", "report_seconds", "compile", "ready_rows", "chunk_rows"}
        ignored |= {"blend", "first_decisions", "round_decisions", "tuning_games", "tuning_frames"}
        ignored |= {"candidate_minutes", "rows", "held_out_rows", "episode_frames"}
        kept = {k: v for k, v in asdict(self).items() if k not in ignored}
        return json.dumps({"school": "resident", **kept}, indent=1, default=str)
