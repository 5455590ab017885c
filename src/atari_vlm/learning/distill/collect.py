"""Labelled decisions: what was on screen, what the expert said, and states worth seeing.

A perfect player sees few states (3,300 different ones in 22,000 decisions of Pong), so the player
is disturbed, episodes start from random play and are cut short, and in later rounds the student
plays and the expert only labels (DAgger, Ross et al. 2011, arXiv:1011.0686).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from atari_vlm.emulator import Emulator
from atari_vlm.games import get_game
from atari_vlm.images import motion
from atari_vlm.learning.distill.curriculum import LONGEST, get_subject, plan_words, plans
from atari_vlm.policies.experts import EXPERTS, draw
from atari_vlm.types import Frame, Pixels

FRESH = 500_000
"""Training uses seeds below this one only; evaluations start here."""


class Student(Protocol):
    """Whoever is being taught."""

    def plan(self, picture: Pixels, game: str, rng: np.random.Generator) -> tuple[str, int]:
        """The (action, frames) it would play."""
        ...


@dataclass(slots=True)
class Shard:
    """Labelled decisions of one game in the order they were played."""

    game: str
    grey: NDArray[np.uint8]
    """The current screen in grey, (decisions, side, side)."""
    moved: NDArray[np.uint8]
    """What moved since the last decision, (decisions, side, side)."""
    first: NDArray[np.bool_]
    """Whether the decision opens an episode and so has no screen before it."""
    words: list[str]
    """The whole answer the expert would give."""
    plans: NDArray[np.float32]
    """Probability of every plan of the game, (decisions, plans)."""
    weight: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write whole or not at all; about 1 kB a decision."""
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                game=np.array(self.game),
                grey=self.grey,
                moved=self.moved,
                first=self.first,
                words=np.array(self.words),
                plans=self.plans,
                weight=self.weight,
            )
        part.replace(path)

    @staticmethod
    def load(path: Path) -> Shard:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            arrays: dict[str, Any] = {name: data[name] for name in data.files}
        arrays["game"] = str(arrays["game"])
        arrays["words"] = [str(word) for word in arrays["words"]]
        return Shard(**arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """How far play strays from whoever plays."""

    lead: tuple[float, ...] = (0.02, 0.07, 0.15, 0.25)
    """Chance of a burst of random plans at each decision; one is drawn for every episode."""
    student: tuple[float, ...] = (1.0, 1.0, 0.8, 0.4)
    """Share of decisions the student plays, when there is one; drawn for every episode."""
    scatter: float = 0.05
    """Chance, at each decision, that objects are put where play would rarely bring them: left to
    itself, Pong keeps to a few trajectories, which a student learns by heart."""
    warm_up: int = 40
    """Most random plans before an episode is recorded."""
    length: tuple[int, int] = (200, 900)
    """Fewest and most decisions recorded of an episode."""


@dataclass(slots=True)
class _Record:
    grey: list[Pixels] = field(default_factory=list)
    moved: list[Pixels] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    plans: list[NDArray[np.float32]] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)


def collect(
    game: str,
    decisions: int,
    *,
    seed: int,
    side: int,
    student: Student | None = None,
    disturbance: Disturbance | None = None,
) -> Shard:
    """Play until `decisions` have been labelled by the game's expert."""
    rng = np.random.default_rng([seed, 7])
    stray = disturbance or Disturbance()
    record = _Record()
    emulator = Emulator(get_game(game))
    while len(record.words) < decisions:
        emulator.reset(seed=int(rng.integers(FRESH)))
        _episode(emulator, record, decisions, side, student, stray, rng)
    return Shard(
        game,
        np.array(record.grey),
        np.array(record.moved),
        np.array(record.first),
        record.words,
        np.array(record.plans, np.float32),
        np.array(record.weight, np.float32),
    )


def _episode(
    emulator: Emulator,
    record: _Record,
    decisions: int,
    side: int,
    student: Student | None,
    stray: Disturbance,
    rng: np.random.Generator,
) -> None:
    game = emulator.game.name
    every = plans(get_subject(game))
    index = {plan: i for i, plan in enumerate(every)}
    lead = float(rng.choice(stray.lead)) * (0.3 if student else 1.0)
    share = float(rng.choice(stray.student)) if student else 0.0
    for _ in range(int(rng.integers(stray.warm_up + 1))):
        _play(emulator, every[int(rng.integers(len(every)))])
    end = min(decisions, len(record.words) + int(rng.integers(*stray.length)))
    before = now = Frame(emulator.screen())
    older, burst, first, hidden = None, 0, True, False
    while len(record.words) < end and not (emulator.over or emulator.truncated):
        memory = emulator.ram.copy()
        advice = EXPERTS[game].advise(older, memory, LONGEST)
        picture = motion(before, now, (side, side))
        record.grey.append(picture[..., 0].copy())
        record.moved.append(picture[..., 2].copy())
        record.first.append(first)
        best = max(advice.plans, key=lambda plan: advice.plans[plan])
        record.words.append(f"{advice.words}: {plan_words(*best)}")
        chances = np.zeros(len(every), np.float32)
        for plan, chance in advice.plans.items():
            chances[index[plan]] = chance
        record.plans.append(chances)
        record.weight.append(0.0 if hidden else advice.weight)
        if burst == 0 and rng.random() < lead:
            burst = int(rng.integers(1, 8))
            wild = every[int(rng.integers(len(every)))]
        if burst:
            burst -= 1
            plan = wild if rng.random() < 0.7 else every[int(rng.integers(len(every)))]
        elif student is not None and rng.random() < share:
            plan = student.plan(picture, game, rng)
        else:
            plan = draw(advice, rng)
        _play(emulator, plan)
        before, now, older, first, hidden = now, Frame(emulator.screen()), memory, False, False
        if rng.random() < stray.scatter and _scatter(emulator, rng):
            # The jump itself is never shown: the first screen after it only serves the next one.
            before = now = Frame(emulator.screen())
            older, first, hidden = None, True, True


def _scatter(emulator: Emulator, rng: np.random.Generator) -> bool:
    memory, moved = emulator.ram, False
    for byte, (low, high) in get_subject(emulator.game.name).scatter.items():
        if memory[byte]:
            emulator.poke(byte, int(rng.integers(low, high + 1)))
            moved = True
    if moved:
        _play(emulator, ("NOOP", LONGEST))
    return moved


def _play(emulator: Emulator, plan: tuple[str, int]) -> None:
    if not (emulator.over or emulator.truncated):
        emulator.play(emulator.legal.index(plan[0]), plan[1], LONGEST)
