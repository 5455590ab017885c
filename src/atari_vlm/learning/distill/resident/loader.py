"""Brings the rows that players deliver into the memory of the device."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Protocol

import numpy as np

from atari_vlm.errors import ModelUnusable, StoreError
from atari_vlm.learning.distill.resident.spool import HELD_OUT, Spool
from atari_vlm.learning.distill.row_arrays import RowArrays

AHEAD = 8
"""Chunks that are read before they are asked for."""


class Store(Protocol):
    """What takes rows."""

    def add(self, game: str, arrays: RowArrays, *, held_out: bool = False) -> None:
        """Take consecutive rows of a game."""
        ...


class Loader:
    """Reads chunks in a thread; `take` adds them to the store, in the thread that trains.

    Args:
        spool: where the chunks are.
        vocabulary: number of tokens.
    """

    def __init__(self, spool: Spool, vocabulary: int) -> None:
        self.rows: Counter[tuple[str, str]] = Counter()
        """(game, player) -> rows that were taken; the player is "expert" or "student"."""
        self._spool, self._vocabulary = spool, vocabulary
        self._read: Queue[tuple[str, str, RowArrays] | Exception] = Queue(AHEAD)
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, store: Store, most: int = AHEAD) -> int:
        """Add chunks that are there, up to `most`; returns how many.

        Raises:
            ModelUnusable: rows hold what cannot be learned from.
            StoreError: held-out rows are damaged.
        """
        for number in range(most):
            try:
                found = self._read.get_nowait()
            except Empty:
                return number
            if isinstance(found, Exception):
                raise found
            game, kind, arrays = found
            store.add(game, arrays, held_out=kind == HELD_OUT)
            if kind != HELD_OUT:
                self.rows[game, kind] += len(arrays)
        return most

    def of_kind(self, kind: str) -> int:
        """Rows of experts or of students that were taken."""
        return sum(count for (_, name), count in self.rows.items() if name == kind)

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                paths = self._spool.waiting()
                if not paths:
                    time.sleep(0.02)
                for path in paths:
                    if (found := self._chunk(path)) is None:
                        self._spool.drop(path)
                    else:
                        self._put(found)
                        path.unlink()
                    if self._ended.is_set():
                        return
        except Exception as error:  # raised where the training is
            self._put(error)

    def _chunk(self, path: Path) -> tuple[str, str, RowArrays] | None:
        """The rows of a file; None if it is damaged."""
        try:
            game, kind, _ = path.name.split("-", 2)
            arrays = RowArrays.from_buffer(np.fromfile(path, np.uint8))
        except ValueError as error:
            if f"-{HELD_OUT}-" in path.name:  # nobody delivers it again
                raise StoreError(
                    f"Held-out rows in {path} are damaged ({error}). The checkpoint is kept; the "
                    "same command continues with new ones."
                ) from error
            return None
        check_rows(game, arrays, self._vocabulary)
        return game, kind, arrays

    def _put(self, found: tuple[str, str, RowArrays] | Exception) -> None:
        while not self._ended.is_set():
            try:
                self._read.put(found, timeout=0.1)
                return
            except Full:
                continue


def check_rows(game: str, arrays: RowArrays, vocabulary: int) -> None:
    """Raise ModelUnusable if labels are not finite or out of range: they would spoil the weights.

    Args:
        game: that the rows are of.
        arrays: the rows.
        vocabulary: number of tokens.
    """
    rows = len(arrays)
    wrong = ""
    if not (np.isfinite(arrays.weight).all() and (arrays.weight >= 0).all()):
        wrong = "a weight that is not a number from 0 up"
    elif not np.isfinite(arrays.plans).all():
        wrong = "a probability of a plan that is not finite"
    elif not np.allclose(arrays.plans.sum(1), 1.0, atol=1e-2):
        wrong = "probabilities of plans that do not add up to 1"
    elif arrays.answers.max(initial=-1) >= vocabulary or arrays.looks.max(initial=-1) >= vocabulary:
        wrong = "a token that the vocabulary lacks"
    elif rows and not (arrays.before.min() >= 0 and arrays.before.max() < rows):
        wrong = "no screen before a row where there should be one"
    if wrong:
        raise ModelUnusable(
            f"Training stopped: a labelled row of {game} has {wrong}. The last good checkpoint is "
            "kept. Look at the game's teacher, or at the data set."
        )
