"""Lessons within a run: made once, charged, stored, and found again when the run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.random import default_rng

from atari_vlm.errors import ModelFault
from atari_vlm.models.hosted.budget import ACCOUNT, Budget
from atari_vlm.models.journal import JournaledModel
from atari_vlm.protocols import Learner, Model, Study
from atari_vlm.runs.episode_log import EpisodeJournal
from atari_vlm.runs.run import Run
from atari_vlm.runs.totals import LEARNING
from atari_vlm.types import Call, Frame, Lessons, Prompt, Reply, Trajectory, Usage

LEARNER = 2
"""Separates a learner's randomness from the emulator's and the policy's."""


@dataclass(frozen=True)
class _RecordedModel:
    """The model of a learner; keeps every call."""

    model: Model
    calls: list[Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the model inside."""
        return self.model.name

    @property
    def prompt_type(self) -> str:
        """The default prompt of the model inside."""
        return self.model.prompt_type

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The answer of the model inside, recorded."""
        try:
            reply = await self.model.answer(prompt, seed=seed)
        except ModelFault as fault:
            if fault.lost is not None and fault.lost.requests:
                ACCOUNT.get().write_off(fault.lost)  # stored even if the learner stops here
            usage = Usage(calls=1, dollars=None if fault.lost is None else 0.0)
            reply = Reply(text="", finish=fault.kind, usage=usage)
            self.calls.append(Call(prompt, reply, seed, str(fault)))
            raise
        self.calls.append(Call(prompt, reply, seed))
        return reply

    async def close(self) -> None:
        """Nothing: the model is closed with its run."""


async def lessons_for(
    run: Run,
    episode: int,
    learner: Learner,
    trajectories: Callable[[], Sequence[Trajectory]],
    frame: Callable[[int, int], Frame],
    *,
    model: Model | None,
    seed: int,
    budget: Budget,
) -> Lessons:
    """The lessons for an episode: those stored, or new ones, which are then stored.

    Args:
        run: open for playing; its record keeps the lessons and what they cost.
        episode: the first that is played with them.
        learner: makes them.
        trajectories: the earlier episodes, read only if the lessons are not stored.
        frame: draws the screen of (episode, step).
        model: that plays; None for a player without one.
        seed: with `episode`, decides everything random.
        budget: of the run.

    Raises:
        ModelUnusable, BudgetExceeded: as for any call; the lessons can be made later.
    """
    stored = run.lessons(episode, frame)
    if stored is not None:
        return stored
    account = budget.account(LEARNING)
    journaled = JournaledModel(model, EpisodeJournal(run, LEARNING)) if model else None
    recorded = _RecordedModel(journaled) if journaled else None
    token = ACCOUNT.set(account)
    try:
        study = Study(
            model=recorded,
            rng=default_rng([seed, episode, LEARNER]),
            account=account,
            frame=frame,
        )
        lessons = await learner.learn(trajectories(), study)
    finally:
        ACCOUNT.reset(token)
    run.store_lessons(episode, learner.name, lessons, recorded.calls if recorded else ())
    return lessons
