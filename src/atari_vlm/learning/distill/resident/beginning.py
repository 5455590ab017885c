"""What follows from the settings when a training begins: batches, first weights, players."""

from __future__ import annotations

import math
from pathlib import Path

from atari_vlm.learning.distill.resident.bases import base_of
from atari_vlm.learning.distill.resident.groups import LEAST_OF_GAME
from atari_vlm.learning.distill.resident.players import PlayerOrder
from atari_vlm.learning.distill.resident.processes import Processes
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.resident.spool import Spool
from atari_vlm.learning.distill.settings import Report

JUDGES = 3
"""One player in so many plays whole games before rows."""


def batch_of_process(settings: ResidentSettings, processes: int, fewer: float = 1.0) -> int:
    """Rows of each group in a step of one process: a multiple of the games of every group.

    Args:
        settings: with the rows of all processes.
        processes: that share the batch.
        fewer: factor, after memory ran out.
    """
    sizes = [len(group) for group in settings.groups]
    whole = math.lcm(*sizes)
    least = -(-LEAST_OF_GAME * max(sizes) // whole)
    return max(least, int(settings.batch * fewer / processes) // whole) * whole


def bases_of_groups(settings: ResidentSettings, report: Report) -> list[Path | None] | None:
    """The checkpoint that each group begins with; None if all begin with random weights.

    Raises:
        ModelUnusable: a checkpoint cannot be read.
    """
    if settings.base is None:
        return None
    found = [base_of(settings.base, group) for group in settings.groups]
    for group, path in zip(settings.groups, found, strict=True):
        name = "random weights" if path is None else f"the weights in {path}"
        report(f"{', '.join(group)}: training begins with {name}.")
    return found


def player_orders(
    settings: ResidentSettings, processes: Processes, spool: Spool, start: int
) -> list[PlayerOrder]:
    """The players of a process.

    Args:
        settings: of the training; its `workers` are those of one computer.
        processes: this process among others.
        spool: of this process.
        start: how often the training was started before.
    """
    games = tuple(game for group in settings.groups for game in group)
    players = max(1, settings.workers // processes.local_count)
    return [
        PlayerOrder(
            number=number,
            name=f"{processes.rank}.{number}",
            spool=spool.folder,
            games_folder=spool.games,
            groups=settings.groups,
            seed=settings.seed,
            start=start,
            chunk_rows=settings.chunk_rows,
            teacher_share=settings.teacher_share,
            most_waiting=3 * players + 8,
            judge=number % JUDGES == 0,
            held_out=games[number::players] if processes.is_main else (),
            held_out_rows=settings.held_out_rows,
        )
        for number in range(players)
    ]
