"""Labelled rows in the memory of the device, from which batches are drawn without the host.

Each game has a stretch of rows of its own, filled chunk by chunk. When it is full, new chunks take
the place of the oldest ones, except for a share of the first, which stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from atari_vlm.errors import InvalidSetting
from atari_vlm.learning.distill.architecture import IMAGE_SIZE
from atari_vlm.learning.distill.row_arrays import (
    COLUMNS,
    LONGEST_ANSWER,
    LONGEST_CLAUSE,
    MOST_OBJECTS,
    MOST_PLANS,
    PIXELS,
    ROW_BYTES,
    RowArrays,
)

CHUNK = 512
"""Rows of a chunk, unless another number is asked for."""

MEMORY_OF_ROW = ROW_BYTES + PIXELS + 12
"""Bytes of a row on the device: a row's arrays, its blue plane, and its place among the sums."""

_WORD = 8
"""Bytes that are gathered as one number, which takes a fraction of the time of single bytes."""


class RowStore:
    """Rows of several games on a device.

    Nothing here waits for the device, so that `add` is called between two steps, by the thread that
    takes them: the order of the work on the device is the only lock.

    Args:
        games: catalogue names.
        rows: game -> rows that there is room for; rounded down to whole chunks.
        device: where the rows live.
        patch_size: side of a patch of the students, in pixels.
        chunk: most rows of a call of `add`; fewer take the place of as many.
        held_out_rows: room for rows of each game that are never drawn.
        kept_share: share of each game's room whose first rows stay.

    Raises:
        InvalidSetting: a game has room for less than one chunk.
    """

    def __init__(
        self,
        games: tuple[str, ...],
        rows: Mapping[str, int],
        device: torch.device,
        patch_size: int,
        *,
        chunk: int = CHUNK,
        held_out_rows: int = 2 * CHUNK,
        kept_share: float = 0.35,
    ) -> None:
        self.games, self.device, self.chunk = games, device, chunk
        self._patch_size = patch_size
        for game in games:
            if rows[game] < chunk:
                raise InvalidSetting(
                    f"There is room for {max(0, rows[game]):,} rows of {game}, and a school needs "
                    f"{chunk:,} of each game at least. Teach fewer games, or free memory."
                )
        self._chunks = {game: rows[game] // chunk for game in games}
        self._kept = {
            game: min(int(kept_share * chunks), chunks - 1) for game, chunks in self._chunks.items()
        }
        self._held_chunks = -(-held_out_rows // chunk)
        starts = np.cumsum([0, *(self._chunks[game] for game in games)]) * chunk
        self._start = dict(zip(games, starts.tolist(), strict=False))
        held = starts[-1] + np.arange(len(games)) * self._held_chunks * chunk
        self._held_start = dict(zip(games, held.tolist(), strict=True))
        total = int(starts[-1]) + len(games) * self._held_chunks * chunk
        self._allocate(total)
        self.low = torch.tensor(starts[:-1], device=device)
        """First row of each game, (games,)."""
        self.high = torch.tensor(starts[1:] - 1, device=device)
        """Last row of each game, (games,)."""
        self._added = dict.fromkeys(games, 0)
        self._rows_added = dict.fromkeys(games, 0)
        self._weights: dict[str, dict[int, float]] = {game: {} for game in games}
        self._held: dict[str, list[NDArray[np.int64]]] = {game: [] for game in games}

    def _allocate(self, total: int) -> None:
        def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(total, *shape, dtype=dtype, device=self.device)

        self.grey = zeros(PIXELS // _WORD, dtype=torch.int64)
        """Luminance, patch after patch, as 8-byte words: (rows, 3200)."""
        self.moved = zeros(PIXELS // _WORD, dtype=torch.int64)
        """The blue plane of `images.motion`, as `grey`."""
        self.before = zeros(dtype=torch.int64)
        """Row of the screen before, (rows,)."""
        self.weight = zeros(dtype=torch.float32)
        self.plans = zeros(MOST_PLANS, dtype=torch.float32)
        self.answers = zeros(LONGEST_ANSWER, dtype=torch.int16)
        self.looks = zeros(MOST_OBJECTS, LONGEST_CLAUSE, dtype=torch.int16)
        self.sentence = zeros(dtype=torch.uint8)
        self._sums = zeros(dtype=torch.float64)
        """Number of the game + share of its weight up to a row: (rows,), rising."""

    def capacity(self, game: str) -> int:
        """Rows that there is room for, without the held-out ones."""
        return self._chunks[game] * self.chunk

    def count(self, game: str) -> int:
        """Rows added so far, those that were forgotten included."""
        return self._rows_added[game]

    def teaches(self, game: str) -> bool:
        """Whether any row of a game can be drawn."""
        return sum(self._weights[game].values()) > 0

    def held_out(self, game: str) -> NDArray[np.int64]:
        """The held-out rows with a weight above 0."""
        return np.concatenate([np.zeros(0, np.int64), *self._held[game]])

    def add(self, game: str, arrays: RowArrays, *, held_out: bool = False) -> None:
        """Copy a chunk to the device.

        Args:
            game: of the rows.
            arrays: the rows; the caller does not change them afterwards.
            held_out: never draw them; see `Stepper.held_out_losses`.

        Raises:
            InvalidSetting: a label is not finite, or there is no room for such a chunk.
        """
        if not len(arrays):
            return
        self._check(game, arrays)
        if held_out:
            number = len(self._held[game])
            if number == self._held_chunks:
                raise InvalidSetting(f"There is no room for more held-out rows of {game}.")
            start = self._held_start[game] + number * self.chunk
            self._held[game].append(start + np.flatnonzero(arrays.weight > 0))
        else:
            number = self._next_chunk(game)
            start = self._start[game] + number * self.chunk
            self._weights[game][number] = float(arrays.weight.sum())
            self._rows_added[game] += len(arrays)
        self._copy(arrays, start)
        if not held_out:
            self._sum(game)

    def _check(self, game: str, arrays: RowArrays) -> None:
        if len(arrays) > self.chunk:
            raise InvalidSetting(
                f"A chunk of {game} has {len(arrays):,} rows, and at most {self.chunk:,} fit."
            )
        finite = np.isfinite(arrays.weight).all() and np.isfinite(arrays.plans).all()
        if not finite or (arrays.weight < 0).any():
            raise InvalidSetting(
                f"A label of {game} cannot be learned: its weight or the probabilities of its "
                "plans are not finite, or below 0. Collect these rows anew."
            )

    def _next_chunk(self, game: str) -> int:
        """Number of the chunk to fill: the first empty one, then the oldest that may go."""
        number, chunks, kept = self._added[game], self._chunks[game], self._kept[game]
        self._added[game] += 1
        return number if number < chunks else kept + (number - chunks) % (chunks - kept)

    def _copy(self, arrays: RowArrays, start: int) -> None:
        buffer = torch.from_numpy(arrays.to_buffer())
        if self.device.type == "cuda":
            buffer = buffer.pin_memory()  # its memory is used again only after the copy
        raw = buffer.to(self.device, non_blocking=True)
        count, first = len(arrays), 0
        rows = slice(start, start + count)
        for column in COLUMNS:
            last = first + count * column.row_bytes
            dtype = getattr(torch, column.dtype)
            part = raw[first:last].view(dtype).view(count, *column.shape)
            first = last
            if column.name == "grey":
                grey = part
                self.grey[rows] = self._patches(part)
            elif column.name == "before":
                self.before[rows] = part.long() + start
                self.moved[rows] = self._patches(moved(grey, part.long()))
            else:
                getattr(self, column.name)[rows] = part
        self.weight[start + count : start + self.chunk] = 0.0

    def _patches(self, planes: torch.Tensor) -> torch.Tensor:
        """(rows, 160 * 160) -> the bytes in the order of patches, as 8-byte words."""
        size = self._patch_size
        side = IMAGE_SIZE // size
        patches = planes.view(-1, side, size, side, size).transpose(2, 3)
        return patches.reshape(len(planes), -1).view(torch.int64)

    def _sum(self, game: str) -> None:
        rows = slice(self._start[game], self._start[game] + self.capacity(game))
        sums = self.weight[rows].cumsum(0, dtype=torch.float64)
        self._sums[rows] = sums / sums[-1].clamp(min=1e-30) + self.games.index(game)

    def draw(self, games: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
        """Rows drawn by weight.

        Args:
            games: number of the game of each row to draw, (count,).
            chances: uniform random numbers from 0 to below 1, float64 (count,).
        """
        # A number of game g stays below g + 1, and a row of weight 0 is never the first above it.
        places = games + chances * (1 - 2.0**-40)
        last = int(self._held_start[self.games[0]])
        rows = torch.searchsorted(self._sums[:last], places, right=True)
        return torch.minimum(torch.maximum(rows, self.low[games]), self.high[games])

    def pixels(self, rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The motion pictures of rows, (rows, patches, 3 * patch_size ** 2), from -1 to 1."""
        planes = (self.grey[rows], self.grey[self.before[rows]], self.moved[rows])
        size = self._patch_size**2
        parts = [plane.view(torch.uint8).view(len(rows), -1, size) for plane in planes]
        scaled = torch.cat(parts, 2).float().div_(127.5).sub_(1.0)
        return scaled.to(dtype)


def moved(grey: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The blue plane of `images.motion`: (rows, 160 * 160) uint8.

    Args:
        grey: luminance, (rows, 160 * 160) uint8.
        before: index of the row with the screen before, (rows,).
    """
    now = grey.view(-1, IMAGE_SIZE, IMAGE_SIZE)
    then = now[before]
    difference = torch.maximum(now, then) - torch.minimum(now, then)
    padded = torch.nn.functional.pad(difference, (3, 3, 3, 3))
    two = torch.maximum(padded[:, :-1], padded[:, 1:])
    four = torch.maximum(two[:, :-2], two[:, 2:])
    rows = torch.maximum(four[:, :-3], four[:, 3:])
    two = torch.maximum(rows[:, :, :-1], rows[:, :, 1:])
    four = torch.maximum(two[:, :, :-2], two[:, :, 2:])
    widest = torch.maximum(four[:, :, :-3], four[:, :, 3:])
    return (widest.clamp(max=127) * 2).reshape(len(grey), -1)
