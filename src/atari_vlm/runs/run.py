"""The run folder: one SQLite file that says everything about an experiment and can continue it.

Decisions are stored, not pixels: a seed and its plans replay an episode bit for bit (`playback`).
A decision is committed before its reward is asked for, an answer before it is acted on, so that
`kill -9` loses at most the call in flight. No key ever reaches this file.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from atari_vlm.errors import Lost, StoreError
from atari_vlm.models.journal import reply_from_json, reply_to_json
from atari_vlm.runs import records
from atari_vlm.runs.schema import FILE, connect, create, explained, locked
from atari_vlm.types import Decision, Frame, Observation, Reply, Step, Trajectory, Usage

Setting: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None

IDENTITY_FREE = frozenset({"ale_py", "atari_vlm", "python", "base_url", "estimate"})
"""Settings that may differ when a run is continued: a server may have moved since."""


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One line of the run's table of episodes."""

    episode: int
    seed: int
    status: str
    """"playing" (also: interrupted), "finished" or "invalid"."""
    score: float | None
    """Sum of raw rewards; None until the episode is finished."""
    decisions: int | None
    frames: int | None
    """Emulator frames played, 60 a second."""
    message: str
    """Why it is invalid, or was cut short by a budget; else empty."""

    @property
    def cut(self) -> bool:
        """Whether a budget ended the episode before the game did."""
        return self.status == "finished" and bool(self.message)


class Run:
    """A run folder, open for playing (one process at a time) or for reading."""

    def __init__(self, folder: Path, db: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.folder, self._db, self._lock = folder, db, lock
        self._texts: dict[str, int] = {}
        self.settings: dict[str, Setting] = {
            name: json.loads(value) for name, value in db.execute("SELECT * FROM settings")
        }

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def play(cls, folder: Path, settings: Mapping[str, Setting]) -> Run:
        """Create the folder's run, or continue it.

        Raises:
            StoreError: the folder holds a run with other settings, a damaged file, or a run that
                another process is playing now.
        """
        path = folder / FILE
        with explained(path):
            folder.mkdir(parents=True, exist_ok=True)
            lock = locked(folder)
            try:
                if not path.exists():
                    create(path, settings)
                run = cls(folder, connect(path, playing=True), lock)
                run._must_match(settings)
            except BaseException:
                lock.close()
                raise
            return run

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Open a run to look at it; also while it is being played."""
        path = folder / FILE
        with explained(path):
            if not path.is_file():
                raise StoreError(f"{folder} holds no run: there is no {FILE} in it.")
            return cls(folder, connect(path), None)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Whether the folder holds a run."""
        with explained(folder / FILE):
            return (folder / FILE).is_file()

    def close(self) -> None:
        """Let go of the file and the lock."""
        self._db.close()
        if self._lock:
            self._lock.close()

    def _must_match(self, settings: Mapping[str, Setting]) -> None:
        asked = json.loads(json.dumps(dict(settings)))
        different = [
            f"{name} {self.settings.get(name)!r}, not {asked.get(name)!r}"
            for name in sorted(set(asked) | set(self.settings) - {"format"})
            if name not in IDENTITY_FREE and asked.get(name) != self.settings.get(name)
        ]
        if different:
            raise StoreError(
                f"{self.folder} holds another run: it has {'; '.join(different)}. "
                "Give the same settings to continue it, or another folder for a new run."
            )

    # -- writing --------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: written whole or not at all."""
        with explained(self.folder / FILE):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def log(self, episode: int, seed: int) -> EpisodeLog:
        """The log of an episode, new or to be continued."""
        with self.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO episodes(episode, seed, status) VALUES(?, ?, 'playing')",
                (episode, seed),
            )
        return EpisodeLog(self, episode)

    def text_id(self, text: str) -> int:
        """The number of a text, stored once however often prompts repeat it."""
        text = records.storable(text)
        if text not in self._texts:
            self._db.execute("INSERT OR IGNORE INTO texts(text) VALUES(?)", (text,))
            row = self._db.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
            if len(self._texts) > 4096:
                self._texts.clear()
            self._texts[text] = row[0]
        return self._texts[text]

    def remember(self, seed: int, reply: Reply) -> None:
        """Commit an answer under its call's seed."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO replies VALUES(?, ?)", (seed, reply_to_json(reply)))

    def write_off(self, episode: int, lost: Lost) -> None:
        """Keep what an episode's question that was stopped may have cost."""
        with self.writing() as db:
            db.execute("INSERT INTO lost VALUES(?, ?, ?, ?)", (episode, *lost))

    def adopt(self, frame: Frame) -> Frame:
        """Keep the pixels of a frame of another run, which replaying this one cannot draw.

        Returns:
            The frame under its number in this run: episode -1 - k for episode k of the other.
        """
        place = (-1 - frame.episode, frame.step)
        pixels = zlib.compress(np.ascontiguousarray(frame.pixels).tobytes())
        with self.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO pictures VALUES(?, ?, ?, ?, ?, ?)",
                (*place, *frame.pixels.shape, frame.standard, pixels),
            )
        return Frame(frame.pixels, *place, frame.standard)

    # -- reading --------------------------------------------------------------------------------

    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed, if it was committed."""
        row = self._one("SELECT reply FROM replies WHERE seed = ?", seed)
        return reply_from_json(row[0]) if row else None

    def episodes(self) -> list[EpisodeRow]:
        """Every episode begun, in order."""
        rows = self._all(
            "SELECT episode, seed, status, score, decisions, frames, message FROM episodes"
            " ORDER BY episode"
        )
        return [EpisodeRow(*row) for row in rows]

    def decisions(self, episode: int) -> list[Decision]:
        """The decisions of an episode so far; their prompts refer to frames without pixels."""
        calls: dict[int, list[tuple[Any, ...]]] = {}
        for step, *call in self._all(
            "SELECT step, seed, prompt, fault FROM calls WHERE episode = ? ORDER BY step, number",
            episode,
        ):
            calls.setdefault(step, []).append(tuple(call))
        considered = dict(
            self._all("SELECT step, considered FROM candidates WHERE episode = ?", episode)
        )
        texts = dict(self._all("SELECT id, text FROM texts")) if calls or considered else {}
        rows = self._all(
            "SELECT step, action, frames, source, reason, note FROM steps WHERE episode = ?"
            " ORDER BY step",
            episode,
        )
        return [
            Decision(
                action=action,
                frames=frames,
                source=source,
                reason=reason,
                note=note,
                calls=tuple(
                    records.call_from_row(seed, prompt, fault, texts, self.recall(seed))
                    for seed, prompt, fault in calls.get(step, ())
                ),
                considered=records.considered_from_json(
                    considered.get(step, "[]"), texts, self.recall
                ),
            )
            for step, action, frames, source, reason, note in rows
        ]

    def plans(self, episode: int) -> list[tuple[str, int]]:
        """The (action, frames) of each decision: with the seed, the whole episode."""
        rows = self._all(
            "SELECT action, frames FROM steps WHERE episode = ? ORDER BY step", episode
        )
        return [(action, frames) for action, frames in rows]

    def adopted(self) -> dict[tuple[int, int], Frame]:
        """The frames of other runs by their (episode, step), episodes below 0."""
        return {
            (episode, step): Frame(
                np.frombuffer(zlib.decompress(blob), np.uint8).reshape(height, width),
                episode,
                step,
                standard,
            )
            for episode, step, height, width, standard, blob in self._all("SELECT * FROM pictures")
        }

    def plays(self, episode: int) -> list[tuple[str, int, float | None]]:
        """The (action, frames, reward) of each decision, read at one moment."""
        return [
            (action, frames, reward)
            for action, frames, reward in self._all(
                "SELECT action, frames, reward FROM steps WHERE episode = ? ORDER BY step", episode
            )
        ]

    def rewards(self, episode: int) -> list[float | None]:
        """The reward of each decision; None where the run was stopped before it was noted."""
        rows = self._all("SELECT reward FROM steps WHERE episode = ? ORDER BY step", episode)
        return [reward for (reward,) in rows]

    def trajectory(self, episode: int) -> Trajectory:
        """An episode as a value, without its frames and the calls behind its decisions."""
        rows = self._all(
            "SELECT step, action, frames, source, reason, note, lives, score, reward, terminated,"
            " truncated FROM steps WHERE episode = ? ORDER BY step",
            episode,
        )
        seed = self._one("SELECT seed FROM episodes WHERE episode = ?", episode)
        return Trajectory(
            game=str(self.settings["game"]),
            episode=episode,
            seed=seed[0] if seed else 0,
            policy=str(self.settings["model"]),
            steps=tuple(records.step_from_row(self.settings, *row) for row in rows),
        )

    def sources(self) -> dict[str, int]:
        """How many decisions came about in which way, over all episodes."""
        return dict(self._all("SELECT source, count(*) FROM steps GROUP BY source"))

    def usage(self) -> Usage:
        """What all the answers of the run cost, and what unanswered questions may have cost."""
        replies = self._all("SELECT reply FROM replies")
        lost = [
            Usage(uncertain=requests, uncertain_tokens=tokens, uncertain_dollars=dollars)
            for requests, tokens, dollars in self._all("SELECT requests, tokens, dollars FROM lost")
        ]
        return sum([reply_from_json(reply).usage for (reply,) in replies] + lost, Usage())

    def spent(self, episode: int | None = None) -> tuple[int, float]:
        """(tokens, dollars) that asking has cost so far, uncertain requests at their most.

        Answers of the response cache cost nothing. An unknown price counts as nothing, because no
        budget in dollars starts with one.

        Args:
            episode: one of them; None for the whole run.
        """
        rows = self._all("SELECT reply FROM replies")
        if episode is not None:
            seeds = {
                call.seed
                for decision in self.decisions(episode)
                for call in records.all_calls(decision)
            }
            rows = [self._all("SELECT reply FROM replies WHERE seed = ?", s)[0] for s in seeds]
        usages = [reply_from_json(reply).usage for (reply,) in rows]
        paid = [usage for usage in usages if not usage.replayed]
        lost = [
            (tokens, dollars or 0.0)
            for number, tokens, dollars in self._all("SELECT episode, tokens, dollars FROM lost")
            if episode in (None, number)
        ]
        return (
            sum(use.input_tokens + use.output_tokens + use.uncertain_tokens for use in paid)
            + sum(tokens for tokens, _ in lost),
            sum((use.dollars or 0.0) + (use.uncertain_dollars or 0.0) for use in paid)
            + sum(dollars for _, dollars in lost),
        )

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with explained(self.folder / FILE):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None


class EpisodeLog:
    """Writes an episode down as it is played; what is written already is checked, not repeated."""

    def __init__(self, run: Run, episode: int) -> None:
        self.run, self.episode = run, episode
        self._written = run.rewards(episode)
        self._unsaved: Step | None = None

    def decided(self, observation: Observation, decision: Decision) -> None:
        """Commit a decision, and the reward of the one before."""
        if observation.step < len(self._written):
            return
        with self.run.writing() as db:
            self._save_reward(db)
            place = (self.episode, observation.step)
            db.execute(
                "INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0)",
                (
                    *place,
                    decision.action,
                    decision.frames,
                    decision.source,
                    records.storable(decision.reason),
                    records.storable(decision.note),
                    observation.lives,
                    observation.score,
                ),
            )
            for number, call in enumerate(decision.calls):
                prompt = records.prompt_to_json(call.prompt, self.run.text_id)
                db.execute(
                    "INSERT INTO calls VALUES(?, ?, ?, ?, ?, ?)",
                    (*place, number, call.seed, prompt, records.storable(call.fault)),
                )
            for call in records.all_calls(decision):
                db.execute(
                    "INSERT OR IGNORE INTO replies VALUES(?, ?)",
                    (call.seed, reply_to_json(call.reply)),
                )
            if decision.considered:
                considered = records.considered_to_json(decision.considered, self.run.text_id)
                db.execute("INSERT INTO candidates VALUES(?, ?, ?)", (*place, considered))

    def rewarded(self, step: Step) -> None:
        """Keep the reward for the next commit; a replayed one must be what it was."""
        number = step.observation.step
        known = self._written[number] if number < len(self._written) else None
        if known is not None and known != step.reward:
            raise StoreError(
                f"Episode {self.episode} in {self.run.folder} does not replay: decision {number} "
                f"earned {known:g} then and {step.reward:g} now. It was recorded with ale-py "
                f"{self.run.settings.get('ale_py')}; continue it with that version."
            )
        if known is None:
            self._unsaved = step

    def finish(self, status: str, *, score: float, frames: int, message: str = "") -> None:
        """Commit the last reward and the outcome of the episode.

        Args:
            status: "finished" or "invalid".
            score: sum of its rewards.
            frames: emulator frames played.
            message: why it is invalid, or what cut a finished episode short.
        """
        with self.run.writing() as db:
            if status == "finished" and message and self._unsaved is not None:
                self._unsaved = replace(self._unsaved, truncated=True)
            self._save_reward(db)
            db.execute(
                "UPDATE episodes SET status = ?, score = ?, frames = ?, message = ?, decisions ="
                " (SELECT count(*) FROM steps WHERE steps.episode = ?) WHERE episode = ?",
                (status, score, frames, records.storable(message), self.episode, self.episode),
            )

    def pause(self) -> None:
        """Commit the last reward; the episode goes on another time."""
        with self.run.writing() as db:
            self._save_reward(db)

    def _save_reward(self, db: sqlite3.Connection) -> None:
        if (step := self._unsaved) is not None:
            db.execute(
                "UPDATE steps SET reward = ?, terminated = ?, truncated = ?"
                " WHERE episode = ? AND step = ?",
                (
                    step.reward,
                    step.terminated,
                    step.truncated,
                    self.episode,
                    step.observation.step,
                ),
            )
            self._unsaved = None
