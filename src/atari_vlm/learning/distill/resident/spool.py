"""The folder through which players and the training talk: chunks of rows, snapshots, whole games.

Files only, each whole or absent: a player may be killed at any moment and takes nothing with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHARED = Path("/dev/shm")
"""Shared memory, where every user may write."""

NEEDED = 4 * 2**30
"""Free bytes from which it is used instead of the disk."""

HELD_OUT = "held"
"""In the name of a chunk, for rows that are never learned."""


@dataclass(frozen=True, slots=True)
class GameOrder:
    """A whole game that a player is to play."""

    folder: str
    """The checkpoint that plays."""
    game: str
    seed: int
    """Of the emulator."""
    most_frames: int
    version: int
    """Of the snapshot; -1 for the final weights."""


@dataclass(frozen=True, slots=True)
class PlayedGame:
    """A whole game that was played."""

    order: GameOrder
    score: float
    error: str = ""
    """Why the checkpoint could not play; "" if it did."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the players do now."""

    student: str = ""
    """Folder of the newest snapshot, with a checkpoint for each group; "" while there is none."""
    rows: bool = True
    """Whether rows are wanted; otherwise only games are."""
    over: bool = False
    """Whether the training has ended, in all processes."""


def spool_folder(out: Path) -> Path:
    """The folder for a training in `out`: in shared memory if there is room, else in `out`.

    Its name follows from that of `out`, so that the next start removes what a killed one left. A
    link, or a folder that others own or may enter, is left alone.
    """
    name = f"atari-vlm-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]}"
    with suppress(OSError):
        if shutil.disk_usage(SHARED).free > NEEDED:
            with suppress(FileExistsError):
                (SHARED / name).mkdir(mode=0o700)
            there = (SHARED / name).lstat()
            if there.st_mode == stat.S_IFDIR | 0o700 and there.st_uid == os.getuid():
                return SHARED / name
    return out / "spool"


class Spool:
    """The folder of the players of one process.

    Args:
        folder: of this process's rows.
        games: of what is to be done and of the orders for whole games, which the processes share.
    """

    def __init__(self, folder: Path, games: Path) -> None:
        self.folder, self.games = folder, games
        self.chunks, self.errors = folder / "chunks", folder / "errors"
        self.played = games / "played"
        self._work = games / "work.json"

    def create(self) -> None:
        """Make the folders."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        for path in (self.chunks, self.errors, self.played):
            path.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Delete what is in the folders, those of other processes too."""
        for path in self.folder.parent.glob("*"):
            shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """Delete the folders, those of other processes too."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    # -- what is to be done ---------------------------------------------------------------------

    def tell(self, work: Work) -> None:
        """Say what the players do from now on."""
        _write(self._work, json.dumps(asdict(work)).encode())

    def work(self) -> Work:
        """What was told last."""
        with suppress(OSError, ValueError, TypeError):
            return Work(**json.loads(self._work.read_bytes()))
        return Work()

    # -- rows -----------------------------------------------------------------------------------

    def waiting(self) -> list[Path]:
        """The chunks that were not taken yet, the oldest first."""
        with os.scandir(self.chunks) as found:
            paths = [Path(each.path) for each in found if each.name.endswith(".rows")]
        return sorted(paths, key=lambda path: path.name.rsplit("-", 1)[-1])

    def put(self, name: str, buffer: NDArray[np.uint8]) -> None:
        """Deliver a chunk.

        Args:
            name: GAME-PLAYER-WORKER-NUMBER; the number orders the chunks.
            buffer: `RowArrays.to_buffer()`.
        """
        _write(self.chunks / f"{name}.rows", buffer.data)

    # -- whole games ----------------------------------------------------------------------------

    def order(self, orders: Iterable[GameOrder]) -> None:
        """Ask for games; free players begin them in this order."""
        start = len(self._names(""))
        for number, each in enumerate(orders):
            name = f"{each.version:06d}-{start + number:05d}-{each.game}-{each.seed}.todo"
            _write(self.games / name, json.dumps(asdict(each)).encode())

    def claim(self, worker: str) -> tuple[GameOrder, Path] | None:
        """The next game to play, and its file, which nobody else gets; None if there is none."""
        for name in self._names(".todo"):
            mine = self.games / f"{name.removesuffix('.todo')}.{worker}.taken"
            try:
                (self.games / name).rename(mine)
            except OSError:  # another was quicker, or it was withdrawn
                continue
            try:
                return GameOrder(**json.loads(mine.read_bytes())), mine
            except (ValueError, TypeError):
                self.drop(mine)
        return None

    def give_back(self, worker: str) -> None:
        """Let others play the games that a worker began and did not end."""
        for name in self._names(f".{worker}.taken"):
            todo = f"{name.removesuffix(f'.{worker}.taken')}.todo"
            with suppress(OSError):
                (self.games / name).rename(self.games / todo)

    def withdraw(self, version: int) -> None:
        """Delete the orders of a version that nobody has begun."""
        for name in self._names(".todo"):
            if name.startswith(f"{version:06d}-"):
                with suppress(OSError):
                    (self.games / name).unlink()

    def finish(self, taken: Path, order: GameOrder, score: float, error: str = "") -> None:
        """Say how a game ended, or why it could not be played."""
        played = {"order": asdict(order), "score": score, "error": error}
        _write(self.played / f"{taken.name}.json", json.dumps(played).encode())
        taken.unlink(missing_ok=True)

    @property
    def unfinished(self) -> int:
        """Games that were asked for and have not ended."""
        return len(self._names(".todo")) + len(self._names(".taken"))

    def take_played(self) -> Iterator[PlayedGame]:
        """The games that have ended since the last call."""
        for path in sorted(self.played.glob("*.json")):
            try:
                found = json.loads(path.read_bytes())
                score, error = float(found["score"]), str(found["error"])
                game = PlayedGame(GameOrder(**found["order"]), score, error)
            except (ValueError, TypeError, LookupError):
                self.drop(path)
                continue
            path.unlink()
            yield game

    # -- damage ---------------------------------------------------------------------------------

    def drop(self, path: Path) -> None:
        """Take a damaged file out of the way."""
        path.replace(self.played / f"{path.name}.damaged")

    def dropped(self) -> list[str]:
        """A sentence for each damaged file since the last call, in any process."""
        names = sorted(path.name for path in self.played.glob("*.damaged"))
        for name in names:
            (self.played / name).unlink()
        return [f"{name.removesuffix('.damaged')} was damaged, and was dropped." for name in names]

    def _names(self, ending: str) -> list[str]:
        with os.scandir(self.games) as found:
            return sorted(each.name for each in found if each.name.endswith(ending))

    # -- errors ---------------------------------------------------------------------------------

    def fail(self, worker: str, text: str) -> None:
        """Leave the error of a player."""
        _write(self.errors / f"{worker}.txt", text.encode())

    def failure(self, worker: str) -> str:
        """The last error that a player left; "" without one."""
        with suppress(OSError):
            return (self.errors / f"{worker}.txt").read_text()
        return ""


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all; nobody else reads this folder, so it is not synced."""
    number, name = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
