"""Writes snapshots and checkpoints in a thread, so that the training does not wait for the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from atari_vlm.learning.distill.resident.checkpoint import write_checkpoint
from atari_vlm.learning.distill.resident.groups import group_name
from atari_vlm.learning.distill.resident.selection import game_orders
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.resident.snapshots import Snapshots, State
from atari_vlm.learning.distill.resident.spool import GameOrder, Spool, Work


class Writer:
    """One thing after the other; what fails is raised by `check` and `wait`.

    Args:
        settings: of the training.
        snapshots: where they go.
    """

    def __init__(self, settings: ResidentSettings, snapshots: Snapshots) -> None:
        self._settings, self._snapshots = settings, snapshots
        self._thread = ThreadPoolExecutor(1)
        self._writing: list[Future[None]] = []

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return bool(self._writing)

    def publish(
        self,
        version: int,
        states: Sequence[State],
        *,
        keep: set[int],
        spool: Spool,
        plays: bool,
        judged: bool,
    ) -> None:
        """Write a snapshot.

        Args:
            version: of it.
            states: the weights of each group, which nobody changes any more.
            keep: the versions that stay; all others are deleted.
            spool: of the players.
            plays: whether it plays rows from then on.
            judged: whether it plays games that choose.
        """

        def write() -> None:
            folder = self._snapshots.write(version, states)
            if plays:
                spool.tell(Work(student=str(folder)))
            if judged:
                games = range(self._settings.tuning_games)
                for group in self._settings.groups:
                    spool.order(self.games_of(version, group, games))
            self._snapshots.keep(keep)

        self._submit(write)

    def games_of(self, version: int, group: tuple[str, ...], seeds: range) -> list[GameOrder]:
        """The games that choose of a version and group."""
        folder, most = self._snapshots.folder_of(version), self._settings.tuning_frames
        return game_orders(version, str(folder), group, group_name(group), seeds, most)

    def write_checkpoint(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write a checkpoint; nobody changes the state any more."""
        self._submit(lambda: write_checkpoint(path, dict(state)))

    def _submit(self, work: Callable[[], None]) -> None:
        self._writing.append(self._thread.submit(work))

    def check(self) -> None:
        """Raise what failed.

        Raises:
            OSError: the disk is full.
            ModelUnusable: a weight is not finite.
        """
        done = [each for each in self._writing if each.done()]
        self._writing = [each for each in self._writing if not each.done()]
        for each in done:
            each.result()

    def wait(self) -> None:
        """Wait until everything is written; raises as `check` does."""
        waited, self._writing = self._writing, []
        for each in waited:
            each.result()

    def close(self) -> None:
        """End the thread when it has written what was begun."""
        self._thread.shutdown()
