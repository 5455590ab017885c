"""Collection of a data set: shards played by one or more processes, resumable at any time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from atari_vlm.errors import InvalidSetting, ModelUnusable, NoSuchFolder, StoreError, setting
from atari_vlm.files.untrusted import json_of, read_regular
from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.collect import (
    FORMER_DISTURBANCES,
    HELD_OUT_SEED,
    Disturbance,
    collect,
)
from atari_vlm.learning.distill.dataset_card import write_dataset_card
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.shard_header import FORMAT, ShardHeader
from atari_vlm.learning.distill.shards import arrow_modules, open_shard, remove_drafts, write_shard
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.runs.schema import locked
from atari_vlm.runs.worker_processes import Ended, Tell, Workers

SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """Settings of a data set."""

    games: tuple[str, ...] = ("pong",)
    decisions: int = 20_000
    """Labelled decisions of each game. A larger number continues a finished data set."""
    out: Path = Path("dataset")
    student: Path | None = None
    """Checkpoint that plays most decisions; the expert only labels them. None for the expert."""
    seed: int = 0
    workers: int = 1
    """Processes that play; 1 plays in this process."""
    shard_size: int = 5_000
    """Decisions of a file; also the most that each worker loses when it is killed."""
    disturbance: Disturbance | None = None
    """None: that of the data set in `out`, and the defaults in a new one."""

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.games or len(set(self.games)) < len(self.games):
            raise InvalidSetting("Name at least one game to collect, and each only once.")
        for game in self.games:
            get_answer_schema(game)
        for name in ("decisions", "workers", "shard_size"):
            value = getattr(self, name)
            if value < 1:
                raise InvalidSetting(f"{setting(name)} must be at least 1, not {value}.")
        if self.seed < 0 or self.seed == HELD_OUT_SEED:
            raise InvalidSetting(
                f"The seed is 0 or more, and not {HELD_OUT_SEED}, which is kept for decisions that "
                f"are never learned; not {self.seed}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The result of `collect_dataset`."""

    folder: Path
    decisions: int
    """Decisions played by this call, without those of earlier calls."""
    seconds: float
    workers: int

    @property
    def rate(self) -> float:
        """Labelled decisions a minute of each worker, with its start-up time."""
        return 60 * self.decisions / max(self.seconds, 1e-9) / self.workers


@dataclass(frozen=True, slots=True)
class _ShardJob:
    path: Path
    header: ShardHeader
    decisions: int


def collect_dataset(settings: CollectSettings, report: Report = print) -> Collected:
    """Play the shards that the folder lacks. A second call continues a killed collection.

    Raises:
        MissingExtra: pyarrow is not installed.
        ModelUnusable: the student's weights are missing, damaged or of other games.
        StoreError: the folder holds other data, or cannot be read or written.
    """
    digest = _student_digest(settings)
    arrow_modules()
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        with locked(settings.out):
            settings = _open_folder(settings, digest)
            done = _collect(settings, digest, report)
            (settings.out / "lock").unlink()  # not part of the data set
            return done
    except OSError as error:
        finished = len(list(settings.out.glob("*.parquet")))
        raise StoreError(
            f"Cannot go on in {settings.out}: {error.strerror or error}. {finished} finished "
            "shards are kept; once this is fixed, the same command continues."
        ) from error


def _student_digest(settings: CollectSettings) -> str:
    if settings.student is None:
        return ""
    if not settings.student.is_dir():
        raise NoSuchFolder(f"There is no folder {settings.student}.")
    student = EmbeddedRuntime(settings.student)
    for game in settings.games:
        if game not in student.games:
            raise ModelUnusable(
                f"The student in {settings.student} was not taught {game}; it knows "
                f"{', '.join(student.games)}."
            )
    return student.digest


def _open_folder(settings: CollectSettings, digest: str) -> CollectSettings:
    """Write the settings that decide the data, or check that the folder has the same.

    Returns:
        The settings, with a disturbance.
    """
    path = settings.out / SETTINGS
    found: dict[str, Any] = {}
    if path.exists():
        try:
            found = dict(json_of(read_regular(path, most=2**20)))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}). Use another folder.") from error
    disturbance = settings.disturbance or _default_disturbance(found.get("disturbance"))
    current = {
        "format": FORMAT,
        "seed": settings.seed,
        "shard_size": settings.shard_size,
        "student": digest,
        "disturbance": disturbance.to_json(),
    }
    if path.exists():
        differences = [
            f"{name} {found.get(name)!r}, not {current[name]!r}"
            for name in current
            if found.get(name) != current[name]
        ]
        if differences:
            raise StoreError(
                f"{settings.out} holds other data: it has {'; '.join(differences)}. Give the same "
                "settings to continue it, or another folder for new data."
            )
    remove_drafts(settings.out)
    if not path.exists():
        write_whole(path, json.dumps(current, indent=1) + "\n")
    return replace(settings, disturbance=disturbance)


def _default_disturbance(stored: object) -> Disturbance:
    """The default of the version that began a data set."""
    former = (each for each in FORMER_DISTURBANCES if each.to_json() == stored)
    return next(former, Disturbance())


def _collect(settings: CollectSettings, digest: str, report: Report) -> Collected:
    jobs = list(_missing_shards(settings, digest, report))
    total = settings.decisions * len(settings.games)
    kept = total - sum(job.decisions for job in jobs)
    if kept and jobs:
        report(f"Continuing: {kept:,} of {total:,} decisions are there.")
    start, played = time.monotonic(), 0
    workers = max(1, min(settings.workers, len(jobs)))
    playing = _play(settings, jobs) if workers == 1 else _play_in_workers(settings, jobs, workers)
    for job in playing:
        played += job.decisions
        rate = 60 * played / (time.monotonic() - start)
        report(f"{job.path.name}: {kept + played:,} of {total:,} decisions, {rate:,.0f} a minute")
    seconds = time.monotonic() - start
    write_dataset_card(settings.out, _command(settings))
    return Collected(folder=settings.out, decisions=played, seconds=seconds, workers=workers)


def _missing_shards(settings: CollectSettings, digest: str, report: Report) -> Iterator[_ShardJob]:
    """The shards to play: the first of every game before the second of any."""
    player = "student" if digest else "expert"
    for number in range(-(-settings.decisions // settings.shard_size)):
        needed = min(settings.shard_size, settings.decisions - number * settings.shard_size)
        for game in settings.games:
            path = settings.out / f"{game}-{player}-{number:05d}.parquet"
            header = ShardHeader.of(
                game,
                seed=settings.seed,
                number=number,
                student=digest,
                disturbance=settings.disturbance,
            )
            if path.exists():
                shard = open_shard(path)
                if different := shard.header.differs(header):
                    raise StoreError(
                        f"{path} was collected otherwise: it has {different}. Use another folder."
                    )
                if len(shard) >= needed:
                    continue
            yield _ShardJob(path, header, needed)


def _play(settings: CollectSettings, jobs: Sequence[_ShardJob]) -> Iterator[_ShardJob]:
    """Play shards one after the other in this process."""
    student = EmbeddedRuntime(settings.student) if settings.student else None
    for job in jobs:
        rows = collect(
            job.header.game,
            job.decisions,
            seed=settings.seed,
            number=job.header.number,
            student=student,
            disturbance=settings.disturbance,
        )
        write_shard(job.path, rows, job.header)
        yield job


def _play_in_workers(
    settings: CollectSettings, jobs: Sequence[_ShardJob], processes: int
) -> Iterator[_ShardJob]:
    """Play in worker processes. A shard whose worker is killed is begun again by another one."""
    workers: Workers[_ShardJob, _ShardJob] = Workers(
        partial(_play_shard, settings),
        jobs,
        processes=processes,
        prepare=_nothing,
        told=_nothing,
        lost=_nothing,
    )
    try:
        with closing(workers.results()) as results:
            for job, done in results:
                if isinstance(done, Ended):
                    raise StoreError(
                        f"The worker that played {job.path.name} {done.reason}, {done.tries} "
                        "times. Finished shards are kept; the same command continues."
                    )
                yield done
    finally:
        remove_drafts(settings.out)


def _play_shard(settings: CollectSettings, job: _ShardJob, tell: Tell) -> _ShardJob:
    """Play a shard in a worker process."""
    (done,) = _play(settings, [job])
    return done


def _nothing(*_: object) -> None:
    """Workers of a collection need no preparation, and tell nothing."""


def _command(settings: CollectSettings) -> str:
    parts = ["atari-vlm collect", "--games", ",".join(settings.games)]
    parts += ["--decisions", str(settings.decisions), "--seed", str(settings.seed)]
    parts += ["--shard-size", str(settings.shard_size), "--out", "FOLDER"]
    return " ".join(parts + (["--student", "WEIGHTS"] if settings.student else []))
