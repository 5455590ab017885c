"""Decisions a second of a training step: the Trainer's, and the resident school's.

Run: python benchmarks/resident_step.py [--groups pong,breakout] [--batch 64] [--seconds 5]
[--rounds 3] [--compile]. Each step is timed in turn in every round, on the GPU if there is one, and
the median is printed. The games of a student are joined by commas, students by semicolons. On a
GPU, the groups are those of all twelve games with 256 decisions each, and the loss is compiled.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from atari_vlm.learning.distill.architecture import FINE, build_tokenizer
from atari_vlm.learning.distill.collect import collect
from atari_vlm.learning.distill.resident.stepper import Stepper
from atari_vlm.learning.distill.resident.store import RowStore
from atari_vlm.learning.distill.resident.students import Students
from atari_vlm.learning.distill.row_arrays import Labeller
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.train import Trainer

ROWS = 256
"""Labelled decisions of each game."""
TRAINER_BATCH = 64
TWELVE = (
    "pong,breakout,freeway,private_eye;space_invaders,enduro;ms_pacman,qbert;asteroids,seaquest;"
    "montezuma_revenge,pitfall"
)
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", default=TWELVE if CUDA else "pong,breakout")
    parser.add_argument("--batch", type=int, default=256 if CUDA else TRAINER_BATCH)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each step in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", default=CUDA)
    asked = parser.parse_args()
    groups = tuple(tuple(games.split(",")) for games in asked.groups.split(";"))
    games = tuple(game for group in groups for game in group)
    rows = {game: list(collect(game, ROWS, seed=1)) for game in games}
    with tempfile.TemporaryDirectory() as folder:
        steps = {"Trainer": trainer_step(games, rows, Path(folder))}
        eager, stepper = resident_step(groups, rows, asked.batch)
        steps["resident"] = eager
        if asked.compile:
            compiled, other = resident_step(groups, rows, asked.batch, compile=True)
            start = time.perf_counter()
            other._compiling.wait()
            print(f"compiled in {time.perf_counter() - start:.0f} s")
            steps["resident, compiled"] = compiled
        print(f"{DEVICE}, {stepper.students.dtype}, {len(groups)} students of {asked.batch} rows")
        rates = {name: [] for name in steps}
        for each in steps.values():
            each()  # warm
        for _ in range(asked.rounds):
            for name, each in steps.items():
                rates[name].append(decisions_a_second(each, asked.seconds))
    today = statistics.median(rates["Trainer"])
    for name, found in rates.items():
        median = statistics.median(found)
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(
            f"{name}: {median:,.0f} decisions/s ({spread}), {median / today:.2f} times the Trainer"
        )


def trainer_step(games, rows, folder) -> Callable[[], int]:
    settings = DistillSettings(
        games=games,
        out=folder,
        batch=TRAINER_BATCH,
        opening=0.0,
        architecture="fine",
        precision="bf16" if CUDA else "fp32",
    )
    trainer, rng = Trainer(settings), np.random.default_rng(0)
    for game, decisions in rows.items():
        trainer.data[game].add(decisions)

    def step() -> int:
        trainer.step(rng)
        return TRAINER_BATCH

    return step


def resident_step(groups, rows, batch, *, compile=False) -> tuple[Callable[[], int], Stepper]:
    tokenizer = build_tokenizer(tuple(rows))
    dtype = torch.bfloat16 if CUDA else torch.float32
    students = Students(groups, tokenizer, FINE, batch, DEVICE, dtype)
    store = RowStore(students.games, dict.fromkeys(rows, ROWS), DEVICE, FINE.patch_size, chunk=ROWS)
    for game, decisions in rows.items():
        store.add(game, Labeller(game, tokenizer).chunk(iter(decisions), ROWS))
    stepper = Stepper(students, store, compile=compile)
    stepper.prepare()

    def step() -> int:
        stepper.step(False, 0.5)
        return batch * len(groups)

    return step, stepper


def decisions_a_second(step: Callable[[], int], seconds: float) -> float:
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += step()
    if CUDA:
        torch.cuda.synchronize()
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
