"""`VLMTrainer`: a game and a player, with the verbs train, evaluate and run_episode."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from atari_vlm.learning.choice import gives_at_once, learning_record, without_own_moments
from atari_vlm.learning.options import without_learning
from atari_vlm.models.hosted.budget import Caps, SharedBudget
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import check_number, check_switch, documented_options, hides_keys, part
from atari_vlm.players import Options, Player, resolve
from atari_vlm.protocols import check_parts
from atari_vlm.report.curve import write_curve
from atari_vlm.runs.curve import Curve
from atari_vlm.runs.options import EVALUATION_EPISODES, MOST_SEEDS, TRAINING_EPISODES
from atari_vlm.runs.playback import full_trajectory
from atari_vlm.runs.results import Summary
from atari_vlm.runs.run import Run
from atari_vlm.runs.seeds import EPISODES, EVALUATION, emulator_seeds
from atari_vlm.runs.settings import completed, folder_identity, settings_digest
from atari_vlm.runs.taught import Taught
from atari_vlm.trainer.curve import CurveRuns
from atari_vlm.trainer.curve_plan import CurvePlan
from atari_vlm.trainer.parts import Matchup, OwnPlayer, Parts
from atari_vlm.trainer.session import Session
from atari_vlm.types import Trajectory


@hides_keys
@dataclass(frozen=True, eq=False, repr=False)
class VLMTrainer(Options, Parts, OwnPlayer, Matchup):
    """Lets a player play a game, learn in context, and be evaluated.

    Everything played is in a run folder under `save_dir`, from which the same call continues after
    any interruption. The key is given to the vendor's client and to nothing else.

    Args:
        game_name: any spelling of a game, e.g. "Pong-v5".
        vlm_type: a player by name: a model of the catalogue (`atari-vlm models`), e.g. "embedded"
            or "gpt-4o"; a baseline ("random", "noop", "expert"); with `base_url` any name that the
            server has; each with wrappers behind it ("embedded+blank"). With `model` or `policy`,
            a label of your own. None for the name of that one, or "embedded".
        model: a model of your own.
        policy: a policy of your own, played as it is.
        strategy: a prompt of your own, used in place of `prompt_type`.
        learner: a learner of your own.
        watch: called with (episode, step) during play; its method `announce(text)`, if it has one,
            while lessons are tried.
        shared_budget: what this and other trainers may spend together, in place of `budget` and
            `budget_tokens`; earlier sessions are counted in it already.
        progress: a line of progress on standard error, after the estimate of a paid player; None
            for a terminal and a notebook only, unless `watch` is given.
    {options}
    """

    shared_budget: SharedBudget | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parts(watch=self.watch)
        check_switch("progress", self.progress, optional=True)
        SharedBudget.check(self.shared_budget)
        _ = self.player  # names and settings that cannot work raise here

    def __repr__(self) -> str:
        player = vars(self).get("player")  # None in a traceback of one that cannot be made
        name = self.vlm_type if player is None else player.name
        return f"VLMTrainer({self.game_name!r}, {name!r}, seed={self.seed})"

    @cached_property
    def player(self) -> Player:
        """The game and the player."""
        return resolve(
            self.game_name,
            self.vlm_type,
            self,
            model=self.model,
            policy=self.policy,
            strategy=self.strategy,
            learner=self.learner,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what is played, for the record of a run; never a key."""
        return self.player.settings

    def with_seed(self, seed: int) -> VLMTrainer:
        """The same trainer, player included, with another seed."""
        check_number("seed", seed, 0, MOST_SEEDS)
        other = copy.copy(self)
        object.__setattr__(other, "seed", int(seed))
        return other

    # -- the three verbs ------------------------------------------------------------------------

    def train(
        self,
        num_episodes: int = TRAINING_EPISODES,
        *,
        evaluate_every: int | None = None,
        num_evaluations: int = EVALUATION_EPISODES,
        control: bool = False,
        shuffled: bool = False,
    ) -> Summary:
        """Play until the run has `num_episodes`; with in-context learning, each teaches the next.

        With `evaluate_every` or a control, `Summary.curve` has what that came to, and the training
        run's folder a table (curve.csv), a figure (curve.svg) and a page (learning.html) of it. The
        caps on spending then hold for all of it together.

        Args:
            num_episodes: of the training run, in all.
            evaluate_every: after so many episodes, play held-out seeds with what was learned so
                far, unchanged: the same seeds each time, and before the training too.
            num_evaluations: held-out seeds; from 10 on, differences have an interval.
            control: play the same training and held-out seeds with learning off too.
            shuffled: play the held-out seeds with the lessons shuffled too.

        Raises:
            ModelUnusable: a wrong key, an unreachable server, ...; call again to continue.
            BudgetExceeded: the run may spend no more; call again with a higher cap to continue.
            RunInvalid: the model kept naming no legal action.
        """
        plan = CurvePlan(
            episodes=num_episodes,
            evaluations=num_evaluations,
            every=evaluate_every,
            control=control,
            shuffled=shuffled,
        )
        if plan.compares:
            curve = self._curve(plan)
            return replace(self.train(num_episodes), curve=curve)
        return self.train_part(num_episodes, num_episodes)

    def train_part(self, num_episodes: int, planned: int) -> Summary:
        """Play until the training run has `num_episodes` of the `planned` that it is to have.

        The bill of the run is compared with the estimate of all that are planned when it begins.
        """
        seeds = self._seeds(0, num_episodes)
        folder = self.folder("train", seeds[0])
        return self._session.play(folder, "train", seeds, planned=planned)

    def evaluate(self, num_episodes: int = EVALUATION_EPISODES, *, lessons: bool = True) -> Summary:
        """Play `num_episodes` on seeds never trained on, with what training taught, unchanged.

        If there is a learner and nothing was trained yet, there are no lessons, and
        `Summary.taught_by` is 0.

        Args:
            num_episodes: of the run, in all.
            lessons: False shows none, so that the score is that of before training.
        """
        seeds = self._seeds(EVALUATION, num_episodes)
        return self._play_taught("evaluate", seeds, None if lessons else 0)

    def evaluate_after(
        self, taught_by: int, num_episodes: int = EVALUATION_EPISODES, *, shuffled: bool = False
    ) -> Summary:
        """Play `num_episodes` on held-out seeds with what the first training episodes taught.

        Args:
            taught_by: episodes of the training run that count, from the first on.
            num_episodes: of the run, in all.
            shuffled: show the lessons shuffled, as a control.
        """
        seeds = self._seeds(EVALUATION, num_episodes)
        return self._play_taught("evaluate", seeds, taught_by, shuffled=shuffled)

    def run_episode(self, seed: int | None = None) -> Trajectory:
        """Play one episode and return its record: frames, legal actions, prompts, replies, costs.

        Args:
            seed: of the emulator; None for the first seed of the trainer.
        """
        if seed is None:
            (seed,) = self._seeds(0, 1)
        check_number("seed", seed, 0, 2**62)
        summary = self._play_taught("episode", [int(seed)])
        with closing(Run.read(summary.folder)) as run:
            return full_trajectory(run, 0)

    def unplayed_seed(self, num_episodes: int) -> int:
        """The first seed, from the trainer's own on, whose training run can still be played."""
        seed = self.seed
        while _ended(self.folder("train", seed * EPISODES), num_episodes):
            seed += 1
        return seed

    def ended(self, num_episodes: int, num_evaluations: int = 0) -> bool:
        """Whether nothing is left to play of its training, and of the evaluation after it.

        Args:
            num_episodes: of the training run.
            num_evaluations: of the evaluation; 0 for none.
        """
        first = self.seed * EPISODES
        trained = self.folder("train", first)
        if not num_evaluations or not _ended(trained, num_episodes):
            return _ended(trained, num_episodes)
        with closing(Run.read(trained)) as run:
            edits = len(run.lesson_edits())
        evaluated = self.folder("evaluate", first + EVALUATION, num_episodes, edits)
        return _ended(evaluated, num_evaluations)

    def by_default_name(self) -> VLMTrainer:
        """The same trainer, player included, whose runs are named after their settings."""
        other = copy.copy(self)
        object.__setattr__(other, "run_folder", None)
        return other

    def folder(
        self,
        purpose: str,
        first_seed: int,
        taught: int | None = None,
        edits: int = 0,
        *,
        shuffled: bool = False,
    ) -> Path:
        """The folder of a run.

        Args:
            purpose: "train", "evaluate" or "episode".
            first_seed: of the emulator.
            taught: by how many episodes, if the run shows lessons of another one.
            edits: how often a person had changed those lessons.
            shuffled: whether it shows them shuffled.
        """
        after = "" if taught is None else f"-after-{taught}"
        after += (f"-edited-{edits}" if edits else "") + "-shuffled" * shuffled
        if self.run_folder:
            name = f"episode-{first_seed}" if purpose == "episode" else purpose
            base = Path(self.run_folder)
            return base if purpose == "train" else base / (name + after)
        tail = settings_digest(self.settings, purpose, first_seed)
        name = "".join(c if c.isalnum() or c in "-._" else "-" for c in self.settings["model"])
        prompt = f"-{folder_identity(self.settings)['prompt']}" if self.player.model else ""
        parts = f"{self.settings['game']}-{name[-60:]}{prompt}-{purpose}{after}"
        return Path(self.save_dir) / f"{parts}-{tail}"

    # -- how ------------------------------------------------------------------------------------

    def _seeds(self, offset: int, count: int) -> list[int]:
        check_number("num_episodes", count, 1, EVALUATION)
        return emulator_seeds(self.seed, offset, count)

    @property
    def _session(self) -> Session:
        return Session(
            player=self.player,
            options=part(self, Options),
            watch=self.watch,
            progress=self.progress,
            shared_budget=self.shared_budget,
        )

    def _play_taught(
        self,
        purpose: str,
        seeds: Sequence[int],
        taught_by: int | None = None,
        *,
        shuffled: bool = False,
    ) -> Summary:
        """Play with the lessons of the training run, which stay as they are.

        Args:
            purpose: of the run.
            seeds: of the emulator.
            taught_by: the first episodes that taught; None for all, 0 for no lessons.
            shuffled: show the lessons shuffled.
        """
        learner = self.player.learner
        if learner is None:
            return self._session.play(self.folder(purpose, seeds[0]), purpose, seeds)
        source = self.folder("train", self.seed * EPISODES)
        with ExitStack() as opened:
            run, finished = None, []
            if taught_by != 0 and Run.exists(source):
                run = opened.enter_context(closing(Run.read(source)))
                finished = [r.episode for r in run.episodes() if r.status == "finished"]
            at_once = taught_by != 0 and not finished and gives_at_once(learner)
            taught = Taught(run, finished[:taught_by], shuffled=shuffled, at_once=at_once)
            # What is shown at once is never in the folder of the player without lessons.
            folder = self.folder(
                purpose, seeds[0], taught.count, taught.edits, shuffled=taught.shuffled
            )
            return self._session.play(folder, purpose, seeds, taught)

    # -- the learning curve ---------------------------------------------------------------------

    def _curve(self, plan: CurvePlan) -> Curve:
        runs = CurveRuns(self, plan)
        curve = runs.curve([(phase, phase.play()) for phase in runs.phases()])
        write_curve(curve)
        return curve

    @property
    def caps(self) -> Caps:
        """What may be spent."""
        return part(self, SpendOptions).caps

    def sharing(self, budget: SharedBudget) -> VLMTrainer:
        """The same trainer, player included, whose runs spend from one budget with others."""
        other = copy.copy(self)
        object.__setattr__(other, "shared_budget", budget)
        return other

    def without_own_moments(self) -> VLMTrainer:
        """The same trainer, player included, that shows no examples of its own play."""
        player, learner = self.player, without_own_moments(self.player.learner)
        recorded = learning_record(player.learner)
        kept = {name: value for name, value in player.settings.items() if name not in recorded}
        settings = {**kept, **learning_record(learner)}
        other = copy.copy(self)
        vars(other)["player"] = replace(player, learner=learner, settings=settings)
        return other

    def without_learning(self) -> VLMTrainer:
        """The same player with learning off; its runs are in a folder of their own."""
        folder = None if self.run_folder is None else Path(self.run_folder) / "control"
        off: dict[str, Any] = {**without_learning(), "learner": None, "run_folder": folder}
        return replace(self, **off)


def _ended(folder: Path, num_episodes: int) -> bool:
    if not Run.exists(folder):
        return False
    with closing(Run.read(folder)) as run:
        rows = run.episodes()
        status = [row.status for row in rows]
        reviewed = run.lessons_until(num_episodes) == num_episodes
        waits = completed(run.settings)["reflect"] and not reviewed
    finished = status.count("finished") >= num_episodes
    more = any(row.episode >= num_episodes for row in rows)  # begun with the lessons of before
    return "invalid" in status or (finished and (more or not waits))


if VLMTrainer.__doc__:  # absent under python -OO
    VLMTrainer.__doc__ = VLMTrainer.__doc__.replace("    {options}", documented_options(Options))
