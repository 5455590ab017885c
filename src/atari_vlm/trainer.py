"""`play` and `VLMTrainer`: synchronous, recorded, resumable."""

from __future__ import annotations

import copy
import platform
import time
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from atari_vlm.advice.estimate import billed, estimate_of, record_of
from atari_vlm.errors import InvalidSetting
from atari_vlm.files.paths import check_own
from atari_vlm.models.hosted.budget import Budget, Caps, SharedBudget
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import (
    check_number,
    check_switch,
    documented_options,
    given,
    hides_keys,
    option,
    part,
    takes,
    values,
)
from atari_vlm.players import Options, Player, resolve
from atari_vlm.protocols import Learner, Model, Policy, check_parts
from atari_vlm.runs.options import MOST_SEEDS
from atari_vlm.runs.playback import full_trajectory
from atari_vlm.runs.progress import Progress
from atari_vlm.runs.results import Summary, summarise
from atari_vlm.runs.run import Run
from atari_vlm.runs.runner import Job, Watcher
from atari_vlm.runs.runner import play as play_job
from atari_vlm.runs.seeds import EPISODES, EVALUATION, emulator_seeds
from atari_vlm.runs.settings import completed, folder_identity, settings_digest
from atari_vlm.runs.taught import Taught
from atari_vlm.runs.waiting import wait_for
from atari_vlm.types import Charge, Step, Strategy, Trajectory

_PHASES = {"train": "learning", "evaluate": "evaluation", "episode": "one episode"}
"""The phase that progress names, by the purpose of the run."""


@dataclass(frozen=True)
class Matchup:
    """What plays what."""

    game_name: str
    vlm_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Parts of the caller's own, instead of those with a name."""

    strategy: Strategy | None = None
    learner: Learner | None = None
    watch: Watcher | None = None
    progress: bool | None = None


@dataclass(frozen=True, kw_only=True)
class OwnPlayer:
    """A player of the caller's own."""

    model: Model | None = None
    policy: Policy | None = None


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
        watch: called with (episode, step) during play.
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

    def train(self, num_episodes: int = 10) -> Summary:
        """Play until the run has `num_episodes`; with in-context learning, each teaches the next.

        Raises:
            ModelUnusable: a wrong key, an unreachable server, ...; call again to continue.
            BudgetExceeded: the run may spend no more; call again with a higher cap to continue.
            RunInvalid: the model kept naming no legal action.
        """
        seeds = self._seeds(0, num_episodes)
        return self._play(self.folder("train", seeds[0]), "train", seeds)

    def evaluate(self, num_episodes: int = 5, *, lessons: bool = True) -> Summary:
        """Play `num_episodes` on seeds never trained on, with what training taught, unchanged.

        If there is a learner and nothing was trained yet, there are no lessons, and
        `Summary.taught_by` is 0.

        Args:
            num_episodes: of the run, in all.
            lessons: False shows none, so that the score is that of before training.
        """
        return self._play_taught("evaluate", self._seeds(EVALUATION, num_episodes), lessons)

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

    def folder(self, purpose: str, first_seed: int, taught: int | None = None) -> Path:
        """The folder of a run.

        Args:
            purpose: "train", "evaluate" or "episode".
            first_seed: of the emulator.
            taught: by how many episodes, if the run shows lessons of another one.
        """
        after = "" if taught is None else f"-after-{taught}"
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

    def _play_taught(self, purpose: str, seeds: Sequence[int], lessons: bool = True) -> Summary:
        """Play with the lessons of the training run, which stay as they are."""
        if self.player.learner is None:
            return self._play(self.folder(purpose, seeds[0]), purpose, seeds)
        source = self.folder("train", self.seed * EPISODES)
        if not (lessons and Run.exists(source)):
            return self._play(self.folder(purpose, seeds[0], 0), purpose, seeds, Taught())
        with closing(Run.read(source)) as run:
            taught = Taught(run, [r.episode for r in run.episodes() if r.status == "finished"])
            folder = self.folder(purpose, seeds[0], len(taught))
            return self._play(folder, purpose, seeds, taught)

    def _play(
        self,
        folder: Path,
        purpose: str,
        seeds: Sequence[int],
        taught: Taught | None = None,
    ) -> Summary:
        start = time.monotonic()
        if self.run_folder:
            check_own(Path(self.run_folder), folder)
        settings = {
            **self.settings,
            "purpose": purpose,
            "first_seed": seeds[0],
            "taught_by_episodes": None if taught is None else len(taught),
            "ale_py": version("ale-py"),
            "atari_vlm": version("atari-vlm"),
            "python": platform.python_version(),
            "estimate": record_of(self.player),
        }
        if taught is not None and taught.words is not None:
            settings["prompt_version"] = taught.words
        with closing(Run.play(folder, settings, given(part(self, Options)))) as run:
            before = sum(run.sources().values())
            with self._progress(run, purpose, len(seeds)) as shown:
                wait_for(self._until_done(run, purpose, seeds, taught, self._watcher(shown)))
            return summarise(
                run,
                first=len(seeds),
                before=before,
                seconds=time.monotonic() - start,
                privileges=self.player.privileges,
            )

    def _watcher(self, shown: Progress) -> Watcher:
        watch = self.watch
        if watch is None:
            return shown.watch
        if not self.progress:
            return watch

        def both(episode: int, step: Step) -> None:
            watch(episode, step)
            shown.watch(episode, step)

        return both

    def _progress(self, run: Run, purpose: str, episodes: int) -> Progress:
        phase = f", {_PHASES[purpose]}" if self.player.learner else ""
        done = sum(row.status == "finished" for row in run.episodes())
        return Progress(
            f"{self.player.game.name}, {self.player.name}{phase}",
            episodes,
            wanted=self.progress if self.watch is None else bool(self.progress),
            done=done,
            longest=self.max_decisions,
            opening=partial(_estimate_line, self.player, episodes - done),
        )

    async def _until_done(
        self,
        run: Run,
        purpose: str,
        seeds: Sequence[int],
        taught: Taught | None,
        watch: Watcher,
    ) -> None:
        player = self.player
        budget = _budget(part(self, SpendOptions).caps, run, self.shared_budget)
        try:
            lessons = None
            if taught is not None and player.learner is not None:
                lessons = await taught.lessons(run, player.learner, player.model, seeds[0], budget)
            words = completed(run.settings)["prompt_version"]
            job = Job(
                policy=lambda model, lessons: player.build(model, lessons, words),
                model=player.model,
                seeds=seeds,
                limits=player.limits,
                learner=player.learner if purpose == "train" else None,
                lessons=lessons,
                parallel=self.parallel,
                budget=budget,
            )
            await play_job(run, job, watch)
        finally:
            if player.model:
                await _close(player.model)


async def _close(model: Model) -> None:
    """Close a model; what was played stays good if that fails."""
    try:
        await model.close()
    except Exception as error:
        warnings.warn(f"{model.name} could not be closed: {error}", stacklevel=2)


def _estimate_line(player: Player, episodes: int) -> str:
    """What the episodes that are left will cost; "" if there are none, or nobody bills them."""
    if episodes < 1 or not billed(player):
        return ""
    return f"Estimate: {estimate_of(player, episodes).line}"


def _ended(folder: Path, num_episodes: int) -> bool:
    if not Run.exists(folder):
        return False
    with closing(Run.read(folder)) as run:
        status = [row.status for row in run.episodes()]
    return status.count("finished") >= num_episodes or "invalid" in status


def _budget(caps: Caps, run: Run, shared: SharedBudget | None) -> Budget:
    """The caps, with what the run has spent already."""
    spent = Charge(*run.spent()) if caps else Charge()
    return Budget(caps, spent, lambda episode: Charge(*run.spent(episode)), run.write_off, shared)


# --- play ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlayOptions(Options, Parts):
    """Keywords of `play`."""

    episodes: int = option(1, "Episodes of the run, in all.", flag="", least=1, most=EVALUATION)


@takes(PlayOptions)
def play(game: str, player: str | Policy | Model, options: PlayOptions) -> Summary:
    """Play a game, and return what came of it.

        from atari_vlm import Decision, play

        class Up:
            name = "up"

            async def decide(self, observation, history, rng):
                return Decision(observation.legal[2], frames=observation.interval)

        play("pong", Up(), episodes=1, max_decisions=30)

    It is recorded and continues when it is called again, as with `VLMTrainer`, and it can be called
    in a notebook. Ctrl-C stops it; the same call continues.

    Args:
        game: any spelling of a game.
        player: a name such as "embedded" or "gpt-4o+blank", a policy, or a model.
        options: keywords: `episodes` of the run in all, and:
        strategy: a prompt of your own, used in place of `prompt_type`.
        learner: a learner of your own.
        watch: called with (episode, step) during play.
        progress: a line of progress on standard error, after the estimate of a paid player; None
            for a terminal and a notebook only, unless `watch` is given.
    {options}
    """
    parts: dict[str, Any] = {}
    if isinstance(player, str):
        name = player
    else:
        kind = "model" if isinstance(player, Model) else "policy"
        if player is None:
            raise InvalidSetting("A game needs a player: a name, a policy or a model.")
        check_parts(**{kind: player})
        name = player.name
        parts[kind] = player
    chosen = values(options)
    episodes = chosen.pop("episodes")
    return VLMTrainer(game, name, **{**chosen, **parts}).train(episodes)


if VLMTrainer.__doc__:  # absent under python -OO
    for documented in (VLMTrainer, play):
        text = documented.__doc__ or ""
        documented.__doc__ = text.replace("    {options}", documented_options(Options))
