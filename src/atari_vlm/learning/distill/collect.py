"""Labelled decisions: what was on screen, what the expert said, and states worth seeing.

A perfect player sees few states (3,300 different ones in 22,000 decisions of Pong), so the player
is disturbed, episodes start from random play and are cut short, and in later rounds the student
plays and the expert only labels (DAgger, Ross et al. 2011, arXiv:1011.0686).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.learning.distill.architecture import SIDE
from atari_vlm.learning.distill.curriculum import get_subject
from atari_vlm.learning.distill.subjects.base import FRAME_SKIP, plan_words, plans
from atari_vlm.policies.experts.base import Advice, sample_plan
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.types import Frame, Pixels

FRESH = 500_000
"""Training uses seeds below this one only; evaluations start here."""

HELD_OUT = 99_991
"""Seed of the decisions that are never trained on."""

Player: TypeAlias = Literal["expert", "student", "random"]
"""Who chose the plan that was played."""

Plan: TypeAlias = tuple[str, int]
"""(action, frames it is held)."""


class Student(Protocol):
    """Whoever is being taught."""

    def plan(self, picture: Pixels, game: str, rng: np.random.Generator) -> Plan:
        """The (action, frames) it would play."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One labelled decision, and what was played."""

    game: str
    seed: int
    """Of the emulator, for the episode; below FRESH."""
    episode: int
    """Number of the episode within its shard."""
    step: int
    """How many decisions of the episode were recorded before this one."""
    screen: Frame
    """The native screen, the brighter of the last two raw ones; see `Emulator.screen`."""
    first: bool
    """There is no screen before this one; otherwise it is that of the row before."""
    scattered: bool
    """Objects were moved by hand just before this screen, which is why it is `first`."""
    words: str
    """The whole answer the expert would give: what is seen, then its likeliest plan."""
    plans: NDArray[np.float32]
    """Probability of every plan of the game, in the order of `plans(subject)`."""
    weight: float
    """How much hangs on this moment; 0 where the label cannot be learned from the picture."""
    player: Player
    action: str
    """What was played, whoever chose it."""
    frames: int
    """Emulator frames the action was held; NOOP for the rest of the four."""
    reward: float
    """Raw reward of the four frames after this screen."""
    over: bool
    """The game ended within these four frames."""


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
    length: tuple[int, int] | None = None
    """Fewest and most decisions recorded of an episode; None as the subject says."""


def collect(
    game: str,
    decisions: int,
    *,
    seed: int,
    number: int = 0,
    student: Student | None = None,
    disturbance: Disturbance | None = None,
) -> Iterator[Row]:
    """Play until `decisions` have been labelled by the game's expert.

    The rows are a pure function of the arguments, and fewer decisions are the beginning of more.

    Args:
        game: catalogue name of a game that can be taught.
        decisions: how many rows to yield.
        seed: of the data set.
        number: of the shard within it; every shard begins with a new episode.
        student: plays most decisions, which the expert only labels.
        disturbance: how far play strays.
    """
    rng = np.random.default_rng([seed, number, 7])
    stray = disturbance or Disturbance()
    emulator = Emulator(get_game(game))
    episode = 0
    while decisions > 0:
        first_frame = int(rng.integers(FRESH))
        emulator.reset(seed=first_frame)
        for row in _episode(emulator, first_frame, episode, decisions, student, stray, rng):
            decisions -= 1
            yield row
        episode += 1


def _episode(
    emulator: Emulator,
    seed: int,
    episode: int,
    most: int,
    student: Student | None,
    stray: Disturbance,
    rng: np.random.Generator,
) -> Iterator[Row]:
    game = emulator.game.name
    subject, expert = get_subject(game), EXPERTS[game]
    every = plans(subject)
    index = {plan: i for i, plan in enumerate(every)}
    chooser = _Chooser(game, every, student, stray, rng)
    for _ in range(int(rng.integers(stray.warm_up + 1))):
        _play(emulator, every[int(rng.integers(len(every)))])
    end = min(most, int(rng.integers(*(stray.length or subject.length))))
    before = now = _screen(emulator)
    older, step, first, scattered = None, 0, True, False
    while step < end and not (emulator.terminated or emulator.truncated):
        memory = emulator.ram.copy()
        advice = expert.advise(older, memory, FRAME_SKIP)
        player, plan = chooser.choose(advice, before, now)
        reward = _play(emulator, plan)
        yield Row(
            game=game,
            seed=seed,
            episode=episode,
            step=step,
            screen=now,
            first=first,
            scattered=scattered,
            words=_words(advice),
            plans=_chances(advice, index),
            weight=0.0 if scattered else advice.weight,
            player=player,
            action=plan[0],
            frames=plan[1],
            reward=reward,
            over=emulator.terminated,
        )
        before, now, older = now, _screen(emulator), memory
        step, first, scattered = step + 1, False, False
        if rng.random() < stray.scatter and _scatter(emulator, rng):
            # The jump itself is never shown: the first screen after it only serves the next one.
            before = now = _screen(emulator)
            older, first, scattered = None, True, True


class _Chooser:
    """Who plays what in one episode: bursts of random plans, the student, or the expert."""

    def __init__(
        self,
        game: str,
        every: tuple[Plan, ...],
        student: Student | None,
        stray: Disturbance,
        rng: np.random.Generator,
    ) -> None:
        self._game, self._every, self._student, self._rng = game, every, student, rng
        self._lead = float(rng.choice(stray.lead)) * (0.3 if student else 1.0)
        self._share = float(rng.choice(stray.student)) if student else 0.0
        self._left, self._wild = 0, every[0]

    def choose(self, advice: Advice, before: Frame, now: Frame) -> tuple[Player, Plan]:
        rng = self._rng
        if self._left == 0 and rng.random() < self._lead:
            self._left, self._wild = int(rng.integers(1, 8)), self._any()
        if self._left:
            self._left -= 1
            return "random", self._wild if rng.random() < 0.7 else self._any()
        if self._student is not None and rng.random() < self._share:
            picture = motion(before, now, (SIDE, SIDE))
            return "student", self._student.plan(picture, self._game, rng)
        return "expert", sample_plan(advice, rng)

    def _any(self) -> Plan:
        return self._every[int(self._rng.integers(len(self._every)))]


def _words(advice: Advice) -> str:
    best = max(advice.plans, key=lambda plan: advice.plans[plan])
    return f"{advice.description}: {plan_words(*best)}"


def _chances(advice: Advice, index: dict[Plan, int]) -> NDArray[np.float32]:
    chances = np.zeros(len(index), np.float32)
    for plan, chance in advice.plans.items():
        chances[index[plan]] = chance
    return chances


def _screen(emulator: Emulator) -> Frame:
    return Frame(emulator.screen(), standard=emulator.game.standard)


def _scatter(emulator: Emulator, rng: np.random.Generator) -> bool:
    scatter = get_subject(emulator.game.name).scatter
    pokes = scatter(emulator.ram.copy(), rng) if scatter else {}
    for byte, value in pokes.items():
        emulator.set_ram(byte, value)
    if pokes:
        _play(emulator, ("NOOP", FRAME_SKIP))
    return bool(pokes)


def _play(emulator: Emulator, plan: Plan) -> float:
    if emulator.terminated or emulator.truncated:
        return 0.0
    return emulator.play(emulator.legal.index(plan[0]), plan[1], FRAME_SKIP)
