"""Lessons are tried before they are kept: paired games with each of them and without it.

The games are runs of their own in the run folder, under `proofs/`. They are played by the same
player in the same settings, on seeds that are neither trained nor evaluated on, and continue when
they were stopped. Their answers are journaled and charged in the run that they belong to, and the
cap of an episode cuts each of them short, as it does an episode.

Lessons of one review are tried one after the other, each beside the lessons of before and those of
the review that were kept: two that do no harm alone may do so together.

A lesson is kept if play with it was no worse: if the mean of the paired differences (score with it
minus score without it, one for each seed) is at least 0. The 95% interval of that mean stands
beside it, and says how sure that is. A rule that only dropped lessons whose interval lies below 0
would keep nearly every lesson at ten seeds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from atari_vlm.errors import BudgetExceeded, RunInvalid, StoreError
from atari_vlm.models.wrapped import WrappedModel
from atari_vlm.protocols import Proof
from atari_vlm.replies.likeness import alike
from atari_vlm.runs.episode_log import journaled
from atari_vlm.runs.job import Job, Watcher
from atari_vlm.runs.lesson_writing import store_proof
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE
from atari_vlm.runs.seeds import EPISODES, TRIALS
from atari_vlm.runs.totals import LEARNING
from atari_vlm.runs.waves import SHORT
from atari_vlm.stats import mean_interval
from atari_vlm.types import Charge, Example, Lessons, Prompt, Reply, Step

FOLDER = "proofs"
"""Where the games lie, in the folder of the run."""

PAIRS = 10
"""Seeds on which a lesson is tried; from fewer no interval is made."""

Play = Callable[[Run, Job, Watcher], Awaitable[None]]
"""`runner.play`."""


@dataclass(frozen=True)
class Trials:
    """Tries lessons that are to be shown from an episode on.

    Args:
        run: that learns, open for playing.
        job: that it plays.
        episode: the first that is shown what is kept.
        play: plays a job.
    """

    run: Run
    job: Job
    episode: int
    play: Play

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the games: others before each episode, so that none is learned by heart."""
        first = self.job.seeds[0] // EPISODES * EPISODES + TRIALS
        return tuple(first + self.episode % 10_000 * PAIRS + k for k in range(PAIRS))

    async def prove(self, before: Lessons, lessons: Sequence[str]) -> tuple[Proof, ...]:
        """Try each lesson beside those of before and those that were kept, in order.

        A proof that is stored is not repeated. A lesson that was worse before an earlier episode is
        not tried again, however it is worded.

        Raises:
            ModelUnusable, BudgetExceeded: as in any game; the same call continues.
        """
        stored = self.run.proofs()
        known = {proof.lesson: proof for episode, proof in stored if episode == self.episode}
        worse = [
            (episode, proof)
            for episode, proof in stored
            if episode < self.episode and proof.shown and not proof.kept
        ]
        found: list[Proof] = []
        for lesson in lessons:
            again = [each for each in worse if alike(lesson, each[1].lesson)]
            if again and lesson not in known:
                episode, proof = again[-1]
                found.append(
                    replace(proof, reason=f"Tried before episode {episode}: {proof.reason}")
                )
                continue
            if lesson not in known:
                kept = tuple(each.lesson for each in found if each.kept)
                beside = replace(before, advice=(*before.advice, *kept))
                proof = await self._prove(beside, lesson)
                store_proof(self.run, self.episode, len(known), proof)
                known[lesson] = proof
                self.job.announce(proof.line)
            found.append(known[lesson])
        return tuple(found)

    async def _prove(self, before: Lessons, lesson: str) -> Proof:
        try:
            without, cut_without = await self._scores("without", before, lesson)
            taught = replace(before, advice=(*before.advice, lesson))
            shown, cut_shown = await self._scores("with", taught, lesson)
        except (RunInvalid, BudgetExceeded) as error:
            if isinstance(error, BudgetExceeded) and not error.episode:
                raise
            reason = f"Its games are no measure of it: {error.message}"[:1000]
            return Proof(lesson, self.seeds, (), (), False, reason)
        proof = judged(lesson, self.seeds, shown, without)
        if not (cut := cut_shown + cut_without):
            return proof
        games = f"{cut} of {2 * len(self.seeds)} games were cut short by the budget of an episode"
        return replace(proof, reason=f"{proof.reason}; {games}")

    async def _scores(
        self, kind: str, lessons: Lessons, lesson: str
    ) -> tuple[tuple[float, ...], int]:
        """The score of each game, and how many of them a cap cut short."""
        words = json.dumps(lessons.advice).encode()
        mark = hashlib.sha256(words).hexdigest()[:8]
        run, job, model = self.run, self.job, self.job.model
        assert job.learner is not None
        # Games without a lesson may be those with the one that was kept before it.
        named = (f"before-{self.episode}-{each}-{mark}" for each in ("with", "without"))
        folders = [run.folder / FOLDER / name for name in named]
        folder = next(filter(Run.exists, folders), folders[kind == "without"])
        examples = tuple(map(_foreign, lessons.examples))
        lessons = replace(lessons, examples=examples, note="")
        with closing(Run.play(folder, self._settings)) as games:
            if games.lessons_until(0) is None:
                games.store_lessons(0, job.learner.name, lessons, ())
            apart = model and _Apart(journaled(model, run, LEARNING), (self.episode, int(mark, 16)))
            games_job = replace(
                job,
                model=apart,
                seeds=self.seeds,
                learner=None,
                lessons=lessons,
                account_of=lambda game: job.budget.account(LEARNING, Charge(*games.spent(game))),
            )
            ended = [row.episode for row in games.episodes() if row.status == "finished"]

            def watch(episode: int, step: Step) -> None:
                if step.terminated or step.truncated:
                    ended.append(episode)
                    say()

            def say() -> None:
                played = f"{len(ended)} of {len(self.seeds)} games {kind} it are played"
                self.job.announce(f'Trying the lesson "{lesson}": {played}')

            if len(ended) < len(self.seeds):
                say()
            await self.play(games, games_job, watch)
            rows = games.episodes()
            return tuple(row.score or 0.0 for row in rows), sum(bool(row.message) for row in rows)

    @property
    def _settings(self) -> dict[str, Any]:
        own = {"format", "later_servers", "source_runs", SHORT}
        settings = {key: value for key, value in self.run.settings.items() if key not in own}
        return {
            **settings,
            "purpose": "proof",
            "first_seed": self.seeds[0],
            "base_url": self.run.server,
            "estimate": None,
        }


def judged(
    lesson: str, seeds: Sequence[int], shown: Sequence[float], without: Sequence[float]
) -> Proof:
    """Whether play was no worse with a lesson than without it; see the module.

    >>> judged("Wait.", range(10), [3.0] * 10, [2.0] * 10).reason
    'No worse: +1 (no interval: every pair differs by that) a game over 10 paired seeds'
    >>> judged("Wait.", range(10), [3.0] * 10, [3.0] * 10).reason
    'No difference: the scores of all 10 pairs were equal'
    """
    if tuple(shown) == tuple(without):
        reason = f"No difference: the scores of all {len(seeds)} pairs were equal"
        return Proof(lesson, tuple(seeds), tuple(shown), tuple(without), True, reason)
    interval = mean_interval([one - other for one, other in zip(shown, without, strict=True)])
    kept = interval.value >= 0
    between = f" ({interval.text() or 'no interval: every pair differs by that'})"
    sign = "+" if interval.value > 0 else ""
    reason = (
        f"{'No worse' if kept else 'Worse'}: {sign}{interval.value_text()}{between} a game over "
        f"{len(seeds)} paired seeds"
    )
    return Proof(lesson, tuple(seeds), tuple(shown), tuple(without), kept, reason)


def games_ended(folder: Path) -> int:
    """How many games that tried lessons have ended in a run.

    Args:
        folder: of the run that learns.
    """
    ended = 0
    for file in folder.glob(f"{FOLDER}/*/{FILE}"):
        with suppress(StoreError), closing(Run.read(file.parent)) as games:
            ended += sum(row.status == "finished" for row in games.episodes())
    return ended


def _foreign(example: Example) -> Example:
    """An example of the run that learns, for the record of another."""
    return example if example.frame is None else replace(example, frame=example.frame.foreign())


@dataclass(frozen=True)
class _Apart(WrappedModel):
    """A model whose answers are kept apart from those to the same seed in other games."""

    place: tuple[int, int]

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The answer of the model inside, to a seed of these games."""
        mixed = int(default_rng([seed, *self.place]).integers(2**62))
        return await self.model.answer(prompt, seed=mixed)
