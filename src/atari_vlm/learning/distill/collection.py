"""A data set on disk: shards played by one or more processes, and kept whatever ends the work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelUnusable, StoreError
from atari_vlm.learning.distill.collect import HELD_OUT, Disturbance, collect
from atari_vlm.learning.distill.curriculum import get_subject
from atari_vlm.learning.distill.dataset_card import write_datasheet
from atari_vlm.learning.distill.header import FORMAT, Header
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.shards import open_shard, write_shard, write_text
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.runs.schema import locked

SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """What is collected."""

    games: tuple[str, ...] = ("pong",)
    decisions: int = 20_000
    """Labelled decisions of each game. Asked for more, a finished data set is continued."""
    out: Path = Path("dataset")
    student: Path | None = None
    """Folder of weights that play most decisions, which the expert only labels."""
    seed: int = 0
    workers: int = 1
    """Processes that play; with 1, this one does."""
    shard_size: int = 5_000
    """Decisions of a file, and so the most that a kill loses of each worker's play."""
    disturbance: Disturbance = field(default_factory=Disturbance)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.games or len(set(self.games)) < len(self.games):
            raise InvalidSetting("Name at least one game to collect, and each only once.")
        for game in self.games:
            get_subject(game)
        for name in ("decisions", "workers", "shard_size"):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.seed < 0 or self.seed == HELD_OUT:
            raise InvalidSetting(
                f"The seed is 0 or more, and not {HELD_OUT}, which is kept for decisions that are "
                f"never learned; not {self.seed}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a call of `collect_dataset` did."""

    folder: Path
    decisions: int
    """Played by this call; those of finished shards were kept."""
    seconds: float
    workers: int

    @property
    def rate(self) -> float:
        """Labelled decisions a minute of each worker, starting it included."""
        return 60 * self.decisions / max(self.seconds, 1e-9) / self.workers


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    header: Header
    decisions: int


def collect_dataset(settings: CollectSettings, report: Report = print) -> Collected:
    """Play what is not in the folder yet; called again, a killed collection continues.

    Raises:
        InvalidSetting: a setting that cannot work.
        ModelUnusable: the student's weights are missing, damaged or of other games.
        StoreError: the folder holds other data, or cannot be read or written.
    """
    digest = _digest(settings)
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        with locked(settings.out):
            _open_folder(settings, digest)
            done = _collect(settings, digest, report)
            (settings.out / "lock").unlink()  # no part of what is published
            return done
    except OSError as error:
        finished = len(list(settings.out.glob("*.parquet")))
        raise StoreError(
            f"Cannot go on in {settings.out}: {error.strerror or error}. {finished} finished "
            "shards are kept; once that is mended, the same command continues."
        ) from error


def _digest(settings: CollectSettings) -> str:
    if settings.student is None:
        return ""
    student = EmbeddedRuntime(settings.student)
    for game in settings.games:
        if game not in student.games:
            raise ModelUnusable(
                f"The student in {settings.student} was not taught {game}; it knows "
                f"{', '.join(student.games)}."
            )
    return student.digest


def _open_folder(settings: CollectSettings, digest: str) -> None:
    """Write what decides the data beside it, or check that it is the same."""
    path = settings.out / SETTINGS
    asked = {
        "format": FORMAT,
        "seed": settings.seed,
        "shard_size": settings.shard_size,
        "student": digest,
        "disturbance": asdict(settings.disturbance),
    }
    asked = json.loads(json.dumps(asked))
    if path.exists():
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error}). Use another folder.") from error
        different = [
            f"{name} {found.get(name)!r}, not {asked[name]!r}"
            for name in asked
            if found.get(name) != asked[name]
        ]
        if different:
            raise StoreError(
                f"{settings.out} holds other data: it has {'; '.join(different)}. Give the same "
                "settings to continue it, or another folder for new data."
            )
    for part in settings.out.glob("*.part"):  # of a process that was killed
        part.unlink()
    if not path.exists():
        write_text(path, json.dumps(asked, indent=1) + "\n")


def _collect(settings: CollectSettings, digest: str, report: Report) -> Collected:
    jobs = list(_missing(settings, digest, report))
    total = settings.decisions * len(settings.games)
    kept = total - sum(job.decisions for job in jobs)
    if kept and jobs:
        report(f"Continuing: {kept:,} of {total:,} decisions are there.")
    start, played = time.monotonic(), 0
    workers = max(1, min(settings.workers, len(jobs)))
    for job in _play(settings, jobs) if workers == 1 else _play_apart(settings, jobs, workers):
        played += job.decisions
        rate = 60 * played / (time.monotonic() - start)
        report(f"{job.path.name}: {kept + played:,} of {total:,} decisions, {rate:,.0f} a minute")
    seconds = time.monotonic() - start
    write_datasheet(settings.out, _command(settings))
    return Collected(folder=settings.out, decisions=played, seconds=seconds, workers=workers)


def _missing(settings: CollectSettings, digest: str, report: Report) -> Iterator[_Job]:
    """Shards to be played, the first of every game before the second of any."""
    who = "student" if digest else "expert"
    for number in range(-(-settings.decisions // settings.shard_size)):
        wanted = min(settings.shard_size, settings.decisions - number * settings.shard_size)
        for game in settings.games:
            path = settings.out / f"{game}-{who}-{number:05d}.parquet"
            header = Header.of(
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
                if len(shard) >= wanted:
                    continue
            yield _Job(path, header, wanted)


def _play(settings: CollectSettings, jobs: Sequence[_Job]) -> Iterator[_Job]:
    """Play in this process, shard after shard."""
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


def _play_apart(settings: CollectSettings, jobs: Sequence[_Job], workers: int) -> Iterator[_Job]:
    """Play in processes of their own, which end with this one: at the latest after a shard."""
    context = get_context("spawn")
    processes: list[BaseProcess] = []
    pipes: list[Any] = []
    try:
        for first in range(workers):
            ours, theirs = context.Pipe(duplex=False)
            work = (settings, jobs[first::workers], theirs)
            processes.append(context.Process(target=_work, args=work, daemon=True))
            processes[-1].start()
            theirs.close()
            pipes.append(ours)
        yield from _heard(pipes)
        for process in processes:
            process.join()
            if process.exitcode:
                raise StoreError(
                    f"A worker ended with exit code {process.exitcode}. Finished shards are kept; "
                    "the same command continues."
                )
    finally:
        for process in processes:
            process.terminate()
            process.join()
        for part in settings.out.glob("*.part"):
            part.unlink(missing_ok=True)


def _heard(pipes: list[Any]) -> Iterator[_Job]:
    """What the workers say they finished, until all have ended."""
    while pipes:
        for pipe in wait(pipes):
            try:
                told: Any = pipe.recv()  # type: ignore[union-attr, call-arg]
            except EOFError:
                pipes.remove(pipe)
                continue
            if isinstance(told, _Job):
                yield told
            else:
                raise told


def _work(settings: CollectSettings, jobs: Sequence[_Job], pipe: Connection) -> None:
    try:
        for job in _play(settings, jobs):
            pipe.send(job)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # whoever asked is gone
    except (AtariVLMError, OSError) as error:
        pipe.send(error)


def _command(settings: CollectSettings) -> str:
    words = ["atari-vlm collect", "--games", ",".join(settings.games)]
    words += ["--decisions", str(settings.decisions), "--seed", str(settings.seed)]
    words += ["--shard-size", str(settings.shard_size), "--out", "FOLDER"]
    return " ".join(words + (["--student", "WEIGHTS"] if settings.student else []))
