"""The state of an emulator, and of an environment, as a value."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.random import PCG64, Generator

from atari_vlm.atari.repetition import Repetition
from atari_vlm.errors import InvalidSetting, StoreError, setting
from atari_vlm.types import Frame, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The whole state of an Emulator; restores exactly into any Emulator of the same game."""

    game: str
    state: bytes
    """ALE's own state, without its random generator, from which nothing is drawn."""
    last_action: int
    """ALE code of the last action, which a sticky frame repeats. ALE's state does not hold it."""
    screens: tuple[Pixels, ...]
    """The last raw screens, oldest first; 8 at most. ALE's state does not hold them."""
    frame: int
    """Emulator frames since the start of the episode."""
    terminated: bool
    rng: dict[str, Any] | None
    """State of the generator that draws sticky actions; None in a snapshot for a search."""

    def __repr__(self) -> str:
        return f"Snapshot({self.game!r}, frame {self.frame})"

    def without_rng(self) -> Snapshot:
        """The same state without its random generator, so that a search cannot foresee it."""
        return replace(self, rng=None)

    def to_bytes(self) -> bytes:
        """Serialise to about 30 kB, in a few milliseconds."""
        state = pickle.dumps(tuple(getattr(self, name) for name in self.__slots__))
        return zlib.compress(state, 1)

    @staticmethod
    def from_bytes(blob: bytes) -> Snapshot:
        """Read the output of `to_bytes`. It is a pickle: read only files that you trust."""
        # Earlier versions did not compress it.
        return Snapshot(*pickle.loads(blob if blob[:1] == b"\x80" else zlib.decompress(blob)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnvironmentSnapshot:
    """The whole state of an AtariVLMEnvironment; it can be pickled."""

    emulator: Snapshot
    frames: tuple[Frame, ...]
    """The stacked screens, oldest first."""
    film: tuple[Pixels, ...]
    """The raw screens kept for `last_screens`, oldest first."""
    episode: int
    step: int
    score: float
    repeated: Repetition
    """What was repeated until now."""
    seed: int | None
    """The seed that Gymnasium's generator was made from."""
    rng: dict[str, Any] | None
    """State of Gymnasium's generator, which seeds episodes; None if it was never used."""
    settings: dict[str, Any]
    """The settings of the environment in which the game goes on in the same way."""

    def __repr__(self) -> str:
        return (
            f"EnvironmentSnapshot({self.emulator.game!r}, decision {self.step}, score "
            f"{self.score:.15g})"
        )

    def generator(self) -> Generator | None:
        """Gymnasium's generator as it was."""
        if self.rng is None:
            return None
        generator = Generator(PCG64())
        generator.bit_generator.state = self.rng
        return generator


def check_fits(saved: object, settings: Mapping[str, Any], keep_screens: int) -> None:
    """Raise unless an environment of these settings can continue from `saved`.

    Raises:
        InvalidSetting: `saved` does not come from `save`.
        StoreError: it was saved with other settings, or without the screens to keep.
    """
    if not isinstance(saved, EnvironmentSnapshot):
        raise InvalidSetting(
            "env.restore() takes what env.save() returned, which holds screens and score too, "
            f"not a value of type {type(saved).__name__}."
        )
    for name, value in settings.items():
        if saved.settings[name] != value:
            raise StoreError(
                f"A state saved with {setting(name, saved.settings[name])} cannot go into an "
                f"environment with {setting(name, value)}, in which the game would go on otherwise."
            )
    if keep_screens and not saved.film:
        raise StoreError(
            f"A state saved without {setting('keep_screens')} cannot go into an environment that "
            "keeps screens."
        )
