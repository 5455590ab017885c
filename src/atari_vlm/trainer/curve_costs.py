"""What a training will cost, with its evaluations and controls, before anything is played."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from atari_vlm.advice.estimate import Estimate, estimate_of, total_line, uncalled_player
from atari_vlm.advice.records import taught_nothing
from atari_vlm.learning.options import without_learning
from atari_vlm.players import Options, Player
from atari_vlm.trainer.curve_plan import CurvePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEstimate:
    """The cost of a training, of each of its parts."""

    own: dict[str, Estimate]
    """The training and its evaluations, by name, in order."""
    controls: dict[str, Estimate]
    """What is played beside it, by name, in order; empty without controls."""

    @property
    def parts(self) -> dict[str, Estimate]:
        """All of them."""
        return {**self.own, **self.controls}

    @property
    def lines(self) -> Iterator[str]:
        """All together, and how much of that the controls are, a line each."""
        yield f"Estimate: {total_line([*self.parts.values()])}"
        if self.controls:
            yield f"Of that the controls: {total_line([*self.controls.values()])}"


def training_estimate(plan: CurvePlan, player: Player, control: Player | None) -> TrainingEstimate:
    """Estimate what is played for a training.

    Args:
        plan: what is played.
        player: that learns.
        control: the same with learning off; None if the plan has no such control.

    Raises:
        InvalidSetting: the length of an episode is unknown.
    """
    marks, evaluations = len(plan.marks), plan.evaluations
    own = {"training": estimate_of(player, plan.episodes)}
    if plan.before and player.learner is not None:
        own["before learning"] = estimate_of(taught_nothing(player), evaluations)
    own["evaluation"] = estimate_of(player, evaluations * marks, learning=False)
    beside = {}
    if plan.shuffled:
        beside["shuffled"] = estimate_of(player, evaluations * marks, learning=False)
    if control is not None:
        evaluated = len(plan.control_marks(control)) * evaluations
        beside["control"] = estimate_of(control, plan.episodes + evaluated)
    return TrainingEstimate(own=own, controls=beside)


def estimate_training(game: str, model: str, plan: CurvePlan, options: Options) -> TrainingEstimate:
    """Estimate the cost of a training of a model by name. Needs no key.

    Args:
        game: any spelling of a game.
        model: a model of the catalogue, PROVIDER:ID, or with `base_url` any name.
        plan: what is played.
        options: of the training, as those of `VLMTrainer`.

    Raises:
        NotBilled: nobody bills the player.
        InvalidSetting: there is no learning to compare, or a setting cannot be.
        UnknownName: no game, model or prompt has this name.
    """
    player = uncalled_player(game, model, options)
    plan.check_learns(player)
    control = None
    if plan.control:
        control = uncalled_player(game, model, replace(options, **without_learning()))
    return training_estimate(plan, player, control)
