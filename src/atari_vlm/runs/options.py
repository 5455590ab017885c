"""Which run is played: its seeds, its folder, how much at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atari_vlm.options import check_numbers, option

TRAINING_EPISODES = 10
"""Episodes of a training, unless it is told otherwise."""

EVALUATION_EPISODES = 5
"""Episodes of an evaluation, unless it is told otherwise."""

MOST_SEEDS = 10**12
"""Seeds of a run; each stands for a million emulator seeds, see `runs.seeds`."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Seeds and folders of a run."""

    seed: int = option(
        0, "Seed of the run: another seed plays other games.", least=0, most=MOST_SEEDS
    )
    parallel: int = option(1, "Episodes at the same time.", least=1, most=10_000)
    save_dir: str | Path = option(Path("runs"), "Where run folders go.")
    run_folder: str | Path | None = option(
        None, "Run folder; default: named after the settings.", flag="--run"
    )

    def __post_init__(self) -> None:
        check_numbers(self)
