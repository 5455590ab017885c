"""The log of one episode, and the journal of its model's answers."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import dataclass, replace

import numpy as np

from atari_vlm.atari.repetition import stuck_text
from atari_vlm.errors import StoreError
from atari_vlm.files.untrusted import storable
from atari_vlm.models.hosted.redaction import all_secrets
from atari_vlm.models.journal import JournaledModel
from atari_vlm.protocols import Model
from atari_vlm.runs import records
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import completed
from atari_vlm.runs.totals import add_decisions
from atari_vlm.types import Decision, Frame, Observation, Reply, Step


@dataclass(frozen=True, slots=True)
class EpisodeJournal:
    """Stores the answers of one episode; a `models.journal.Journal`."""

    run: Run
    episode: int

    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed, if it was committed."""
        return self.run.recall(seed)

    def remember(self, seed: int, reply: Reply) -> None:
        """Commit an answer."""
        self.run.remember(seed, reply, self.episode)


def journaled(model: Model, run: Run, episode: int) -> JournaledModel:
    """A model whose answers are stored in a run, without the keys that this process knows."""
    return JournaledModel(model, EpisodeJournal(run, episode), all_secrets().blot)


class EpisodeLog:
    """Stores an episode as it is played. What is stored already is checked, not repeated.

    Args:
        run: open for playing.
        episode: number of the episode.
        seed: of the emulator.
    """

    def __init__(self, run: Run, episode: int, seed: int) -> None:
        self.run, self.episode = run, episode
        with run.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO episodes(episode, seed, status) VALUES(?, ?, 'playing')",
                (episode, seed),
            )
            worker = f"{socket.gethostname()}:{os.getpid()}"
            db.execute("UPDATE episodes SET worker = ? WHERE episode = ?", (worker, episode))
        self._stored = run.rewards(episode)
        self._unsaved: Step | None = None
        self._stuck_after = int(str(completed(run.settings)["stuck_after"]))

    def decided(self, observation: Observation, decision: Decision, latency: float = 0.0) -> None:
        """Commit a decision, and the reward of the one before."""
        if observation.step < len(self._stored):
            return
        run, place = self.run, (self.episode, observation.step)

        def place_of(frame: Frame) -> records.Place:
            return run.place_of(_as_shown(frame, observation))

        with run.writing() as db:
            self._save_reward(db)
            db.execute(
                "INSERT INTO steps(episode, step, action, frames, source, reason, memory, queue,"
                " lives, score, latency, waited, thinking, stuck, terminated, truncated)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
                (
                    *place,
                    decision.action,
                    decision.frames,
                    decision.source,
                    storable(decision.reason),
                    storable(decision.memory),
                    records.queue_to_json(decision.queue),
                    observation.lives,
                    observation.score,
                    latency,
                    decision.waited,
                    records.thinking_to_json(decision.thinking),
                    stuck_text(observation.repeats, observation.still, self._stuck_after),
                ),
            )
            for number, call in enumerate(decision.calls):
                prompt = records.prompt_to_json(call.prompt, run.text_id, place_of)
                db.execute(
                    "INSERT INTO calls VALUES(?, ?, ?, ?, ?, ?)",
                    (*place, number, call.seed, prompt, storable(call.fault)),
                )
            for call in records.all_calls(decision):
                run.add_reply(db, call.seed, call.reply, self.episode)
            if decision.considered:
                considered = records.considered_to_json(decision.considered, run.text_id, place_of)
                db.execute("INSERT INTO candidates VALUES(?, ?, ?)", (*place, considered))
            add_decisions(db, self.episode, decision.source, 1)

    def rewarded(self, step: Step) -> None:
        """Keep the reward for the next commit; on a resume, compare it with the stored one."""
        number = step.observation.step
        known = self._stored[number] if number < len(self._stored) else None
        if known is not None and known != step.reward:
            raise StoreError(
                f"Episode {self.episode} in {self.run.folder} does not replay: decision {number} "
                f"earned {known:.15g} then and {step.reward:.15g} now. It was recorded with ale-py "
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
                (status, score, frames, storable(message), self.episode, self.episode),
            )

    def pause(self) -> None:
        """Commit the last reward; the episode is continued another time."""
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


def _as_shown(frame: Frame, observation: Observation) -> Frame:
    """The frame; as a foreign one if it has the place of a screen of the game, but other pixels.

    A wrapper may have drawn on the screen. Replaying the run would show the screen without that.
    """
    for screen in observation.frames:
        if (screen.episode, screen.step) == (frame.episode, frame.step):
            same = screen.pixels is frame.pixels or np.array_equal(screen.pixels, frame.pixels)
            return frame if same else frame.foreign()
    return frame
