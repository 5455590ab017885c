"""Rounds in which the student plays and the expert labels (DAgger), beside the training."""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from atari_vlm.files.processes import end_with
from atari_vlm.learning.distill.architecture import save_pretrained
from atari_vlm.learning.distill.collect import collect
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_shard, write_shard
from atari_vlm.learning.distill.train import Trainer
from atari_vlm.runs.worker_processes import start_shielded


@dataclass
class StudentRounds:
    """Rounds of the student's play, one at a time, beside the training or between its steps."""

    trainer: Trainer
    report: Report
    playing: tuple[BaseProcess, list[Path]] | None = None
    """The process of the round in play, and the shards that it writes."""

    def poll(self) -> list[Path]:
        """Start the next round when it is due; returns the shards of rounds that have ended."""
        played: list[Path] = []
        if self.playing is not None and not self.playing[0].is_alive():
            process, paths = self.playing
            process.join()
            self.playing = None
            if process.exitcode:
                code = process.exitcode
                self.report(f"The student's play ended with exit code {code}; training goes on.")
            else:
                played = paths
        trainer, settings = self.trainer, self.trainer.settings
        trained = trainer.seconds - settings.opening * trainer.total_seconds
        due = int(trained / (settings.round_minutes * 60) + 0.5)
        if self.playing is not None or trainer.vision_only or due <= trainer.rounds:
            return played
        trainer.rounds = due
        folder = settings.out / "student"
        save_pretrained(trainer.averaged_model, trainer.tokenizer, settings.games, folder)
        data = settings.out / "data"
        paths = [data / f"{game}-student-{due:05d}.parquet" for game in settings.games]
        most = settings.decisions(settings.round_decisions)
        seeds = (settings.seed, due)
        work = (folder, paths, settings.games, most, seeds)
        if settings.workers:
            # One process a round, because the worker of a pool outlives a parent that is killed.
            process = get_context("spawn").Process(
                target=play_round, args=(*work, os.getpid()), daemon=True
            )
            start_shielded(process)
            self.playing = (process, paths)
        else:
            play_round(*work)
            played += paths
        return played

    def stop(self) -> None:
        """Stop the round in play; its decisions would come too late."""
        if self.playing is not None:
            self.playing[0].kill()
            self.playing[0].join()

    def add(self, paths: list[Path]) -> None:
        """Add shards to the training data."""
        for path in paths:
            shard = open_shard(path)
            self.trainer.data[shard.game].add(shard)
            self.report(f"{path.stem}: {len(shard)} decisions of the student, labelled.")


def play_round(
    folder: Path,
    paths: list[Path],
    games: tuple[str, ...],
    decisions: int,
    seeds: tuple[int, int],
    parent: int | None = None,
) -> None:
    """Play a round: the student plays every game, and the expert labels its decisions.

    Args:
        folder: the student's weights in transformers format; the ONNX graphs are added.
        paths: the shard to write, for each game.
        games: the games to play.
        decisions: number of decisions of each game.
        seeds: the seed of the distillation, and the number of the round.
        parent: id of the process whose end also ends this one; None to play in the caller.
    """
    from atari_vlm.learning.distill.export import export
    from atari_vlm.models.embedded.runtime import EmbeddedRuntime

    if parent is not None:
        end_with(parent)
    seed, number = seeds
    export(folder)
    student = EmbeddedRuntime(folder)
    for game, path in zip(games, paths, strict=True):
        rows = collect(game, decisions, seed=seed, number=number, student=student)
        header = ShardHeader.of(game, seed=seed, number=number, student=student.digest)
        write_shard(path, rows, header)
