"""Players: processes that play and label rows, and play whole games, until their parent ends.

Each is one of several that share the processor's cores with the training. What is to be done, and
what was done, stands in the spool.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.processes import end_with
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import build_tokenizer
from atari_vlm.learning.distill.collect import HELD_OUT_SEED, Disturbance, Row, collect
from atari_vlm.learning.distill.evaluate import play_episodes
from atari_vlm.learning.distill.resident.groups import Groups, group_name, share_of
from atari_vlm.learning.distill.resident.spool import HELD_OUT, Spool
from atari_vlm.learning.distill.row_arrays import Labeller
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.runs.worker_processes import start_shielded
from atari_vlm.types import Pixels, Plan

STRONGER = Disturbance(lead=(0.05, 0.15, 0.25, 0.4), scatter=0.08)
"""Of every second player's teachers."""

IDLE = 0.05
"""Seconds before a player without work looks again."""

TRIES, WITHIN = 3, 300.0
"""A player may end twice in so many seconds; the third time, the training does too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerOrder:
    """What a player has to know."""

    number: int
    """Of the player in its process, from 0."""
    name: str
    """Unlike that of any other player."""
    spool: Path
    games_folder: Path
    groups: Groups
    seed: int
    start: int
    """How often the training was started before: its rows are others each time."""
    chunk_rows: int
    teacher_share: float
    most_waiting: int
    """Chunks in the spool from which no more are played."""
    held_out: tuple[str, ...]
    """Games whose held-out rows it plays first; they are the same in every training."""
    held_out_rows: int
    judge: bool
    """Whether whole games come before rows; others play games only when no rows are wanted."""


class _NewestStudent:
    """The student of whatever group plays a game, loaded when first needed."""

    def __init__(self, groups: Groups) -> None:
        self._names = {game: group_name(group) for group in groups for game in group}
        self._folder, self._loaded = "", dict[str, EmbeddedRuntime]()

    def become(self, folder: str, game: str) -> None:
        """Load the checkpoint for a game; the former one goes on if there is none.

        Raises:
            ModelUnusable: there is no former one.
        """
        if folder != self._folder:
            self._folder, self._former, self._loaded = folder, self._loaded, {}
        name = self._names[game]
        if name not in self._loaded:
            try:
                self._loaded[name] = EmbeddedRuntime(Path(folder) / name)
            except ModelUnusable:  # a newer one has taken its place meanwhile
                if name not in self._former:
                    raise
                self._loaded[name] = self._former[name]

    def plan(self, image: Pixels, game: str, rng: np.random.Generator) -> Plan:
        return self._loaded[self._names[game]].plan(image, game, rng)


@dataclass
class Player:
    """Plays chunks of rows and whole games, one at a time."""

    order: PlayerOrder
    _made: Counter[tuple[str, str]] = field(default_factory=Counter)
    _plays: dict[tuple[str, str], tuple[Labeller, Iterator[Row]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare what every chunk needs."""
        order = self.order
        self._spool = Spool(order.spool, order.games_folder)
        self._games = tuple(game for group in order.groups for game in group)
        # Of all games, because the students share one vocabulary.
        self._tokenizer = build_tokenizer(self._games)
        self._student = _NewestStudent(order.groups)
        self._held_out = list(order.held_out)
        self._rng = np.random.default_rng([order.seed, order.start, _digits(order.name)])

    def turn(self) -> bool:
        """Play a chunk or a whole game; False if there is nothing to do now."""
        work = self._spool.work()
        if self._held_out:  # the last choice needs them too
            self._play_held_out(self._held_out.pop())
            return True
        if (self.order.judge or not work.rows) and self._play_game():
            return True
        if not work.rows or len(self._spool.waiting()) >= self.order.most_waiting:
            return False
        kind = "expert"
        if work.student and self._rng.random() >= self.order.teacher_share:
            kind = "student"
        self._play_chunk(kind, self._next_game(kind), work.student)
        return True

    def _next_game(self, kind: str) -> str:
        """The game that has the fewest chunks for its share."""
        games = self._games
        order: list[int] = self._rng.permutation(len(games)).tolist()
        fewest = min(order, key=lambda i: self._made[games[i], kind] / share_of(games[i]))
        return games[fewest]

    def _play_chunk(self, kind: str, game: str, student: str) -> None:
        if kind == "student":
            try:
                self._student.become(student, game)
            except ModelUnusable:  # it was replaced before this player came to it
                kind = "expert"
        key = game, kind
        if key not in self._plays:
            self._plays[key] = Labeller(game, self._tokenizer), self._rows(game, kind)
        labeller, rows = self._plays[key]
        arrays = labeller.chunk(rows, self.order.chunk_rows)
        self._made[key] += 1
        player, count = f"{self.order.start}.{self.order.name}", self._made.total()
        self._spool.put(f"{game}-{kind}-{player}-{count:07d}", arrays.to_buffer())

    def _play_held_out(self, game: str) -> None:
        """Deliver rows that are never learned; each chunk begins with an episode of its own."""
        size, most = self.order.chunk_rows, self.order.held_out_rows
        for number in range(max(1, most // size)):
            rows = collect(game, min(size, most), seed=HELD_OUT_SEED, number=number)
            arrays = Labeller(game, self._tokenizer).chunk(rows, size)
            self._spool.put(f"{game}-{HELD_OUT}-{self.order.name}-{number:07d}", arrays.to_buffer())

    def _rows(self, game: str, kind: str) -> Iterator[Row]:
        """The endless play of a game; no two players or starts play the same."""
        order = self.order
        return collect(
            game,
            10**12,
            seed=order.seed,
            number=2 * (1_000_000 * order.start + _digits(order.name)) + (kind == "student"),
            student=self._student if kind == "student" else None,
            disturbance=disturbance_of(game, kind, order.number),
        )

    def _play_game(self) -> bool:
        claimed = self._spool.claim(self.order.name)
        if claimed is None:
            return False
        order, taken = claimed
        folder, most, error = Path(order.folder), order.most_frames, ""
        try:
            (score,) = play_episodes(folder, order.game, 1, first_seed=order.seed, most_frames=most)
        except ModelUnusable as damaged:
            if order.version < 0:  # the final weights have no substitute
                raise
            score, error = math.nan, str(damaged)
        self._spool.finish(taken, order, score, error)
        return True


def disturbance_of(game: str, kind: str, player: int) -> Disturbance:
    """How a player's play is disturbed: half of the teachers more strongly, students for longer."""
    if kind == "expert":
        return STRONGER if player % 2 else Disturbance()
    fewest, most = get_answer_schema(game).episode_length
    # In Montezuma's Revenge, play that goes on for longer goes nowhere.
    longer = most if game == "montezuma_revenge" else 2 * most
    return Disturbance(scatter=0.05 if player % 3 == 0 else 0.01, length=(fewest, longer))


def _digits(name: str) -> int:
    """The number of a player among those of all processes."""
    process, _, number = name.partition(".")
    return 1_000 * int(process) + int(number)


def play_until_ended(order: PlayerOrder, parent: int) -> None:
    """Be a player, in a process of its own."""
    end_with(parent)
    with suppress(OSError):
        os.nice(5)  # the training comes first
    try:
        player = Player(order)
        while True:
            if not player.turn():
                time.sleep(IDLE)
    except Exception:
        Spool(order.spool, order.games_folder).fail(order.name, traceback.format_exc())
        raise SystemExit(1) from None


class PlayerProcesses:
    """The players of one process of the training; with no processes, it plays itself in turn.

    Args:
        orders: one for each player; with a single order and no `processes`, it is played here.
        spool: theirs.
        processes: whether they are processes of their own.
    """

    def __init__(self, orders: list[PlayerOrder], spool: Spool, *, processes: bool) -> None:
        self._orders, self._spool = orders, spool
        self._running: dict[int, BaseProcess] = {}
        self._ends: defaultdict[int, list[float]] = defaultdict(list)
        self._own = None if processes else Player(orders[0])
        self._looked = 0.0
        if processes:
            for order in orders:
                self._start(order)

    def look(self) -> None:
        """Play in turn if there are no processes; begin ended ones again.

        Raises:
            ModelUnusable: a player cannot play.
        """
        if self._own is not None:
            self._own.turn()
            return
        if time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        for order in self._orders:
            process = self._running[order.number]
            if process.is_alive():
                continue
            process.join()
            self._spool.give_back(order.name)
            ends = self._ends[order.number]
            ends.append(self._looked)
            if sum(self._looked - end < WITHIN for end in ends) >= TRIES:
                raise ModelUnusable(self._why(order, process.exitcode or 0))
            # It would play the same rows again, and perhaps end in the same way.
            self._start(replace(order, start=order.start + 1_000 * len(ends)))

    def stop(self) -> None:
        """End all players; what they are playing is lost."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.join()
        self._running.clear()

    def _start(self, order: PlayerOrder) -> None:
        process = get_context("spawn").Process(
            target=play_until_ended, args=(order, os.getpid()), daemon=True
        )
        start_shielded(process)
        self._running[order.number] = process

    def _why(self, order: PlayerOrder, code: int) -> str:
        said = self._spool.failure(order.name).strip().splitlines()[-1:]
        killed = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        hint = ""
        if not said and code > 0:  # it came to nothing
            hint = 'A script that trains needs `if __name__ == "__main__":`. '
        return (
            f"A process that plays ended {TRIES} times ({(said or [killed])[0]}). {hint}The "
            "checkpoint is kept; the same command continues."
        )
