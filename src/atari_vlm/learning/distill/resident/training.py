"""The training itself: steps on the device, rows that come in, snapshots that go out."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.learning.distill.architecture import ARCHITECTURES, build_tokenizer
from atari_vlm.learning.distill.resident.beginning import (
    bases_of_groups,
    batch_of_process,
    player_orders,
)
from atari_vlm.learning.distill.resident.checkpoint import damaged, load_checkpoint
from atari_vlm.learning.distill.resident.groups import counted
from atari_vlm.learning.distill.resident.loader import Loader
from atari_vlm.learning.distill.resident.memory import GB, free_bytes, room_for
from atari_vlm.learning.distill.resident.players import PlayerProcesses
from atari_vlm.learning.distill.resident.processes import Processes
from atari_vlm.learning.distill.resident.selection import Selection
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.resident.snapshots import Snapshots
from atari_vlm.learning.distill.resident.spool import PlayedGame, Spool, Work, spool_folder
from atari_vlm.learning.distill.resident.writer import Writer
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.shards import open_dataset
from atari_vlm.learning.distill.train import LONGEST_STEP

MOST_SKIPPED = 2
"""Steps between two reports that may be left out because a gradient was not finite."""


class Training:
    """Students, rows, players and snapshots of one process.

    Args:
        settings: with an architecture.
        processes: this one among others.
        report: takes one line of progress.
        fewer: factor on rows and batch, after memory ran out.

    Raises:
        InvalidSetting: too little memory, or the folder holds a training with other settings.
        StoreError: the checkpoint is damaged.
    """

    def __init__(
        self,
        settings: ResidentSettings,
        processes: Processes,
        report: Report,
        *,
        fewer: float = 1.0,
    ) -> None:
        import torch

        from atari_vlm.learning.distill.resident.stepper import Stepper
        from atari_vlm.learning.distill.resident.store import MEMORY_OF_ROW, RowStore
        from atari_vlm.learning.distill.resident.students import Students

        assert settings.architecture is not None
        torch.set_num_threads(settings.threads)
        self.settings, self.processes, self._report = settings, processes, report
        self.groups, self.device = settings.groups, processes.device
        games = tuple(game for group in self.groups for game in group)
        self.tokenizer = build_tokenizer(games)
        architecture = ARCHITECTURES[settings.architecture]
        self.seconds, self.version, self.starts = 0.0, 0, 0
        self.played: dict[str, int] = {}
        self.selection = Selection(self.groups)
        self.checkpoint = settings.out / "checkpoint.pt"
        state = None
        if self.checkpoint.exists():
            state = load_checkpoint(self.checkpoint, settings.to_json())
            self.starts, self.seconds = state["starts"] + 1, float(state["seconds"])
        batch = batch_of_process(settings, processes.count, fewer)
        free = free_bytes(self.device)
        self.students = Students(
            self.groups,
            self.tokenizer,
            architecture,
            batch,
            self.device,
            torch.bfloat16 if settings.precision == "bf16" else torch.float32,
            settings.seed,
            bases_of_groups(settings, report) if state is None else None,
        )
        if self.device.type == "cuda":
            free = max(0, free - self.students.training_bytes)
        else:
            report("Without a GPU, several students learn slowly.")
        if settings.memory is not None:
            free = int(settings.memory * GB)
        room = room_for(games, free // MEMORY_OF_ROW, MEMORY_OF_ROW, settings, fewer=fewer)
        report(room.line)
        self.store = RowStore(
            self.students.games,
            room.rows,
            self.device,
            architecture.patch_size,
            chunk=settings.chunk_rows,
            held_out_rows=settings.held_out_rows,
        )
        seed = settings.seed + 10_007 * self.starts + 1_000_003 * processes.rank
        self.stepper = Stepper(
            self.students,
            self.store,
            settings.rate,
            seed=seed,
            report=report,
            compile=None if settings.compile and fewer == 1 else False,
            all_reduce=processes.average if processes.count > 1 else None,
        )
        if state is not None:
            # Rows are others now, and so are those that each process draws.
            state["stepper"]["generator"] = (
                torch.Generator(self.device).manual_seed(seed).get_state()
            )
            self._take(state)
        self.snapshots = Snapshots(
            settings.out / "snapshots", self.groups, self.tokenizer, architecture
        )
        self.writer = Writer(settings, self.snapshots)
        self.speed = 0.0
        """Decisions of all students a second, in the last report."""
        self._open_folders()
        orders = player_orders(settings, processes, self.spool, self.starts)
        self.loader = Loader(self.spool, len(self.tokenizer))
        self.players = PlayerProcesses(orders, self.spool, processes=settings.workers > 0)

    # -- beginning ------------------------------------------------------------------------------

    def _open_folders(self) -> None:
        processes = self.processes
        root = processes.share(spool_folder(self.settings.out))
        self.spool = Spool(root / str(processes.rank), root / "games")
        if processes.is_main:
            self.spool.clear()  # what a killed training left
            self.spool.create()
            self.snapshots.remove_drafts()
            there = {each for each in self.snapshots.versions() if self.snapshots.is_whole(each)}
            self.drop_damaged()
            for version in self.selection.candidates:  # a kill may have lost some
                for group in self.groups:
                    self.order_games(version, group, range(self.settings.tuning_games))
            newest = str(self.snapshots.folder_of(max(there))) if there and self.version else ""
            self.spool.tell(Work(student=newest, rows=not self.ended))
        processes.every(True)  # the main process has done so
        self.spool.create()

    def _take(self, state: dict[str, Any]) -> None:
        try:
            self.stepper.load_state_dict(state["stepper"])
            self.selection.load_state_dict(state["selection"])
            self.version = state["version"]
            self.played = {str(kind): int(rows) for kind, rows in state["rows"].items()}
        except Exception as error:
            raise damaged(self.checkpoint, error) from error

    @property
    def decisions_of_step(self) -> int:
        """Rows that a step of all processes takes."""
        batch: int = self.students.batch
        return batch * len(self.groups) * self.processes.count

    # -- time -----------------------------------------------------------------------------------

    @property
    def total_seconds(self) -> float:
        """The training time of the settings."""
        return self.settings.minutes * 60

    @property
    def ended(self) -> bool:
        """Whether the minutes are over."""
        return self.seconds >= self.total_seconds

    @property
    def vision_only(self) -> bool:
        """Whether only the vision encoder is trained now."""
        return self.seconds < self.settings.opening * self.total_seconds

    # -- rows -----------------------------------------------------------------------------------

    def wait_for_rows(self) -> None:
        """Wait for held-out rows of every game and, unless the minutes are over, enough others."""
        settings = self.settings
        if settings.data is not None and not self.ended:
            self._add_data(settings.data)
        if not self.ended:
            players, games = max(1, settings.workers), self.store.games
            self._report(
                f"{counted(players, 'player')} collect{'s' if players == 1 else ''} "
                f"{settings.ready_rows:,} rows of each of {counted(len(games), 'game')}"
                + (" anew, since rows are not kept." if self.starts else ".")
            )
        while not self.processes.every(self._is_ready()):
            self.players.look()
            if not self.loader.take(self.store):
                time.sleep(0.01)
            for line in self.spool.dropped() if self.processes.is_main else ():
                self._report(line)

    def _is_ready(self) -> bool:
        store = self.store
        if self.processes.is_main and not all(len(store.held_out(game)) for game in store.games):
            return False
        return self.ended or all(
            store.teaches(game)
            and store.count(game) >= min(self.settings.ready_rows, store.capacity(game))
            for game in store.games
        )

    def _add_data(self, folder: Path) -> None:
        """Take this process's share of a data set from `collect`."""
        from atari_vlm.learning.distill.row_arrays import Labeller

        added: Counter[str] = Counter()
        for number, shard in enumerate(open_dataset(folder, self.store.games)):
            if shard.held_out or number % self.processes.count != self.processes.rank:
                continue
            labeller, rows = Labeller(shard.game, self.tokenizer), iter(shard)
            while len(arrays := labeller.chunk(rows, self.settings.chunk_rows)):
                self.store.add(shard.game, arrays)
            added[shard.game] += len(shard)
        for game, count in added.items():
            self._report(f"{count:,} rows of {game} from {folder}.")

    # -- training -------------------------------------------------------------------------------

    def train(self) -> None:
        """Train until the minutes are over.

        Raises:
            ModelUnusable: a loss, a label or a weight is not finite; the checkpoint is kept.
        """
        self.stepper.prepare()
        settings = self.settings
        now = last = saved = reported = time.monotonic()
        # The first student plays some time after whole answers are learned.
        published = tried = max(self.seconds, settings.opening * self.total_seconds)
        reported_steps = self.stepper.steps
        while not self.ended:
            began = time.monotonic()
            self.players.look()
            last += time.monotonic() - began  # without processes it plays, which is no training
            self.loader.take(self.store)
            self.stepper.step(self.vision_only, self.seconds / self.total_seconds)
            now = time.monotonic()
            trained = self.seconds + min(LONGEST_STEP, now - last)
            last, self.seconds = now, self.processes.share(trained)
            if not self.processes.is_main:
                continue
            self.writer.check()
            self.take_games()
            if now - reported > settings.report_seconds:
                steps = self.stepper.steps - reported_steps
                self._say(steps, now - reported)
                reported, reported_steps = now, self.stepper.steps
            if not self.writer.busy and now - saved > settings.checkpoint_seconds:
                self.save()
                saved = now
            due = self.seconds - published > 60 * settings.round_minutes
            if due and not self.vision_only and not self.writer.busy:
                published = self.seconds
                is_candidate = self.seconds - tried > 60 * settings.candidate_minutes
                if is_candidate and not self.spool.unfinished:
                    tried = self.seconds
                    self.publish(candidate=True)
                else:
                    self.publish(candidate=False)

    def _say(self, steps: int, seconds: float) -> None:
        """Report how it goes; waits for the device.

        Raises:
            ModelUnusable: gradients are not finite.
        """
        losses = self.stepper.losses()
        self.speed = steps * self.decisions_of_step / seconds
        rows = self.loader.rows.total()
        by_group = "; ".join(
            f"{group[0]}{'...' if len(group) > 1 else ''} {losses.total(number):.3f}"
            for number, group in enumerate(self.groups)
        )
        self._report(
            f"step {self.stepper.steps:,}, {self.seconds / 60:.1f} of {self.settings.minutes:g} "
            f"minutes, {self.speed:,.0f} decisions a second, {rows:,} rows "
            f"({self.loader.of_kind('student') / max(1, rows):.0%} of students), loss {by_group}"
            + (" (vision encoder only)" if self.vision_only else "")
        )
        skipped = max(losses.skipped)
        if skipped > MOST_SKIPPED or (skipped and skipped >= steps):
            worst = ", ".join(self.groups[int(np.argmax(losses.skipped))])
            raise ModelUnusable(
                f"Training cannot go on after step {self.stepper.steps}: {skipped} of {steps} "
                f"gradients of {worst} are not finite. The last good checkpoint is kept in "
                f"{self.settings.out}. Look at the data, or train with a lower learning rate."
            )
        if skipped:
            self._report(f"{counted(skipped, 'step')} left out, since a gradient was not finite.")

    # -- snapshots and the checkpoint -----------------------------------------------------------

    def publish(self, *, candidate: bool) -> None:
        """Write a snapshot for the players; a candidate also plays whole games."""
        self.stepper.check_finite()
        self.version += 1
        version, minutes = self.version, self.seconds / 60
        if candidate:
            self._add_candidate(version, minutes)
        states = [self.students.state_dict_of(number) for number in range(len(self.groups))]
        # The last two are kept for players that are about to load them.
        keep = {version, version - 1, *self.selection.candidates}
        self.writer.publish(
            version, states, keep=keep, spool=self.spool, plays=not self.ended, judged=candidate
        )

    def _add_candidate(self, version: int, minutes: float) -> None:
        losses = self.stepper.held_out_losses()
        totals = [losses.total(number) for number in range(len(self.groups))]
        by_group = "; ".join(
            f"{', '.join(group)} {total:.3f}"
            for group, total in zip(self.groups, totals, strict=True)
        )
        self._report(f"held out, minute {minutes:.1f}: {by_group}")
        for line in self.selection.see_losses(minutes, totals):
            self._report(line)
        self.selection.add(version, minutes, totals)
        self.selection.keep(self.selection.worth_keeping())

    def take_games(self) -> list[PlayedGame]:
        """Take the games that have ended; says what was damaged."""
        games = list(self.spool.take_played())
        for each in games:
            self.selection.take(each)
            if each.error:
                self._drop_candidate(each.order.version, each.error)
        for line in self.spool.dropped():
            self._report(line)
        return games

    def drop_damaged(self) -> None:
        """Drop the candidates whose weights cannot be read."""
        for version in list(self.selection.candidates):
            if not self.snapshots.is_whole(version):
                folder = self.snapshots.folder_of(version)
                self._drop_candidate(version, f"weights in {folder} are missing or damaged.")

    def _drop_candidate(self, version: int, why: str) -> None:
        if (dropped := self.selection.candidates.pop(version, None)) is not None:
            self.spool.withdraw(version)
            self._report(f"The snapshot of minute {dropped.minutes:.1f} was dropped: {why}")

    def order_games(self, version: int, group: tuple[str, ...], seeds: range) -> None:
        """Ask for the games of a version that choose and were not played yet."""
        played = self.selection.candidates[version].scores
        orders = self.writer.games_of(version, group, seeds)
        self.spool.order(each for each in orders if each.seed not in played.get(each.game, {}))

    def save(self) -> None:
        """Write the checkpoint, beside the training.

        Raises:
            ModelUnusable: a weight is not finite; the checkpoint on the disk stays as it is.
        """
        self.stepper.check_finite()
        kinds = {kind: self.loader.of_kind(kind) for kind in ("expert", "student")}
        state = {
            "settings": self.settings.to_json(),
            "stepper": self.stepper.state_dict(),
            "seconds": self.seconds,
            "version": self.version,
            "starts": self.starts,
            "selection": self.selection.state_dict(),
            "rows": {kind: rows + self.played.get(kind, 0) for kind, rows in kinds.items()},
        }
        self.writer.write_checkpoint(self.checkpoint, state)

    def close(self) -> None:
        """End players and threads."""
        self.players.stop()
        self.loader.stop()
        self.writer.close()
        if self.processes.is_main:
            self.spool.remove()
