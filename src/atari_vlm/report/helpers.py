"""The two processes that `drawing` starts for long episodes: one plays, the other pools and packs.

Playing is most of the work, and nothing can divide it: the emulator needs the frames before each
frame. So it has a process of its own, which puts raw screens into memory that both share, a slot at
a time. Two pipes say which slots are full and which are free. Both processes end by themselves when
their parent does.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.pooling import RAW, Pooling, pooling_of
from atari_vlm.atari.pooling_many import pool_many
from atari_vlm.errors import StoreError
from atari_vlm.files.processes import end_with
from atari_vlm.report.screens import pack_screens
from atari_vlm.runs.replaying import Recording, moments
from atari_vlm.types import Pixels

SLOT, SLOTS = 2 * 2**20, 8
"""Bytes of a slot, and slots in the shared memory."""

GIVEN_UP = 75
"""Exit code of a helper that lacks memory, disk, or the other helper."""

NEEDED: dict[Pooling, int] = {"last": 1, "brighter": 2, "flicker": RAW}
"""Raw screens that a picture is made of."""


def main(role: str, parent: str, memory: str, other: str) -> None:
    """Do the work of a helper.

    Args:
        role: "play": recordings come from standard input, what is in the slots is said on standard
            output. "pack": that comes from standard input, and packed screens go to standard
            output.
        parent: process id of the process that started this one.
        memory: file descriptor of the shared memory.
        other: file descriptor of the pipe that says which slots are free.
    """
    end_with(int(parent))
    shared = np.frombuffer(mmap.mmap(int(memory), SLOT * SLOTS), np.uint8).reshape(SLOTS, SLOT)
    try:
        if role == "play":
            play(sys.stdin, shared, sys.stdout, int(other))
        else:
            pack(sys.stdin, shared, sys.stdout, int(other))
    except (MemoryError, OSError, EOFError):
        os._exit(GIVEN_UP)


# --- playing -------------------------------------------------------------------------------------


def play(jobs: IO[str], shared: NDArray[np.uint8], said: IO[str], free: int) -> None:
    """Play recordings, one a line, and put the raw screens of their decisions into the slots."""
    slots = _free_slots(free)
    for line in jobs:
        values = json.loads(line)
        shown = values.pop("shown")
        try:
            for filled in _played(Recording(**values), shown, shared, slots):
                _say(said, filled)
        except StoreError as error:
            _say(said, {"error": error.message})
            return


def _played(
    record: Recording, shown: int, shared: NDArray[np.uint8], slots: Iterator[int]
) -> Iterator[dict[str, Any]]:
    """What is in each slot that was filled, the last of an episode marked."""
    pooling = pooling_of(record.settings["pool_frames"])
    played = islice(moments(record, frame_stack=1, pool_frames="last"), shown)
    env = next(played)
    slot = _Slot(shared, next(slots), env.emulator.screen(pooled=False).shape, NEEDED[pooling])
    about = {"pooling": pooling, "shape": slot.shape}
    for screen in env.emulator.raw_screens:
        slot.blank()[:] = screen
    slot.end_decision()
    env.emulator.blank = slot.blank
    for _ in played:
        slot.end_decision()
        if slot.full:
            yield {"slot": slot.number, "counts": slot.counts, "end": False, **about}
            slot.clear(next(slots))
    yield {"slot": slot.number, "counts": slot.counts, "end": True, **about}


class _Slot:
    """The slot that the screens of an episode are drawn into.

    Args:
        shared: all slots.
        number: of the first one.
        shape: (height, width) of a screen.
        needed: how many of the last raw screens of a decision are kept.
    """

    def __init__(
        self, shared: NDArray[np.uint8], number: int, shape: tuple[int, ...], needed: int
    ) -> None:
        self._shared, self.shape, self._needed = shared, shape, needed
        self._most = SLOT // (shape[0] * shape[1])
        self.clear(number)

    def clear(self, number: int) -> None:
        """Begin another slot."""
        self.number, self.counts = number, list[int]()
        used = self._shared[number, : self._most * self.shape[0] * self.shape[1]]
        self._screens: Pixels = used.reshape(-1, *self.shape)
        self._start = self._end = 0

    def blank(self) -> Pixels:
        """Where the next screen belongs."""
        self._end += 1
        screen: Pixels = self._screens[self._end - 1]
        return screen

    def end_decision(self) -> None:
        """Keep the last screens that were drawn since this was called before."""
        drawn = self._screens[self._start : self._end]
        kept = min(len(drawn), self._needed)
        if kept < len(drawn):
            drawn[:kept] = drawn[-kept:].copy()
        self.counts.append(kept)
        self._start = self._end = self._start + kept

    @property
    def full(self) -> bool:
        """Whether the screens of another decision may not fit."""
        return self._end + RAW > self._most


def _free_slots(pipe: int) -> Iterator[int]:
    """The numbers of slots that may be filled, each as soon as it may."""
    yield from range(SLOTS)
    while number := os.read(pipe, 1):
        yield number[0]
    raise BrokenPipeError("The other helper has ended.")


def _say(said: IO[str], what: dict[str, Any]) -> None:
    said.write(json.dumps(what) + "\n")
    said.flush()


# --- packing -------------------------------------------------------------------------------------


def pack(heard: IO[str], shared: NDArray[np.uint8], packed: IO[str], free: int) -> None:
    """Pool the screens in the slots and write them packed, one episode a line."""
    for line in heard:
        filled = json.loads(line)
        try:
            done = asdict(pack_screens(_pictures(filled, heard, shared, free)))
        except StoreError as error:
            done = {"error": error.message}
        _say(packed, done)


def _pictures(
    filled: dict[str, Any], heard: IO[str], shared: NDArray[np.uint8], free: int
) -> Iterator[Pixels]:
    """The pictures of an episode.

    Args:
        filled: what is in its first slot.
        heard: says what is in the others.
        shared: the slots.
        free: the pipe that says which slots may be filled again.

    Raises:
        StoreError: the episode could not be played on.
    """
    last: Pixels | None = None
    while True:
        if "error" in filled:
            raise StoreError(filled["error"])
        slot, shape, counts = filled["slot"], tuple(filled["shape"]), filled["counts"]
        new = shared[slot, : sum(counts) * shape[0] * shape[1]].reshape(-1, *shape)
        raw = new.copy() if last is None else np.concatenate([last, new])
        os.write(free, bytes([slot]))
        ends = len(raw) - len(new) + np.cumsum(counts)
        yield from pool_many(raw, ends.tolist(), filled["pooling"])
        last = raw[-RAW:]
        if filled["end"]:
            return
        if not (line := heard.readline()):
            raise EOFError("The other helper has ended.")
        filled = json.loads(line)
