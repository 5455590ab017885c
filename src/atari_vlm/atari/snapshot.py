"""The state of an emulator as a value."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any

from atari_vlm.types import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The whole state of an Emulator; restores exactly into any Emulator of the same game."""

    game: str
    state: bytes
    """ALE's own state, without its random generator, from which nothing is drawn."""
    last_action: int
    """ALE code of the last action, which a sticky frame repeats. ALE's state does not hold it."""
    screens: tuple[Pixels, Pixels]
    """The last two raw screens, older first. ALE's state does not hold them."""
    frame: int
    """Emulator frames since the start of the episode."""
    terminated: bool
    rng: dict[str, Any] | None
    """State of the generator that draws sticky actions; None in a snapshot for a search."""

    def without_rng(self) -> Snapshot:
        """The same state without its random generator, so that a search cannot foresee it."""
        return replace(self, rng=None)

    def to_bytes(self) -> bytes:
        """Serialise to about 75 kB."""
        return pickle.dumps(tuple(getattr(self, name) for name in self.__slots__))

    @staticmethod
    def from_bytes(blob: bytes) -> Snapshot:
        """Read the output of `to_bytes`. It is a pickle: read only files that you trust."""
        return Snapshot(*pickle.loads(blob))
