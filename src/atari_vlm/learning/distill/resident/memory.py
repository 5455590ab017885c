"""How many rows fit: what is free, less a reserve, divided among the games by their shares."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.distill.resident.groups import share_of
from atari_vlm.learning.distill.resident.settings import ResidentSettings

if TYPE_CHECKING:
    import torch

GB = 10**9

LEAST_ROWS = 2_048
"""Rows of a hard game from which training is of use."""

RESERVE_OF_ROW = 16 * 2**20
"""Bytes that the forward and backward pass of one row of a step may take, in bf16, with the private
memory of two CUDA graphs."""

RESERVE = 3 * 2**30
"""Bytes for weights, optimiser and everything else."""


@dataclass(frozen=True, slots=True)
class Room:
    """The rows that fit, and what is to be said of them."""

    rows: dict[str, int]
    """Game -> rows."""
    line: str


def free_bytes(device: torch.device, settings: ResidentSettings) -> int:
    """Bytes for rows: those of the settings, or what is free on the device, less a reserve."""
    if settings.memory is not None:
        return int(settings.memory * GB)
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        reserve = RESERVE + settings.batch * len(settings.groups) * RESERVE_OF_ROW
        return max(0, int(free) - max(reserve, int(free) // 10))
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // 2
    except (AttributeError, ValueError, OSError):  # not on every system
        return 2 * 2**30


def room_for(
    games: Iterable[str], row_bytes: int, free: int, settings: ResidentSettings, *, fewer: float = 1
) -> Room:
    """Divide memory among games.

    Args:
        games: to divide it among.
        row_bytes: memory of a row.
        free: bytes.
        settings: rows that are wished for.
        fewer: factor on what fits, after memory ran out.

    Raises:
        InvalidSetting: not even the least useful number of rows fits.
    """
    shares = {game: share_of(game) for game in games}
    chunk, wished = settings.chunk_rows, settings.rows
    fit = int(fewer * free / row_bytes / sum(shares.values()))
    least = min(LEAST_ROWS, wished)
    if fit < least:
        needed = least * sum(shares.values()) * row_bytes / GB
        raise InvalidSetting(
            f"There is too little memory to train {len(shares)} games: {free * fewer / GB:.2g} GB "
            f"for rows hold {max(fit, 0):,} of a game, and {least:,} ({needed:.2g} GB) are the "
            f"fewest of use. Free memory, or train fewer games, or give a smaller "
            f"{setting('batch')}."
        )
    most = min(fit, wished)
    rows = {game: max(2 * chunk, int(most * share)) for game, share in shares.items()}
    total, gigabytes = sum(rows.values()), sum(rows.values()) * row_bytes / GB
    line = f"Memory for {total:,} rows of {len(rows)} games: {gigabytes:.3g} GB"
    if fit < wished:
        line += (
            f"; {int(wished * sum(shares.values())):,} were wished for, and {free / GB:.3g} GB are "
            "free for them"
        )
    return Room(rows, f"{line}.")
