"""Lessons of a finished training run, shown unchanged in another run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.random import default_rng

from atari_vlm.errors import StoreError
from atari_vlm.models.hosted.budget import Budget
from atari_vlm.protocols import Learner, Model, Reviews
from atari_vlm.runs.learning import lessons_before, lessons_for
from atari_vlm.runs.playback import pictures, trajectories_for_learner
from atari_vlm.runs.run import Run
from atari_vlm.runs.servers import check_teacher
from atari_vlm.runs.settings import completed
from atari_vlm.runs.shuffled_lessons import ShuffledLearner, shuffled
from atari_vlm.types import Frame, Lessons, Trajectory


class Taught:
    """The lessons of some episodes of a training run.

    Args:
        source: the training run; None if there is none.
        episodes: its episodes that taught.
        shuffled: show the lessons shuffled, as a control.
        at_once: no episode taught, and the learner is asked what it has before the first one;
            otherwise there are no lessons then, but for those that a person added.
    """

    def __init__(
        self,
        source: Run | None = None,
        episodes: Sequence[int] = (),
        *,
        shuffled: bool = False,
        at_once: bool = False,
    ) -> None:
        self._source, self._episodes, self._at_once = source, episodes, at_once
        self.shuffled = shuffled and (at_once or source is not None)

    def __len__(self) -> int:
        """Number of episodes that taught."""
        return len(self._episodes)

    @property
    def count(self) -> int | None:
        """The same for the record; None if the lessons are not those of episodes."""
        return None if self._at_once else len(self)

    @property
    def edits(self) -> int:
        """How often a person has changed the lessons."""
        return 0 if self._source is None else len(self._source.lesson_edits())

    @property
    def settings(self) -> dict[str, Any]:
        """What it decides of the settings of a run: the words of its prompts are the training's."""
        control = {"lessons": "shuffled"} if self.shuffled else {}
        if self._source is None:
            return control
        known = completed(self._source.settings)
        words = int(known["prompt_version"])
        examples = self._source.settings.get("examples") is not None
        rule = {"learner_version": known["learner_version"]} if examples else {}
        return {
            "prompt_version": words,
            **rule,
            **({"lesson_edits": self.edits} if self.edits else {}),
            **control,
        }

    async def lessons(
        self, run: Run, learner: Learner, model: Model | None, seed: int, budget: Budget
    ) -> Lessons:
        """The lessons, made once and stored with `run`.

        Args:
            run: that shows them.
            learner: makes them.
            model: that the learner may ask.
            seed: of the emulator, in the first episode of `run`.
            budget: pays for what the learner asks.

        Raises:
            StoreError: they are those of a vendor's model, and another server's would read them; or
                none are to be shown, and the run was played with some.
        """
        own = pictures(run)
        if not self._at_once and not self._episodes and not self.edits:
            _check_shows_nothing(run)
            return Lessons()
        made_by = ShuffledLearner(learner) if self.shuffled else learner
        if self._source is None:
            return await lessons_for(
                run, 0, made_by, tuple, own, model=model, seed=seed, budget=budget
            )
        source = self._source
        reviewed = isinstance(learner, Reviews) and learner.reviews
        draw = pictures(source)

        def frame(episode: int, step: int) -> Frame:
            # Stored lessons name their frames by their place in this run's record.
            return own(episode, step) if episode < 0 else draw(episode, step).foreign()

        def trajectories() -> list[Trajectory]:
            return trajectories_for_learner(source, self._episodes)

        if self._episodes and run.lessons_until(0) is None:
            check_teacher(source.folder, source.settings, run.server)
        made = not self._at_once or source.lessons_until(0) is not None
        if reviewed and made and run.lessons_until(0) is None:
            # They were made and paid for when those episodes had ended.
            def foreign(episode: int, step: int) -> Frame:
                return draw(episode, step).foreign()

            shown = lessons_before(source, len(self) + 1, foreign)
            if self.shuffled:
                shown = shuffled(shown, default_rng([seed, len(self)]))
            run.store_lessons(0, learner.name, shown, ())
        return await lessons_for(
            run,
            0,
            made_by,
            trajectories,
            frame,
            model=model,
            seed=seed,
            budget=budget,
            edits=source.lesson_edits(),
            said=source.said,
        )


def _check_shows_nothing(run: Run) -> None:
    """Raise StoreError if a run in which nothing is to be shown was played with lessons.

    Evaluations of a training whose first episode had not ended were once played in this folder.
    """
    stored = run.lessons(0, pictures(run)) or Lessons()
    if stored.advice or stored.examples:
        raise StoreError(
            f"{run.folder} was played with lessons by an earlier version, so it does not say how "
            "the player does without; move it elsewhere, and it is played anew."
        )
