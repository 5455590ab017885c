"""The steps of an episode so far, as a policy is given them: short to store, however long it is."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Sequence
from typing import overload

from atari_vlm.types import Step

PICTURES = 8
"""Newest steps that keep their frames and prompts; the record has those of older ones."""

CHUNK = 64
"""Older steps that are packed together."""


class History(Sequence[Step]):
    """Every step of an episode, oldest first; only the loop adds to it.

    Steps older than the last `PICTURES` have no frames and no calls. The older they are, the less
    they take: in chunks of `CHUNK` they are compressed, about 25 bytes a step without words, and
    unpacked when they are looked at. So an episode of 100,000 decisions takes megabytes, and adding
    a step takes as long at its end as at its beginning.
    """

    def __init__(self) -> None:
        self._packed: list[bytes | tuple[Step, ...]] = []
        self._newest: list[Step] = []
        self._unpacked: tuple[int, tuple[Step, ...]] = (-1, ())

    def append(self, step: Step) -> None:
        """Add the newest step."""
        newest = self._newest
        newest.append(step)
        if len(newest) > PICTURES:
            newest[-PICTURES - 1] = newest[-PICTURES - 1].without_frames()
        if len(newest) == CHUNK + PICTURES:
            self._packed.append(_packed(tuple(newest[:CHUNK])))
            del newest[:CHUNK]

    def __len__(self) -> int:
        return CHUNK * len(self._packed) + len(self._newest)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"There are {len(self)} steps, and none with the index {index}.")
        chunk, place = divmod(at, CHUNK)
        if chunk >= len(self._packed):
            return self._newest[at - CHUNK * len(self._packed)]
        known, steps = self._unpacked
        if known != chunk:
            packed = self._packed[chunk]
            steps = packed if isinstance(packed, tuple) else pickle.loads(zlib.decompress(packed))
            self._unpacked = chunk, steps
        return steps[place]


def _packed(steps: tuple[Step, ...]) -> bytes | tuple[Step, ...]:
    """The steps in few bytes; as they are if a policy's own kind of decision cannot be pickled."""
    try:
        return zlib.compress(pickle.dumps(steps, pickle.HIGHEST_PROTOCOL), 1)
    except (pickle.PicklingError, AttributeError, TypeError):
        return steps
