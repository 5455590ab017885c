"""How many rows fit: what is free, less a reserve, divided among the games by their shares."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.distill.resident.groups import counted, share_of
from atari_vlm.learning.distill.resident.settings import ResidentSettings

if TYPE_CHECKING:
    import torch

GB = 10**9

LEAST_ROWS = 2_048
"""Rows of a hard game from which training is of use."""

SLACK = 0.03
"""Share of the free memory that is left to whatever else uses the device."""


@dataclass(frozen=True, slots=True)
class Room:
    """The rows that fit, and what is to be said of them."""

    rows: dict[str, int]
    """Game -> rows."""
    line: str


def free_bytes(device: torch.device) -> int:
    """Bytes that are free before anything of the training is there.

    On a GPU less a slack; elsewhere half of them, as the training needs some of the same memory.
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return int(free * (1 - SLACK))
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // 2
    except (AttributeError, ValueError, OSError):  # not on every system
        return 2 * 2**30


def room_for(
    games: Iterable[str],
    fit: int,
    row_bytes: int,
    settings: ResidentSettings,
    *,
    fewer: float = 1.0,
) -> Room:
    """Divide the rows that fit among games.

    Args:
        games: to divide them among.
        fit: rows of all games together that fit.
        row_bytes: memory of a row.
        settings: rows that are wished for.
        fewer: factor on what fits and on what is wished for, after memory ran out.

    Raises:
        InvalidSetting: not even the least useful number of rows fits.
    """
    shares = {game: share_of(game) for game in games}
    chunk, wished = settings.chunk_rows, int(settings.rows * fewer)
    held_out = len(shares) * (-(-settings.held_out_rows // chunk) * chunk)
    each = int(max(0, fit * fewer - held_out) / sum(shares.values()))
    least = min(LEAST_ROWS, wished)
    if each < least:
        needed = (least * sum(shares.values()) + held_out) * row_bytes / GB
        raise InvalidSetting(
            f"There is too little memory to train {counted(len(shares), 'game')}: "
            f"room for {each:,} rows of each, and {least:,} are the fewest of use "
            f"({needed:.2g} GB beside what the training itself takes). Free memory, train fewer "
            f"games, or give a smaller {setting('batch')}."
        )
    most = min(each, wished)
    rows = {game: max(2 * chunk, int(most * share)) for game, share in shares.items()}
    total = sum(rows.values())
    line = f"Memory for {total:,} rows of {counted(len(rows), 'game')}: "
    line += f"{total * row_bytes / GB:.3g} GB"
    if each < wished:
        line += f"; {int(wished * sum(shares.values())):,} were wished for, and no more fit"
    return Room(rows, f"{line}.")
