"""The run folder: one SQLite file from which an experiment can be read and continued.

Decisions are stored, not pixels: a seed and its plans replay an episode bit for bit (`playback`). A
decision is committed before its reward is asked for, an answer before it is used, so that `kill -9`
loses at most the call in flight. No key is ever written to this file.
"""

from __future__ import annotations

import ctypes
import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import numpy as np

from atari_vlm.errors import InvalidSetting, Lost, StoreError
from atari_vlm.files.databases import Database
from atari_vlm.files.untrusted import inflate, storable
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.policies.outages import is_no_answer
from atari_vlm.runs import durable, records
from atari_vlm.runs.reader import EpisodeRow, RunReader, Setting
from atari_vlm.runs.rules import MOST_SIDE
from atari_vlm.runs.schema import FILE, FORMAT, connect, create, explained, legible, locked
from atari_vlm.runs.servers import moved
from atari_vlm.runs.settings import must_match
from atari_vlm.runs.totals import LEARNING, add_decisions, add_usage, charged
from atari_vlm.types import Call, Charge, Frame, Lessons, Pixels, Reply

FOREIGN = 1_000_000
"""Distance between the episode numbers of frames that would otherwise share a place."""


class Run(RunReader):
    """A run folder, open for playing (one process at a time) or for reading."""

    def __init__(self, folder: Path, db: Database, lock: IO[str] | None) -> None:
        super().__init__(folder, db)
        self._lock = lock
        self._texts: dict[str, int] = {}
        self._places: dict[int, tuple[Frame, records.Place]] = {}
        self._unanswered: dict[int, int] = {}
        self._answered: set[int] = set()
        self._identity = durable.identity(folder / FILE) if lock else None
        self._full = self._folders_synced = self._rescued = False
        self.server: str | None = None
        """The address to ask at; None for that of a vendor, or for none."""
        self.unstored: list[Charge] = []
        """What answers cost that could not be stored."""

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def play(
        cls, folder: str | Path, settings: Mapping[str, Setting], given: Collection[str] = ()
    ) -> Run:
        """Create the folder's run, or continue it.

        Args:
            folder: of the run.
            settings: of the run.
            given: names of settings that the caller chose, which an older run must have.

        Raises:
            StoreError: the folder holds a run with other settings, a damaged file, or a run that
                another process is playing now.
        """
        folder = Path(folder)
        path = folder / FILE
        with legible(path):
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as undo:
                lock = undo.enter_context(locked(folder))
                if not path.exists():
                    create(path, settings)
                db = undo.enter_context(closing(connect(path, playing=True)))
                run = cls(folder, db, lock)
                must_match(folder, run.settings, settings, given)
                run._store_totals_of_older_format()
                address = settings.get("base_url")
                run.server = None if address is None else str(address)
                undo.pop_all()  # all went well: both stay open
            return run

    @classmethod
    def read(cls, folder: str | Path) -> Run:
        """Open a run to look at it, as it is now; nothing is changed.

        It may be playing at the moment, or have been stopped by `kill -9`.

        Raises:
            StoreError: there is no run, or none that this version can read.
        """
        folder = Path(folder)
        path = folder / FILE
        with legible(path):
            if not path.is_file():
                raise StoreError(f"{folder} holds no run: there is no {FILE} in it.")
            return cls(folder, connect(path), None)

    @classmethod
    def change(cls, folder: str | Path) -> Run:
        """Open a run to change its lessons; nobody can play it meanwhile.

        Raises:
            StoreError: there is no run, or another process is playing it.
        """
        folder = Path(folder)
        path = folder / FILE
        with legible(path):
            if not path.is_file():
                raise StoreError(f"{folder} holds no run: there is no {FILE} in it.")
            with ExitStack() as undo:
                lock = undo.enter_context(locked(folder))
                db = undo.enter_context(closing(connect(path, playing=True)))
                run = cls(folder, db, lock)
                undo.pop_all()
            return run

    @classmethod
    def exists(cls, folder: str | Path) -> bool:
        """Whether the folder holds a run."""
        path = Path(folder) / FILE
        with explained(path):
            return path.is_file()

    def close(self) -> None:
        """Close the file and release the lock."""
        super().close()
        if self._lock:
            self._lock.close()

    def _store_totals_of_older_format(self) -> None:
        """Compute the totals of a run that was begun before they were stored."""
        if self._one("SELECT 1 FROM totals") or self._one("SELECT 1 FROM sources"):
            return
        rows = self.episodes()
        if not rows:
            return
        # An answer whose decision was not stored yet belongs to the episode that stopped.
        stopped = next((row.episode for row in rows if row.status == "playing"), rows[-1].episode)
        with self.writing() as db:
            seeds = {row.episode: self._reply_seeds(row.episode) for row in rows}
            every = {seed for (seed,) in self._all("SELECT seed FROM replies")}
            seeds[stopped] |= every.difference(*seeds.values())
            for episode, used in seeds.items():
                for reply in self._replies(used):
                    add_usage(db, episode, reply.usage, charged(reply.usage))
                for source, count in self._computed_sources(episode).items():
                    add_decisions(db, episode, source, count)

    def go_on(self) -> None:
        """Say and record that more is asked at another server than before; see `servers.moved`.

        Raises:
            StoreError: it may not be.
        """
        changed = moved(self.folder, self.settings, self.server, self._answers)
        if changed:
            with self.writing() as db:
                values = [(name, json.dumps(value)) for name, value in changed.items()]
                db.executemany("INSERT OR REPLACE INTO settings VALUES(?, ?)", values)
            self.settings.update(changed)

    def _answers(self) -> int:
        """How many answers there are; failures that were played as fallbacks are none."""
        self._check("replies")
        found = self._all("SELECT reply FROM replies")
        return sum(not is_no_answer(reply_from_json(reply)) for (reply,) in found)

    # -- writing --------------------------------------------------------------------------------

    @contextmanager
    def writing(self, *, synced: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction: written whole or not at all.

        Args:
            synced: it is on the disk when the block ends, also if the power fails. Otherwise it
                survives the end of this process only.
        """
        with explained(self.folder / FILE):
            if synced and not self._folders_synced:
                durable.sync_name(self.folder)
                self._folders_synced = True
            if synced != self._full:  # in a write-ahead log, FULL syncs the log at each commit
                self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._full = synced
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._forget()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            for seed in self._answered:
                self._unanswered.pop(seed, None)
            self._answered.clear()
            if self._lock and durable.identity(self.folder / FILE) != self._identity:
                self._rescue()

    def _rescue(self) -> None:
        """Write what is open once more: its file was deleted or replaced.

        Raises:
            StoreError: always; it says where everything is.
        """
        content = self._db.serialize()
        self._rescued = True
        if durable.identity(self.folder / FILE) is not None:
            # Closing it would delete the log of the other file, which has the same name.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._db))
        else:
            self.close()
        raise durable.rescued(self.folder / FILE, content)

    def _forget(self) -> None:
        """Drop what is known of the file: a transaction was not committed."""
        self._texts.clear()
        self._places.clear()
        self._answered.clear()

    def text_id(self, text: str) -> int:
        """The number of a text, stored once however often prompts repeat it."""
        text = storable(text)
        if text not in self._texts:
            self._db.execute("INSERT OR IGNORE INTO texts(text) VALUES(?)", (text,))
            row = self._db.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
            if len(self._texts) > 4096:
                self._texts.clear()
            self._texts[text] = row[0]
        return self._texts[text]

    def remember(self, seed: int, reply: Reply, episode: int) -> None:
        """Commit an answer under its call's seed, and count it for an episode.

        One that was paid for is on the disk when this returns.
        """
        paid = reply.usage.is_paid
        try:
            with self.writing(synced=paid) as db:
                self.add_reply(db, seed, reply, episode)
        except StoreError:
            if paid and not self._rescued:
                self.unstored.append(charged(reply.usage))
            raise

    def add_reply(self, db: sqlite3.Connection, seed: int, reply: Reply, episode: int) -> None:
        """Write an answer within a transaction; one that is stored already is not counted again."""
        if db.execute("SELECT 1 FROM replies WHERE seed = ?", (seed,)).fetchone() is None:
            db.execute("INSERT INTO replies VALUES(?, ?)", (seed, reply_to_json(reply)))
            add_usage(db, episode, reply.usage, charged(reply.usage))
        if row := self._unanswered.get(seed):
            db.execute("DELETE FROM lost WHERE rowid = ?", (row,))
            self._answered.add(seed)

    def write_off(self, episode: int, seed: int, lost: Lost) -> None:
        """Store what the unanswered requests of a call may have cost until now.

        It is stored before they are sent, and stays if this process is killed. The answer of the
        call takes its place.
        """
        with self.writing() as db:
            if row := self._unanswered.get(seed):
                db.execute("DELETE FROM lost WHERE rowid = ?", (row,))
                self._answered.add(seed)
            new = None
            if lost.requests:
                values = (episode, *lost)
                new = db.execute("INSERT INTO lost VALUES(?, ?, ?, ?)", values).lastrowid
        if new is not None:
            self._unanswered[seed] = new

    def place_of(self, frame: Frame) -> records.Place:
        """Where a frame can be found again; stores the pixels of one that no replay can draw.

        Call it within a transaction.
        """
        if frame.episode >= 0:
            return records.own_place(frame)
        known = self._places.get(id(frame))
        if known is None:
            if len(self._places) > 1024:
                self._places.clear()
            # The frame is kept too, so that no other one can get its id.
            known = self._places[id(frame)] = (frame, self._adopt(frame))
        return known[1]

    def _adopt(self, frame: Frame) -> records.Place:
        episode, step = records.own_place(frame)
        pixels = np.ascontiguousarray(frame.pixels)
        fits = pixels.ndim == 2 and 1 <= min(pixels.shape) <= max(pixels.shape) <= MOST_SIDE
        if not fits or pixels.dtype != np.uint8:
            raise InvalidSetting(
                "A Frame holds palette indices of shape (height, width), each 1 to "
                f"{MOST_SIDE}, not {pixels.dtype} of shape {pixels.shape}."
            )
        while True:
            found = self._db.execute(
                "SELECT height, width, standard, pixels FROM pictures"
                " WHERE episode = ? AND step = ?",
                (episode, step),
            ).fetchone()
            if found is None:
                self._db.execute(
                    "INSERT INTO pictures VALUES(?, ?, ?, ?, ?, ?)",
                    (episode, step, *pixels.shape, frame.standard, zlib.compress(pixels.tobytes())),
                )
                return episode, step
            same = (*pixels.shape, frame.standard) == found[:3]
            if same and _holds(found[3], pixels):
                return episode, step
            episode -= FOREIGN  # another picture has this place

    def store_lessons(
        self, episode: int, learner: str, lessons: Lessons, calls: Sequence[Call]
    ) -> None:
        """Commit the lessons for an episode and those after it, and the calls that made them."""
        with self.writing() as db:
            for number, call in enumerate(calls):
                prompt = records.prompt_to_json(call.prompt, self.text_id, self.place_of)
                fault = storable(call.fault)
                db.execute(
                    "INSERT OR REPLACE INTO calls VALUES(?, ?, ?, ?, ?, ?)",
                    (LEARNING, episode, number, call.seed, prompt, fault),
                )
                self.add_reply(db, call.seed, call.reply, LEARNING)
            value = records.lessons_to_json(lessons, self.place_of)
            row = (episode, learner, value, now())
            db.execute("INSERT OR REPLACE INTO lessons VALUES(?, ?, ?, ?)", row)

    def fork_of(self, folder: Path, episode: int, step: int) -> None:
        """Record where this run was forked from."""
        with self.writing() as db:
            db.execute("DELETE FROM parent")
            db.execute("INSERT INTO parent VALUES(?, ?, ?)", (str(folder), episode, step))


def now() -> str:
    """The time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _holds(blob: bytes, pixels: Pixels) -> bool:
    """Whether a stored picture is this one; one that cannot be read is another."""
    try:
        return inflate(blob, most=pixels.nbytes) == pixels.tobytes()
    except ValueError:
        return False


__all__ = ["FORMAT", "EpisodeRow", "Run", "Setting"]
