"""A distillation from start to end: collect, train, export, evaluate."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from atari_vlm.errors import StoreError, missing_extra
from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.architecture import save_pretrained
from atari_vlm.learning.distill.collect import HELD_OUT_SEED, collect
from atari_vlm.learning.distill.data import Dataset
from atari_vlm.learning.distill.folders import check_folder, made_folder
from atari_vlm.learning.distill.rounds import StudentRounds
from atari_vlm.learning.distill.settings import DistillResult, DistillSettings, Report
from atari_vlm.learning.distill.shard_header import ShardHeader, check
from atari_vlm.learning.distill.shards import (
    Shard,
    open_dataset,
    open_shard,
    remove_drafts,
    write_shard,
)
from atari_vlm.learning.distill.train import Trainer
from atari_vlm.runs.schema import locked


def distill(settings: DistillSettings, report: Report = print) -> DistillResult:
    """Train an embedded model. A second call with the same settings continues a killed run.

    Raises:
        MissingExtra: torch, transformers or onnx is not installed.
        InvalidSetting: the folder holds a distillation with other settings.
        ModelUnusable: the loss or a weight is no longer finite; the last good checkpoint is kept.
        StoreError: the folder cannot be read or written, another process trains in it, or a shard
            of it or of the data set holds what cannot be learned from.
    """
    require_packages()
    try:
        return _distill(settings, report)
    except OSError as error:
        raise StoreError(
            f"Cannot go on in {settings.out}: {error.strerror or error}. What was finished is "
            "kept; run the same command again to continue."
        ) from error


def _distill(settings: DistillSettings, report: Report) -> DistillResult:
    settings = settings.with_architecture()
    check_folder(settings)
    collected = open_dataset(settings.data, settings.games) if settings.data else []
    trainer = Trainer(settings)
    with made_folder(settings.out):
        if not trainer.is_main_process:
            return _trained(trainer, collected, silent)
        with locked(settings.out):
            return _trained(trainer, collected, report)


def _trained(trainer: Trainer, collected: list[Shard], report: Report) -> DistillResult:
    settings = trainer.settings
    with trainer.accelerator.main_process_first():
        (settings.out / "data").mkdir(exist_ok=True)
        if trainer.is_main_process:
            remove_leftovers(settings.out)
        held_out = _prepare_data(settings, report)
    played = [open_shard(path) for path in sorted((settings.out / "data").glob("*.parquet"))]
    for shard in [*collected, *played]:
        if not shard.held_out:
            check(shard.header, shard.path)
            trainer.data[shard.game].add(shard)
    for game, data in trainer.data.items():
        if not data.teaches:
            raise StoreError(
                f"{settings.data or settings.out} has nothing to learn {game} from: the weights of "
                f"all its {len(data):,} decisions are 0. Collect others with `atari-vlm collect`."
            )
    checkpoint = settings.out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        report(f"Continuing after {trainer.seconds / 60:.1f} of {settings.minutes:g} minutes.")
    if trainer.is_main_process:
        write_whole(settings.out / "settings.json", settings.to_json())
    _train(trainer, held_out, checkpoint, report)
    trainer.leave()
    if not trainer.is_main_process:
        return _result(trainer, {}, {})
    return _finish(trainer, held_out, report)


def silent(line: str) -> None:
    """Report nothing: of several training processes, only the main one reports."""


def require_packages() -> None:
    """Raise MissingExtra unless everything that training needs is installed."""
    for package in ("torch", "transformers", "accelerate", "onnx", "pyarrow"):
        try:
            __import__(package)
        except ImportError as error:
            raise missing_extra("Distilling", package, "train") from error


def _prepare_data(settings: DistillSettings, report: Report) -> dict[str, Shard]:
    """Collect the shards that are not on disk yet; returns the held-out ones by game."""
    held_out = {}
    for game in settings.games:
        data = settings.out / "data"
        held, first = data / f"{game}-held-00000.parquet", data / f"{game}-expert-00000.parquet"
        needed = [(held, settings.decisions(2_000), HELD_OUT_SEED)]
        if settings.data is None:
            needed.append((first, settings.decisions(settings.first_decisions), settings.seed))
        for path, decisions, seed in needed:
            if not path.exists():
                report(f"The {game} expert plays {decisions} decisions.")
                rows = collect(game, decisions, seed=seed)
                write_shard(path, rows, ShardHeader.of(game, seed=seed))
        held_out[game] = open_shard(held)
    return held_out


def _train(trainer: Trainer, held_out: dict[str, Shard], checkpoint: Path, report: Report) -> None:
    process = trainer.accelerator.process_index
    rng = np.random.default_rng([trainer.settings.seed, trainer.steps, process])
    datasets = {game: _held_out_data(trainer, shard) for game, shard in held_out.items()}
    rounds = StudentRounds(trainer, report)
    try:
        _loop(trainer, rounds, rng, datasets, checkpoint, report)
    finally:
        rounds.stop()
        if trainer.is_main_process:
            trainer.save(checkpoint)


def _loop(
    trainer: Trainer,
    rounds: StudentRounds,
    rng: np.random.Generator,
    held_out: dict[str, Dataset],
    checkpoint: Path,
    report: Report,
) -> None:
    settings = trainer.settings
    saved = reported = time.monotonic()
    next_accuracy = 0.0
    while trainer.seconds < trainer.total_seconds:
        trainer.step(rng)
        rounds.add(trainer.broadcast(rounds.poll() if trainer.is_main_process else []))
        now = time.monotonic()
        if now - reported > settings.report_seconds:
            reported = now
            report(
                f"step {trainer.steps}, {trainer.seconds / 60:.1f} of {settings.minutes:g} "
                f"minutes, loss {np.mean(trainer.losses):.3f}"
                + (" (vision encoder only)" if trainer.vision_only else "")
            )
        if trainer.is_main_process and now - saved > settings.checkpoint_seconds:
            trainer.save(checkpoint)
            if not trainer.vision_only and now >= next_accuracy:
                report(_held_out_line(trainer, held_out))
                # However many games there are, this takes a fiftieth of the time.
                next_accuracy = now + 50 * (time.monotonic() - now)
            saved = time.monotonic()


def _held_out_data(trainer: Trainer, shard: Shard) -> Dataset:
    data = Dataset(shard.game, trainer.tokenizer)
    data.add(shard)
    return data


def _held_out_line(trainer: Trainer, held_out: dict[str, Dataset], count: int = 300) -> str:
    from atari_vlm.learning.distill.evaluate import held_out_accuracy

    parts = []
    for game, data in held_out.items():
        accuracy = held_out_accuracy(trainer, data.spread(count))
        parts += [f"{game}/{name} {share:.2f}" for name, share in accuracy.items()]
    return "held out, shares of right answers: " + ", ".join(parts)


def _finish(trainer: Trainer, held_out: dict[str, Shard], report: Report) -> DistillResult:
    from atari_vlm.learning.distill.evaluate import held_out_accuracy, play_episodes
    from atari_vlm.learning.distill.export import export
    from atari_vlm.learning.distill.model_card import write_model_card

    settings = trainer.settings
    folder = settings.out / "weights"
    with drafted_folder(folder) as draft:
        save_pretrained(trainer.averaged_model, trainer.tokenizer, settings.games, draft)
        export(draft)
    scores, accuracy = {}, {}
    for game, shard in held_out.items():
        fields = held_out_accuracy(trainer, _held_out_data(trainer, shard).spread(1_000))
        accuracy.update({f"{game}/{name}": share for name, share in fields.items()})
        if settings.episodes:
            games = f"{settings.episodes} whole game{'s' * (settings.episodes != 1)}"
            report(f"Playing {games} of {game}; --episodes 0 skips them.")
            scores[game] = play_episodes(folder, game, settings.episodes, report=report)
    result = _result(trainer, accuracy, scores)
    decisions = sum(len(data) for data in trainer.data.values())
    examples = {game: next(iter(shard)).words for game, shard in held_out.items()}
    write_model_card(settings, result, decisions, trainer.model.num_parameters(), examples)
    for game, each in scores.items():
        report(f"{game}: mean {np.mean(each):.2f} over {len(each)} episodes")
    report(f"Weights: {folder}")
    report(f"Play it: atari-vlm play --game {settings.games[0]} --model {folder}")
    return result


@contextmanager
def drafted_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, which takes its place, with all its files, if the block succeeds.

    So graphs never stand beside the weights of another training.
    """
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    former = draft.with_name(f"{draft.name}.former")
    try:
        yield draft
        draft.chmod(0o755)  # mkdtemp lets only the owner read
        if path.exists():
            path.rename(former)
        draft.rename(path)
    finally:
        for left in (draft, former):
            shutil.rmtree(left, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed distillation left half written."""
    remove_drafts(folder / "data")
    for draft in [*folder.glob(".weights.*"), *folder.glob(".checkpoint.pt.*")]:
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    (folder / "checkpoint.part").unlink(missing_ok=True)  # of an older version


def _result(
    trainer: Trainer, held_out: dict[str, float], scores: dict[str, tuple[float, ...]]
) -> DistillResult:
    return DistillResult(
        folder=trainer.settings.out / "weights",
        steps=trainer.steps,
        minutes=trainer.seconds / 60,
        held_out=held_out,
        scores=scores,
    )
