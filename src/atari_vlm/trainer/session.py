"""One call that plays episodes of one run: its record, its budget and its progress."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from atari_vlm.advice.estimate import estimate_of
from atari_vlm.advice.records import billed, record_of, taught_nothing
from atari_vlm.advice.simulation import simulation_of
from atari_vlm.files.paths import check_own
from atari_vlm.learning.choice import as_begun
from atari_vlm.models.hosted.budget import Budget, Caps, SharedBudget
from atari_vlm.models.hosted.options import SpendOptions
from atari_vlm.options import given, part
from atari_vlm.players import Options, Player
from atari_vlm.protocols import Model, labelled
from atari_vlm.runs.job import Announces
from atari_vlm.runs.progress import Progress
from atari_vlm.runs.results import Summary, extent, summarise
from atari_vlm.runs.run import Run
from atari_vlm.runs.runner import Job, Watcher
from atari_vlm.runs.runner import play as play_job
from atari_vlm.runs.settings import completed
from atari_vlm.runs.source_runs import source_runs_record
from atari_vlm.runs.taught import Taught
from atari_vlm.runs.waiting import wait_for
from atari_vlm.types import Charge, Step

_PHASES = {"train": "learning", "evaluate": "evaluation", "episode": "one episode"}
"""The phase that progress names, by the purpose of the run."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """Plays episodes of a run until it has as many as are asked for."""

    player: Player
    options: Options
    watch: Watcher | None = None
    progress: bool | None = None
    shared_budget: SharedBudget | None = None

    def play(
        self,
        folder: Path,
        purpose: str,
        seeds: Sequence[int],
        taught: Taught | None = None,
        planned: int | None = None,
    ) -> Summary:
        """Play what is not played yet, and return what the run came to.

        Args:
            folder: of the run.
            purpose: "train", "evaluate" or "episode".
            seeds: of the emulator, one for each episode.
            taught: lessons of another run, shown unchanged.
            planned: episodes that the run is to have in the end, for its estimate; None for these.
        """
        start = time.monotonic()
        if self.options.run_folder:
            check_own(Path(self.options.run_folder), folder)
        learning = purpose == "train"
        nothing = taught is not None and taught.count == taught.edits == 0
        player = taught_nothing(self.player) if nothing else self.player
        settings = {
            **self.player.settings,
            "purpose": purpose,
            "first_seed": seeds[0],
            "taught_by_episodes": None if taught is None else taught.count,
            "ale_py": version("ale-py"),
            "atari_vlm": version("atari-vlm"),
            "python": platform.python_version(),
            "estimate": record_of(player, planned or len(seeds), learning=learning),
            **source_runs_record(
                folder,
                examples_from=self.options.examples_from,
                lessons_from=self.options.lessons_from,
            ),
        }
        if taught is not None:
            settings |= taught.settings
        with closing(Run.play(folder, settings, given(self.options))) as run:
            before = extent(run)
            with self._progress(run, player, purpose, len(seeds)) as shown:
                watch, announce = self._watcher(shown), self._announced(shown)
                wait_for(self._until_done(run, purpose, seeds, taught, watch, announce))
            return summarise(
                run,
                first=len(seeds),
                before=before,
                seconds=time.monotonic() - start,
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

    def _announced(self, shown: Progress) -> Callable[[str], None]:
        """Tells the watcher, if it listens, and the line of progress."""

        def announce(text: str) -> None:
            if isinstance(self.watch, Announces):
                self.watch.announce(text)
            if self.watch is None or self.progress:
                shown.announce(text)

        return announce

    def _progress(self, run: Run, player: Player, purpose: str, episodes: int) -> Progress:
        phase = f", {_PHASES[purpose]}" if self.player.learner else ""
        done = sum(row.status == "finished" for row in run.episodes())
        return Progress(
            f"{self.player.game.name}, {labelled(self.player.name, self.player.privileges)}{phase}",
            episodes,
            wanted=self.progress if self.watch is None else bool(self.progress),
            done=done,
            longest=self.options.max_decisions,
            opening=partial(_foreseen, player, episodes - done, purpose == "train"),
        )

    async def _until_done(
        self,
        run: Run,
        purpose: str,
        seeds: Sequence[int],
        taught: Taught | None,
        watch: Watcher,
        announce: Callable[[str], None],
    ) -> None:
        player = self.player
        budget = _budget(part(self.options, SpendOptions).caps, run, self.shared_budget)
        try:
            lessons = None
            learner = as_begun(player.learner, completed(run.settings))
            if taught is not None and learner is not None:
                lessons = await taught.lessons(run, learner, player.model, seeds[0], budget)
            words = completed(run.settings)["prompt_version"]
            job = Job(
                policy=lambda model, lessons: player.build(model, lessons, words),
                model=player.model,
                seeds=seeds,
                limits=player.limits,
                learner=learner if purpose == "train" else None,
                lessons=lessons,
                parallel=self.options.parallel,
                budget=budget,
                announce=announce,
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


def _foreseen(player: Player, episodes: int, learning: bool) -> str:
    """What the episodes that are left will cost and simulate; "" if there is nothing to say."""
    if episodes < 1:
        return ""
    lines = []
    if billed(player):
        lines = [f"Estimate: {estimate_of(player, episodes, learning=learning).line}"]
    if (simulated := simulation_of(player)) is not None:
        lines.append(simulated.line)
    return "\n".join(lines)


def _budget(caps: Caps, run: Run, shared: SharedBudget | None) -> Budget:
    """The caps, with what the run has spent already."""
    spent = Charge(*run.spent()) if caps else Charge()
    return Budget(caps, spent, lambda episode: Charge(*run.spent(episode)), run.write_off, shared)
