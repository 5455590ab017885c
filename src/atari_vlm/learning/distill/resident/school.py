"""A training of several students at once, from start to end: `train_resident`.

Rows stay in the memory of the device, and players on all cores append new ones while it trains.
Snapshots of the students play whole games meanwhile; the best of each group is what is written.
"""

from __future__ import annotations

import gc
import time
from contextlib import suppress
from pathlib import Path

from atari_vlm.errors import AtariVLMError, ModelUnusable, StoreError, setting
from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.folders import check_folder, made_folder
from atari_vlm.learning.distill.resident.card import write_card
from atari_vlm.learning.distill.resident.finish import (
    ResidentResult,
    choose,
    evaluate,
    score_table,
    write_weights,
)
from atari_vlm.learning.distill.resident.processes import Processes
from atari_vlm.learning.distill.resident.selection import Choice
from atari_vlm.learning.distill.resident.settings import ResidentSettings
from atari_vlm.learning.distill.resident.snapshots import TIED
from atari_vlm.learning.distill.resident.spool import Work
from atari_vlm.learning.distill.resident.training import Training
from atari_vlm.learning.distill.run import remove_leftovers, require_packages, silent
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.shards import open_dataset
from atari_vlm.runs.schema import locked

FEWER = 0.5
"""Factor on rows and batch after memory ran out."""


def train_resident(settings: ResidentSettings, report: Report = print) -> ResidentResult | None:
    """Train a student for each group. A second call with the same settings continues a killed run.

    Rows are not kept in the folder: a continued training begins when its players have collected
    new ones, which takes them about a minute.

    Returns:
        The result; None in the processes of `torchrun` that are not the main one.

    Raises:
        MissingExtra: torch, transformers or onnx is not installed.
        InvalidSetting: there is no GPU though one was asked for, too little memory, or the folder
            holds a training with other settings.
        ModelUnusable: losses are no longer finite, memory ran out twice, or the GPU failed; the
            last good checkpoint is kept.
        StoreError: the folder cannot be read or written, or another process trains in it.
    """
    require_packages()
    settings = settings.with_architecture()
    check_folder(settings)
    if settings.data is not None:
        open_dataset(settings.data, settings.games)  # refused now, not when memory is set up
    processes = Processes(settings)
    try:
        with made_folder(settings.out):
            if not processes.is_main:
                return _attempts(settings, processes, silent)
            with locked(settings.out):
                remove_leftovers(settings.out)
                return _attempts(settings, processes, report)
    except OSError as error:
        raise StoreError(
            f"Cannot go on in {settings.out}: {error.strerror or error}. What was finished is "
            "kept; run the same command again to continue."
        ) from error
    finally:
        processes.leave()


def _attempts(
    settings: ResidentSettings, processes: Processes, report: Report
) -> ResidentResult | None:
    """Train; once more, with less, if memory runs out."""
    import torch

    try:
        return _attempt(settings, processes, report, fewer=1.0)
    except torch.OutOfMemoryError as error:
        if processes.count > 1:
            raise _no_memory(settings) from error
    report(
        f"Memory ran out. The training goes on from its checkpoint with {FEWER:g} times the rows "
        "and the batch."
    )
    gc.collect()
    if processes.device.type == "cuda":
        torch.cuda.empty_cache()
    try:
        return _attempt(settings, processes, report, fewer=FEWER)
    except torch.OutOfMemoryError as error:
        raise _no_memory(settings) from error


def _no_memory(settings: ResidentSettings) -> ModelUnusable:
    return ModelUnusable(
        f"Memory ran out, and the training stopped. The checkpoint in {settings.out} is kept. Give "
        f"the same command with a smaller {setting('memory')}, or free memory on the GPU."
    )


def _attempt(
    settings: ResidentSettings, processes: Processes, report: Report, *, fewer: float
) -> ResidentResult | None:
    import torch

    training = Training(settings, processes, report, fewer=fewer)
    try:
        return _taught(training, report)
    except (AtariVLMError, KeyboardInterrupt, torch.OutOfMemoryError):
        _save(training)
        raise
    except RuntimeError as error:
        if processes.device.type != "cuda":
            raise
        text = " ".join(str(error).split())[:200]
        raise ModelUnusable(
            f"The GPU failed after step {training.stepper.steps} ({text}). The last checkpoint in "
            f"{settings.out} is kept; the same command continues from it."
        ) from error
    finally:
        training.close()


def _save(training: Training) -> None:
    """Keep what was trained, unless it is spoilt or the disk is."""
    if not training.processes.is_main:
        return
    with suppress(AtariVLMError, OSError, RuntimeError):
        training.save()
        training.writer.wait()


def _taught(training: Training, report: Report) -> ResidentResult | None:
    settings = training.settings
    if training.starts:
        report(f"Continuing after {training.seconds / 60:.1f} of {settings.minutes:g} minutes.")
    if training.processes.is_main:
        write_whole(settings.out / "settings.json", settings.to_json())
    training.wait_for_rows()
    if not training.ended:
        training.train()
    if not training.processes.is_main:
        while not training.spool.work().over:  # its players play games for the main process
            training.players.look()
            time.sleep(0.05)
        training.processes.every(True)
        return None
    choices = choose(training, report)
    folder = write_weights(training, choices)
    scores = evaluate(training, folder, report)
    result = _result(training, folder, choices, scores)
    state = training.students.state_dict_of(0)
    parameters = sum(weight.numel() for name, weight in state.items() if name != TIED)
    write_card(settings, result, parameters)
    for line in score_table(scores) if scores else []:
        report(line)
    report(
        f"{result.decisions:,} decisions in {result.minutes:.1f} minutes, {result.speed:,.0f} a "
        f"second at the end, from {sum(result.rows.values()):,} rows"
    )
    report(f"Weights: {folder}")
    report(f"Play them: atari-vlm play --game {settings.groups[0][0]} --model {folder}")
    training.spool.tell(Work(rows=False, over=True))
    training.processes.every(True)
    return result


def _result(
    training: Training,
    folder: Path,
    choices: tuple[Choice, ...],
    scores: dict[str, tuple[float, ...]],
) -> ResidentResult:
    rows = {
        kind: training.loader.of_kind(kind) + training.played.get(kind, 0)
        for kind in ("expert", "student")
    }
    return ResidentResult(
        folder=folder,
        steps=training.stepper.steps,
        minutes=training.seconds / 60,
        decisions=training.stepper.steps * training.decisions_of_step,
        speed=training.speed,
        rows=rows,
        choices=choices,
        scores=scores,
    )
