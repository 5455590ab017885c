"""Draws the screens of a page's episodes: long ones by two other processes, while texts are read.

The result is the same to the byte, whoever draws them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO

from atari_vlm.errors import StoreError
from atari_vlm.files.processes import shielded
from atari_vlm.report.helpers import GIVEN_UP, SLOT, SLOTS
from atari_vlm.report.screens import PackedScreens, pack_screens
from atari_vlm.runs.replaying import Recording, moments
from atari_vlm.types import Pixels

LONG = 3_000
"""Decisions from which on two more processes, which take half a second to start, save time."""

_HELPER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from atari_vlm.report.helpers import main; main(*sys.argv[2:])"
)


@dataclass(frozen=True)
class Film:
    """The screens of an episode, before each decision that was played and after the last one."""

    record: Recording

    @property
    def count(self) -> int:
        """How many they are: none after the last decision if the run stopped before its reward."""
        plays = self.record.plays
        return len(plays) + (not plays or plays[-1][2] is not None)

    def screens(self) -> Iterator[Pixels]:
        """Draw them.

        Raises:
            StoreError: the episode cannot be played, or earns other rewards now than it did then.
        """
        for env in islice(moments(self.record, frame_stack=1), self.count):
            yield env.observe().frames[-1].pixels


Draw = Callable[[Film], PackedScreens]


@contextmanager
def drawing(films: Sequence[Film], *, long: int = LONG) -> Iterator[Draw]:
    """A function that gives the packed screens of each film; long ones are begun at once.

    Args:
        films: all that are asked for, in this order.
        long: decisions of all films from which on other processes draw them.
    """
    helpers = None
    if sum(len(film.record.plays) for film in films) >= long and _can_help():
        with suppress(OSError):  # no more processes or memory: they are drawn here
            helpers = _Helpers(films)
    if helpers is None:
        yield _drawn
        return
    with closing(helpers):
        yield helpers.packed


def _drawn(film: Film) -> PackedScreens:
    return pack_screens(film.screens())


def _can_help() -> bool:
    """Whether there is a second core, on a system whose programs can be given open files."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


class _Helpers:
    """The two processes of `helpers`, at work on films.

    Nothing is left of their files when they and this process have ended, in whatever way: none has
    a name.

    Raises:
        OSError: they cannot be started.
    """

    def __init__(self, films: Sequence[Film]) -> None:
        self._places = {id(film): place for place, film in enumerate(films)}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._found: list[str] | None = None
        self._packed = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        try:
            with (
                tempfile.TemporaryFile("w+", encoding="utf-8") as jobs,
                tempfile.TemporaryFile() as shared,
                _pipe() as (heard, said),
                _pipe() as (taken, freed),
                shielded(),
            ):
                for film in films:
                    jobs.write(json.dumps({**vars(film.record), "shown": film.count}) + "\n")
                jobs.seek(0)
                shared.truncate(SLOT * SLOTS)
                self._start("play", jobs, said, shared, taken)
                self._start("pack", heard, self._packed, shared, freed)
        except BaseException:
            self.close()
            raise

    def _start(
        self, role: str, reads: IO[str], writes: IO[str], shared: IO[bytes], other: IO[str]
    ) -> None:
        files = shared.fileno(), other.fileno()
        self._processes.append(
            subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", _HELPER, json.dumps(sys.path), role),
                    *map(str, (os.getpid(), *files)),
                ],
                stdin=reads,
                stdout=writes,
                pass_fds=files,
            )
        )

    def packed(self, film: Film) -> PackedScreens:
        """The packed screens of a film; waits until all are drawn.

        Raises:
            StoreError: an episode cannot be played, or earns other rewards now than it did then.
        """
        if self._found is None:
            codes = {process.wait() for process in self._processes}
            if bad := {code for code in codes if code > 0} - {GIVEN_UP}:
                raise RuntimeError(f"A process that draws screens ended with exit code {bad}.")
            self._packed.seek(0)
            self._found = [] if any(codes) else self._packed.read().splitlines()
        place = self._places[id(film)]
        if not self._found:
            return _drawn(film)  # they were killed or lacked memory, so it is drawn here
        values = json.loads(self._found[place])
        if "error" in values:
            raise StoreError(values["error"])
        return PackedScreens(**{**values, "shape": tuple(values["shape"])})

    def close(self) -> None:
        """End the processes, whether or not they are done."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._packed.close()


@contextmanager
def _pipe() -> Iterator[tuple[IO[str], IO[str]]]:
    """A pipe: the end to read from, and the end to write to."""
    reads, writes = os.pipe()
    with open(reads, encoding="utf-8") as here, open(writes, "w", encoding="utf-8") as there:
        yield here, there
