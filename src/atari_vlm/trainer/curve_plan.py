"""What is played for a learning curve, and whether there is anything to compare."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.learning.choice import why_no_lessons
from atari_vlm.options import check_number
from atari_vlm.players import EMBEDDED, OTHER_MODEL, Player
from atari_vlm.runs.options import EVALUATION_EPISODES
from atari_vlm.runs.seeds import EVALUATION

PROGRESS = "progress"
"""The learner of the prompt `adaptive`, which counts and gives no lesson."""

LEARNERS = ("use_in_context_learning", "examples_from", "reflect", "lessons_from")
"""The settings with which a player is shown what was learned."""


@dataclass(frozen=True, kw_only=True)
class CurvePlan:
    """What is played for a curve.

    Raises:
        InvalidSetting: a number is out of range.
    """

    episodes: int
    """Of training."""
    evaluations: int = EVALUATION_EPISODES
    """Held-out seeds, the same in each evaluation."""
    every: int | None = None
    """Training episodes between two evaluations; None for one evaluation, at the end."""
    before: bool = True
    """Whether to evaluate before the training too."""
    control: bool = False
    """Play the same training and held-out seeds with learning off."""
    shuffled: bool = False
    """Play the held-out seeds with the lessons shuffled, too."""

    def __post_init__(self) -> None:
        check_number("num_episodes", self.episodes, 1, EVALUATION)
        check_number("num_evaluations", self.evaluations, 1, EVALUATION)
        if self.every is None:
            return
        check_number("evaluate_every", self.every, 1)
        if self.every > self.episodes:
            raise InvalidSetting(
                f"{setting('evaluate_every', self.every)} is more than the {self.episodes} "
                f"episodes of training; give at most {self.episodes}, or train more."
            )

    @property
    def compares(self) -> bool:
        """Whether it is more than an evaluation before and after."""
        return self.every is not None or self.control or self.shuffled

    @property
    def marks(self) -> tuple[int, ...]:
        """The numbers of training episodes after which is evaluated, but for the start."""
        every = self.every or self.episodes
        return (*range(every, self.episodes, every), self.episodes)

    def control_marks(self, control: Player) -> tuple[int, ...]:
        """The marks at which a control is evaluated: one that counts nothing is always the same."""
        return self.marks if control.learner is not None else self.marks[-1:]

    def check_learns(self, player: Player) -> None:
        """Raise InvalidSetting for a curve of a player that learns nothing."""
        if self.compares and not learns(player):
            asked = {
                "evaluate_every": self.every is not None,
                "control": self.control,
                "shuffled": self.shuffled,
            }
            names = ", ".join(setting(name) for name, given in asked.items() if given)
            raise InvalidSetting(
                f"{_why(player)}. There is no learning to compare: leave out {names}, or "
                f"{OTHER_MODEL if _reads_nothing(player) else 'turn one of them on'}."
            )


def learns(player: Player) -> bool:
    """Whether what a player is shown changes from episode to episode."""
    return player.learner is not None and player.learner.name != PROGRESS


def why_nothing_is_learned(player: Player) -> str:
    """Why training teaches a player nothing, in a sentence."""
    return f"{_why(player)}: these episodes only play."


def _reads_nothing(player: Player) -> bool:
    return player.model is None or player.prompt_type == EMBEDDED


def _why(player: Player) -> str:
    if _reads_nothing(player):
        return why_no_lessons(player.name, embedded=player.model is not None)
    *others, last = (setting(name) for name in LEARNERS)
    return f"Nothing is learned without {', '.join(others)} or {last}"
