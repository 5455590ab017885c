"""Labelled decisions: the screen, the expert's answer, and the plan that was played.

A perfect player sees few states (3,300 different ones in 22,000 decisions of Pong). So the play is
disturbed, episodes start from random play and are cut short, and in later rounds the student plays
while the expert only labels (DAgger, Ross et al. 2011, arXiv:1011.0686). Some episodes are recorded
from the first screen of the game: a student that does not know it may never begin, because in
Breakout nothing moves until FIRE.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.architecture import IMAGE_SIZE
from atari_vlm.policies.experts.base import Advice, sample_plan
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.types import Frame, Pixels, Plan

FIRST_EVALUATION_SEED = 500_000
"""Training uses emulator seeds below this one, evaluations this one and those above."""

HELD_OUT_SEED = 99_991
"""Seed of the held-out decisions."""

Player: TypeAlias = Literal["expert", "student", "random"]
"""The chooser of the plan that was played."""

UNDISTURBED, LONGEST_WAIT = 20, 8
"""Decisions after the first screen of a game that nothing disturbs, except that the player waits
for at most so many of them, because one who plays at once shows the first screen only once."""


class Student(Protocol):
    """The model in training."""

    def plan(self, image: Pixels, game: str, rng: np.random.Generator) -> Plan:
        """The plan that the student would play."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One labelled decision. The fields are the columns of a shard."""

    game: str
    seed: int
    """Emulator seed of the episode; below FIRST_EVALUATION_SEED."""
    episode: int
    """Number of the episode in its shard."""
    step: int
    """Recorded decisions of the episode before this one."""
    screen: Frame
    """The native screen: the brighter of the last two raw ones; see `Emulator.screen`."""
    first: bool
    """Whether no screen precedes this one. Otherwise the row before has it."""
    scattered: bool
    """Whether objects were moved just before this screen, which is then `first`."""
    words: str
    """The expert's whole answer: the objects in view, then its likeliest plan."""
    plans: NDArray[np.float32]
    """Probability of every plan of the game, in the order of `plans(schema)`."""
    weight: float
    """Importance of the moment; 0 if the label cannot be learned from the image."""
    player: Player
    action: str
    """The action that was played."""
    frames: int
    """Emulator frames for which the action was held; NOOP for the rest of the four."""
    reward: float
    """Raw reward of the four frames after this screen."""
    over: bool
    """Whether the game ended within these four frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Deviations from the player's own plans. Stored with every shard, under these names."""

    lead: tuple[float, ...] = (0.02, 0.07, 0.15, 0.25)
    """Probability that a burst of random plans begins; one value is drawn for every episode."""
    student: tuple[float, ...] = (1.0, 1.0, 0.8, 0.4)
    """Share of decisions that the student plays, if there is one; drawn for every episode."""
    scatter: float = 0.05
    """Probability, at each decision, that objects are perturbed. Undisturbed Pong keeps to a few
    trajectories, which a student memorises."""
    warm_up: int = 40
    """Largest number of random plans before an episode is recorded."""
    length: tuple[int, int] | None = None
    """Fewest and most recorded decisions of an episode; None takes those of the schema."""
    from_first_screen: float = 0.1
    """Share of episodes that are recorded from the first screen of the game, without a warm-up."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON holds them; a later one is left out where it changes nothing."""
        stored = json.loads(json.dumps(asdict(self)))
        if not self.from_first_screen:
            del stored["from_first_screen"]
        return dict(stored)


FORMER_DISTURBANCES = (Disturbance(from_first_screen=0.0),)
"""The defaults of older versions, with which their data sets continue."""


def collect(
    game: str,
    decisions: int,
    *,
    seed: int,
    number: int = 0,
    student: Student | None = None,
    disturbance: Disturbance | None = None,
) -> Iterator[Row]:
    """Play until the game's expert has labelled `decisions`.

    The rows are a pure function of the arguments, and fewer decisions are a prefix of more.

    Args:
        game: catalogue name of a game with an answer schema.
        decisions: number of rows.
        seed: of the data set.
        number: of the shard in the data set; every shard begins with a new episode.
        student: plays most decisions; the expert only labels them.
        disturbance: None for the defaults.
    """
    rng = np.random.default_rng([seed, number, 7])
    disturbance = disturbance or Disturbance()
    share = disturbance.from_first_screen
    due = rng.random() if share else 0.0
    emulator = Emulator(get_game(game))
    episode = 0
    while decisions > 0:
        episode_seed = int(rng.integers(FIRST_EVALUATION_SEED))
        emulator.reset(seed=episode_seed)
        due += share
        behaviour = _BehaviourPolicy(game, student, disturbance, rng, opening=due >= 1)
        due -= due >= 1
        for row in _episode(emulator, episode_seed, episode, decisions, behaviour):
            decisions -= 1
            yield row
        episode += 1


def _episode(
    emulator: Emulator,
    seed: int,
    episode: int,
    most: int,
    behaviour: _BehaviourPolicy,
) -> Iterator[Row]:
    game = emulator.game.name
    expert = EXPERTS[game]
    index = {plan: i for i, plan in enumerate(behaviour.every)}
    for plan in behaviour.warm_up():
        _play(emulator, plan)
    end = min(most, behaviour.length())
    before = now = _screen(emulator)
    older, step, first, perturbed = None, 0, True, False
    while step < end and not (emulator.terminated or emulator.truncated):
        memory = emulator.ram.copy()
        advice = expert.advise(older, memory, FRAME_SKIP)
        player, plan = behaviour.choose(step, advice, before, now)
        reward = _play(emulator, plan)
        yield Row(
            game=game,
            seed=seed,
            episode=episode,
            step=step,
            screen=now,
            first=first,
            scattered=perturbed,
            words=_answer(advice),
            plans=_probabilities(advice, index),
            weight=0.0 if perturbed else advice.weight,
            player=player,
            action=plan.action,
            frames=plan.frames,
            reward=reward,
            over=emulator.terminated,
        )
        before, now, older = now, _screen(emulator), memory
        step, first, perturbed = step + 1, False, False
        if behaviour.scatters(step) and _perturb(emulator, behaviour.rng):
            # No pair of screens shows the jump: the first screen after it has no predecessor.
            before = now = _screen(emulator)
            older, first, perturbed = None, True, True


class _BehaviourPolicy:
    """Chooses the player of each decision of an episode: random bursts, student or expert.

    Args:
        game: catalogue name of the game.
        student: plays most decisions; None for the expert.
        disturbance: of the data set.
        rng: of the shard.
        opening: whether the episode is recorded from the first screen of the game.
    """

    def __init__(
        self,
        game: str,
        student: Student | None,
        disturbance: Disturbance,
        rng: np.random.Generator,
        *,
        opening: bool,
    ) -> None:
        self._game, self._student, self._disturbance, self.rng = game, student, disturbance, rng
        self.every = plans(get_answer_schema(game))
        self._opening = opening
        self._waits = int(rng.integers(LONGEST_WAIT + 1)) if opening else 0
        self._burst_probability = float(rng.choice(disturbance.lead)) * (0.3 if student else 1.0)
        self._student_share = float(rng.choice(disturbance.student)) if student else 0.0
        self._burst_left, self._burst_plan = 0, self.every[0]

    def warm_up(self) -> Iterator[Plan]:
        """Random plans before the episode is recorded."""
        if not self._opening:
            for _ in range(int(self.rng.integers(self._disturbance.warm_up + 1))):
                yield self._random_plan()

    def length(self) -> int:
        """Number of decisions to record, unless the game ends before."""
        schema = get_answer_schema(self._game)
        return int(self.rng.integers(*(self._disturbance.length or schema.episode_length)))

    def scatters(self, step: int) -> bool:
        """Whether to perturb objects after this decision."""
        return not self._undisturbed(step) and self.rng.random() < self._disturbance.scatter

    def choose(self, step: int, advice: Advice, before: Frame, now: Frame) -> tuple[Player, Plan]:
        rng = self.rng
        if step < self._waits:
            return "random", self.every[0]
        calm = self._burst_left or self._undisturbed(step)
        if not calm and rng.random() < self._burst_probability:
            self._burst_left, self._burst_plan = int(rng.integers(1, 8)), self._random_plan()
        if self._burst_left:
            self._burst_left -= 1
            return "random", self._burst_plan if rng.random() < 0.7 else self._random_plan()
        if self._student is not None and rng.random() < self._student_share:
            image = motion(before, now, (IMAGE_SIZE, IMAGE_SIZE))
            return "student", self._student.plan(image, self._game, rng)
        return "expert", sample_plan(advice, rng)

    def _undisturbed(self, step: int) -> bool:
        return self._opening and step < UNDISTURBED

    def _random_plan(self) -> Plan:
        return self.every[int(self.rng.integers(len(self.every)))]


def _answer(advice: Advice) -> str:
    best = max(advice.plans, key=lambda plan: advice.plans[plan])
    return f"{advice.description}: {plan_words(*best)}"


def _probabilities(advice: Advice, index: dict[Plan, int]) -> NDArray[np.float32]:
    probabilities = np.zeros(len(index), np.float32)
    for plan, probability in advice.plans.items():
        probabilities[index[plan]] = probability
    return probabilities


def _screen(emulator: Emulator) -> Frame:
    return Frame(emulator.screen(), standard=emulator.game.standard)


def _perturb(emulator: Emulator, rng: np.random.Generator) -> bool:
    perturb = get_answer_schema(emulator.game.name).perturb
    changes = perturb(emulator.ram.copy(), rng) if perturb else {}
    for byte, value in changes.items():
        emulator.set_ram(byte, value)
    if changes:
        _play(emulator, Plan("NOOP", FRAME_SKIP))
    return bool(changes)


def _play(emulator: Emulator, plan: Plan) -> float:
    if emulator.terminated or emulator.truncated:
        return 0.0
    return emulator.play(emulator.legal.index(plan.action), plan.frames, FRAME_SKIP)
