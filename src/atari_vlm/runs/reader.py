"""Reading a run: settings, episodes, decisions, costs. Nothing here changes the run.

`playback` adds the screens, `chat_samples` makes training data of it. The run may come from anyone:
whatever its file holds, what is returned has the right types, or there is a StoreError.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from atari_vlm.errors import StoreError
from atari_vlm.files.databases import Database
from atari_vlm.files.untrusted import inflate
from atari_vlm.models.journal import reply_from_json
from atari_vlm.runs import records
from atari_vlm.runs.lesson_reader import LessonReader
from atari_vlm.runs.schema import FILE, FORMAT, legible
from atari_vlm.runs.settings import check_recorded
from atari_vlm.runs.step_reader import StepReader
from atari_vlm.runs.table_reader import readable
from atari_vlm.runs.totals import NAMES, Totals, charged, totals_from_row
from atari_vlm.types import (
    Call,
    Decision,
    Frame,
    Observation,
    Reply,
    Step,
    Trajectory,
    Usage,
)

Setting: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None


MOST_PICTURES = 512 * 2**20
"""Pixels of the stored pictures of a run that are read at once."""


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
    worker: str = ""
    """The process that played it last, as host:pid; empty for this format's predecessors."""

    @property
    def cut(self) -> bool:
        """Whether a budget ended the episode before the game did."""
        return self.status == "finished" and bool(self.message)


class RunReader(StepReader, LessonReader):
    """An open run folder.

    Args:
        folder: of the run.
        db: its open file.
    """

    def __init__(self, folder: Path, db: Database) -> None:
        super().__init__(folder, db)
        with legible(folder / FILE):
            self._check("settings")
            found = self._all("SELECT name, value FROM settings")
            self.settings: dict[str, Setting] = check_recorded(dict(found))

    def __repr__(self) -> str:
        played = f"{self.settings.get('game')}, {self.settings.get('model')}"
        return f"Run({str(self.folder)!r}: {played})"

    # -- episodes and decisions ---------------------------------------------------------------

    @readable
    def episodes(self) -> list[EpisodeRow]:
        """Every episode begun, in order."""
        self._check("episodes")
        self._check_scores()
        found = self._all(
            "SELECT episode, seed, status, score, decisions, frames, message, worker"
            " FROM episodes ORDER BY episode"
        )
        return [EpisodeRow(*row) for row in found]

    @readable
    def decisions(self, episode: int) -> list[Decision]:
        """The decisions of an episode so far; the frames in their prompts have no pixels."""
        for table in ("steps", "calls", "candidates"):
            self._check(table, "episode = ?", episode)
        calls: dict[int, list[tuple[Any, ...]]] = {}
        for step, *call in self._all(
            "SELECT step, calls.seed, prompt, fault, reply FROM calls LEFT JOIN replies"
            " ON replies.seed = calls.seed WHERE episode = ? ORDER BY step, number",
            episode,
        ):
            calls.setdefault(step, []).append(tuple(call))
        considered = dict(
            self._all("SELECT step, considered FROM candidates WHERE episode = ?", episode)
        )
        texts = self._texts_by_id() if calls or considered else {}
        found = self._all(
            "SELECT step, action, frames, source, reason, memory, queue, waited, thinking"
            " FROM steps WHERE episode = ? ORDER BY step",
            episode,
        )
        return [
            Decision(
                action=action,
                frames=frames,
                source=source,
                reason=reason,
                memory=memory,
                queue=records.queue_from_json(queue),
                waited=waited,
                thinking=records.thinking_from_json(thinking),
                calls=tuple(
                    records.call_from_row(
                        seed, prompt, fault, texts, reply_from_json(reply) if reply else None
                    )
                    for seed, prompt, fault, reply in calls.get(step, ())
                ),
                considered=records.considered_from_json(
                    considered.get(step, "[]"), texts, self.recall
                ),
            )
            for (step, action, frames, source, reason, memory, queue, waited, thinking) in found
        ]

    @readable
    def trajectory(self, episode: int) -> Trajectory:
        """An episode as a value, without frames, legal actions and calls.

        `playback.full_trajectory` has all of them, and takes longer.
        """
        found = self._steps(
            "step, action, frames, source, reason, memory, queue, waited, thinking, lives, score,"
            " reward, terminated, truncated",
            episode,
        )
        seed = self._one("SELECT seed FROM episodes WHERE episode = ?", episode)
        return Trajectory(
            game=str(self.settings["game"]),
            episode=episode,
            seed=seed[0] if seed else 0,
            policy=str(self.settings["model"]),
            steps=tuple(self._step(*row) for row in found),
        )

    def _step(self, number: int, *row: Any) -> Step:
        """One row of `steps` as a Step without frames and calls."""
        action, frames, source, reason, memory, queue, waited, thinking, *rest = row
        lives, score, reward, terminated, truncated = rest
        return Step(
            observation=Observation(
                game=str(self.settings["game"]),
                frames=(),
                legal=(),
                interval=int(self.settings["frame_skip"]),  # type: ignore[arg-type]
                step=number,
                lives=lives,
                score=score,
            ),
            decision=Decision(
                action=action,
                frames=frames,
                source=source,
                reason=reason,
                memory=memory,
                queue=records.queue_from_json(queue),
                waited=waited,
                thinking=records.thinking_from_json(thinking),
            ),
            reward=reward or 0.0,
            terminated=bool(terminated),
            truncated=bool(truncated),
        )

    # -- answers and pictures ----------------------------------------------------------------

    @readable
    def recall(self, seed: int) -> Reply | None:
        """The answer to the call with this seed, if it was committed."""
        row = self._one("SELECT reply FROM replies WHERE seed = ?", seed)
        return reply_from_json(row[0]) if row else None

    @readable
    def said(self, episode: int, step: int) -> str:
        """The model's last reply at a decision; empty if it was not asked, or did not answer."""
        self._check("calls", "episode = ? AND step = ?", episode, step)
        row = self._one(
            "SELECT seed FROM calls WHERE episode = ? AND step = ? ORDER BY number DESC LIMIT 1",
            episode,
            step,
        )
        reply = self.recall(row[0]) if row else None
        return reply.text if reply else ""

    @readable
    def adopted(self) -> dict[tuple[int, int], Frame]:
        """The frames that replaying the run cannot draw, by (episode, step), episodes below 0."""
        self._check("pictures")
        (pixels,) = self._all("SELECT total(height * width) FROM pictures")[0]
        if pixels > MOST_PICTURES:
            raise ValueError(f"its pictures have {pixels:,.0f} pixels")
        found = self._all(f"SELECT {_PICTURE} FROM pictures")
        return {(row[0], row[1]): _adopted(*row) for row in found}

    @readable
    def adopted_frame(self, episode: int, step: int) -> Frame:
        """One of the frames that replaying the run cannot draw.

        Raises:
            StoreError: the run has no such frame.
        """
        where = "episode = ? AND step = ?"
        self._check("pictures", where, episode, step)
        row = self._one(f"SELECT {_PICTURE} FROM pictures WHERE {where}", episode, step)
        if row is None:
            raise StoreError(f"{self.folder} lacks the frame {step} of episode {episode}.")
        return _adopted(*row)

    @readable
    def learning_calls(self) -> list[Call]:
        """Every call that a learner made, in order."""
        self._check("calls", "episode = -1")
        texts = self._texts_by_id()
        return [
            records.call_from_row(seed, prompt, fault, texts, self.recall(seed))
            for seed, prompt, fault in self._all(
                "SELECT seed, prompt, fault FROM calls WHERE episode = -1 ORDER BY step, number"
            )
        ]

    @readable
    def parent(self) -> tuple[str, int, int] | None:
        """(folder, episode, step) that a forked run comes from; None for any other run."""
        self._check("parent")
        row = self._one("SELECT folder, episode, step FROM parent")
        return (row[0], row[1], row[2]) if row else None

    # -- costs ----------------------------------------------------------------------------------

    @readable
    def totals(self, episode: int | None = None) -> Totals:
        """Running sums of an episode; of the whole run, learning included, for None."""
        if int(self.settings.get("format", FORMAT)) < 4:  # type: ignore[arg-type]
            return self._computed_totals(episode)
        where, values = _where(episode)
        for table in ("totals", "sources"):
            self._check(table)
        found = self._all(f"SELECT {NAMES} FROM totals{where}", *values)
        totals = sum(map(totals_from_row, found), Totals())
        query = f"SELECT source, sum(decisions) FROM sources{where} GROUP BY source"
        totals.sources.update(dict(self._all(query, *values)))
        return totals

    def _computed_totals(self, episode: int | None) -> Totals:
        """The sums of a run whose format does not store them."""
        if episode is None:
            self._check("replies")
            replies = [
                reply_from_json(reply) for (reply,) in self._all("SELECT reply FROM replies")
            ]
        else:
            replies = [*self._replies(self._reply_seeds(episode))]
        usages = [reply.usage for reply in replies]
        totals = sum((Totals(usage, charged(usage)) for usage in usages), Totals())
        totals.sources.update(self._computed_sources(episode))
        return totals

    def _computed_sources(self, episode: int | None) -> dict[str, int]:
        where, values = _where(episode)
        self._check("steps", where.removeprefix(" WHERE "), *values)
        query = f"SELECT source, count(*) FROM steps{where} GROUP BY source"
        return dict(self._all(query, *values))

    def _reply_seeds(self, episode: int) -> set[int]:
        """Seeds of the calls of an episode's stored decisions."""
        return {
            call.seed
            for decision in self.decisions(episode)
            for call in records.all_calls(decision)
        }

    def _replies(self, seeds: Iterable[int]) -> Iterator[Reply]:
        for seed in seeds:
            if (reply := self.recall(seed)) is not None:
                yield reply

    @readable
    def sources(self, episodes: Collection[int] | None = None) -> dict[str, int]:
        """How many decisions were chosen in which way, in some episodes or, for None, in all."""
        return dict(self._sum(episodes).sources)

    @readable
    def usage(self, episodes: Collection[int] | None = None) -> Usage:
        """Cost of all answers, and what unanswered requests may have cost.

        Args:
            episodes: those that count; None for all, with what learning cost.
        """
        self._check("lost")
        lost = [
            Usage(uncertain=requests, uncertain_tokens=tokens, uncertain_dollars=dollars)
            for episode, requests, tokens, dollars in self._all("SELECT * FROM lost")
            if episodes is None or episode in episodes
        ]
        return sum(lost, self._sum(episodes).usage)

    def _sum(self, episodes: Collection[int] | None) -> Totals:
        return self.totals() if episodes is None else sum(map(self.totals, episodes), Totals())

    @readable
    def spent(self, episode: int | None = None) -> tuple[int, float]:
        """(tokens, dollars) charged so far, uncertain requests at their worst case.

        Args:
            episode: one of them; None for the whole run.
        """
        self._check("lost")
        spent = self.totals(episode).spent
        lost = [
            (tokens, dollars or 0.0)
            for number, tokens, dollars in self._all("SELECT episode, tokens, dollars FROM lost")
            if episode in (None, number)
        ]
        return (
            spent.tokens + sum(tokens for tokens, _ in lost),
            (spent.dollars or 0.0) + sum(dollars for _, dollars in lost),
        )

    def _texts_by_id(self) -> dict[int, str]:
        self._check("texts")
        return dict(self._all("SELECT id, text FROM texts"))


def _where(episode: int | None) -> tuple[str, tuple[int, ...]]:
    """The condition for one episode, or for all."""
    return ("", ()) if episode is None else (" WHERE episode = ?", (episode,))


_PICTURE = "episode, step, height, width, standard, pixels"


def _adopted(episode: int, step: int, height: int, width: int, standard: Any, blob: bytes) -> Frame:
    """One row of `pictures`."""
    pixels = np.frombuffer(inflate(blob, most=height * width), np.uint8).reshape(height, width)
    return Frame(pixels, episode, step, standard)
