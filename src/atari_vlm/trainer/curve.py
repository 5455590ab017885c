"""Plays a learning curve: training, evaluations between its episodes, and controls beside it.

Every part is a run of its own, which continues when it was stopped. So the same call, made again,
plays what is missing of the curve and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Protocol

from atari_vlm.advice.records import billed
from atari_vlm.advice.simulation import simulation_of
from atari_vlm.models.hosted.budget import Caps, SharedBudget
from atari_vlm.players import Player
from atari_vlm.protocols import labelled
from atari_vlm.report.settings_text import settings_line
from atari_vlm.runs.curve import Arm, ArmName, Curve, Point
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.results import Summary
from atari_vlm.runs.run import Run
from atari_vlm.runs.seeds import EPISODES, EVALUATION
from atari_vlm.trainer.curve_costs import training_estimate
from atari_vlm.trainer.curve_plan import CurvePlan
from atari_vlm.types import Charge, Lessons


class Trainer(Protocol):
    """What of a `VLMTrainer` a curve is played with."""

    @property
    def seed(self) -> int:
        """Of its runs."""
        ...

    @property
    def shared_budget(self) -> SharedBudget | None:
        """What it may spend together with others, if that is decided already."""
        ...

    @property
    def player(self) -> Player:
        """The game and the player."""
        ...

    @property
    def caps(self) -> Caps:
        """What may be spent."""
        ...

    def without_learning(self) -> Trainer:
        """The same player with learning off."""
        ...

    def sharing(self, budget: SharedBudget) -> Trainer:
        """The same trainer, whose runs spend from one budget."""
        ...

    def folder(
        self,
        purpose: str,
        first_seed: int,
        taught: int | None = None,
        edits: int = 0,
        *,
        shuffled: bool = False,
    ) -> Path:
        """The folder of a run."""
        ...

    def train_part(self, num_episodes: int, planned: int) -> Summary:
        """Play until the training run has so many of the episodes that it is to have."""
        ...

    def evaluate_after(self, taught_by: int, num_episodes: int, *, shuffled: bool) -> Summary:
        """Play held-out seeds with what the first `taught_by` episodes taught."""
        ...


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a curve, which is played by calling it."""

    name: str
    arm: ArmName
    after: int | None
    """Episodes of training before an evaluation; None for training."""
    play: Callable[[], Summary]


class CurveRuns:
    """The runs of a curve, which are played one after the other and pay from one budget.

    Args:
        trainer: of the player that learns.
        plan: what is played.

    Raises:
        InvalidSetting: there is no learning to compare.
    """

    def __init__(self, trainer: Trainer, plan: CurvePlan) -> None:
        plan.check_learns(trainer.player)
        self.plan = plan
        control = trainer.without_learning() if plan.control else None
        shared = trainer.shared_budget
        if shared is None:
            shared = SharedBudget(trainer.caps, "training")
            for spent in _spent_earlier([trainer, control] if control else [trainer]):
                shared.add(spent)
        self._learning = trainer.sharing(shared)
        self._control = control and control.sharing(shared)
        self._before = plan.before and trainer.player.learner is not None

    def estimate_lines(self) -> Iterator[str]:
        """What is simulated, what it will cost, and how much of that the controls do.

        In sentences with settings marked as by `errors.setting`; none for a free player that
        simulates nothing.
        """
        plan, player = self.plan, self._learning.player
        if (simulated := simulation_of(player)) is not None:
            yield simulated.marked
        if not billed(player):
            return
        control = None if self._control is None else self._control.player
        yield from training_estimate(plan, player, control).lines

    def phases(self) -> Iterator[Phase]:
        """The parts, in order; each is played when it is asked to."""
        plan, learning, control = self.plan, self._learning, self._control
        if self._before:
            yield self._evaluation("Evaluation before learning", "learning", learning, 0)
        for mark in plan.marks:
            partly = f", to episode {mark} of {plan.episodes}" if plan.every else ""
            yield self._training(f"Training{partly}", "learning", learning, mark)
            after = f" after {mark} episode{'s' * (mark != 1)}" if plan.every else ""
            name = f"Evaluation{after}, on seeds never trained on"
            yield self._evaluation(name, "learning", learning, mark)
            if plan.shuffled:
                name = f"Evaluation{after}, with the lessons shuffled"
                yield self._evaluation(name, "shuffled", learning, mark)
        if control is not None:
            name = "Control, which learns nothing: "
            yield self._training(f"{name}the training seeds", "control", control, plan.episodes)
            for mark in plan.control_marks(control.player):
                yield self._evaluation(f"{name}the held-out seeds", "control", control, mark)

    def _training(self, name: str, arm: ArmName, trainer: Trainer, episodes: int) -> Phase:
        def play() -> Summary:
            return trainer.train_part(episodes, self.plan.episodes)

        return Phase(name=name, arm=arm, after=None, play=play)

    def _evaluation(self, name: str, arm: ArmName, trainer: Trainer, after: int) -> Phase:
        def play() -> Summary:
            count = self.plan.evaluations
            return trainer.evaluate_after(after, count, shuffled=arm == "shuffled")

        return Phase(name=name, arm=arm, after=after, play=play)

    def curve(self, played: Sequence[tuple[Phase, Summary]]) -> Curve:
        """The curve of what was played.

        Args:
            played: each phase with what it came to, in order.
        """
        player = self._learning.player
        names = list(dict.fromkeys(phase.arm for phase, _ in played))
        arms = [_arm(name, [each for each in played if each[0].arm == name]) for name in names]
        arms.sort(key=lambda arm: arm.name != "learning")
        shown = [
            summary
            for phase, summary in played
            if phase.arm == "learning" and phase.after is not None
        ]
        first = arms[0].folder
        assert first is not None
        return Curve(
            game=player.game.title,
            model=labelled(player.name, player.privileges),
            learner="" if player.learner is None else player.learner.name,
            settings=settings_line(shown[-1]),
            folder=first,
            arms=tuple(arms),
        )


def _arm(name: ArmName, played: Sequence[tuple[Phase, Summary]]) -> Arm:
    trained = [summary for phase, summary in played if phase.after is None]
    return Arm(
        name=name,
        points=tuple(
            Point(
                after=phase.after,
                scores=summary.scores,
                **_shown(summary.folder),
                folder=summary.folder,
            )
            for phase, summary in played
            if phase.after is not None
        ),
        training=trained[-1].scores if trained else (),
        folder=trained[-1].folder if trained else None,
    )


def _shown(folder: Path) -> dict[str, int]:
    """How many examples and lessons an evaluation showed."""
    with closing(Run.read(folder)) as run:
        shown = run.lessons(0, pictures(run)) or Lessons()
    return {"examples": len(shown.examples), "lessons": len(shown.advice)}


def _spent_earlier(trainers: Sequence[Trainer]) -> Iterator[Charge]:
    """What earlier calls spent on the training runs of trainers, and on evaluations of them."""
    for trainer in trainers:
        first, counts, edits = trainer.seed * EPISODES, 0, 0
        trained = trainer.folder("train", first)
        if Run.exists(trained):
            with closing(Run.read(trained)) as run:
                yield Charge(*run.spent())
                counts, edits = len(run.episodes()), len(run.lesson_edits())
        held_out = first + EVALUATION
        taught = product((None, *range(counts + 1)), range(edits + 1), (False, True))
        for count, edited, shuffled in taught:
            folder = trainer.folder("evaluate", held_out, count, edited, shuffled=shuffled)
            if Run.exists(folder):
                with closing(Run.read(folder)) as run:
                    yield Charge(*run.spent())
