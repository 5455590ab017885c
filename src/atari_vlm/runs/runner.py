"""Plays the episodes of one run: in parallel, resumed, each wave taught by those before it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from atari_vlm.costs.bill import format_dollars
from atari_vlm.errors import (
    AtariVLMError,
    BudgetExceeded,
    ModelUnusable,
    RunInvalid,
    StoreError,
)
from atari_vlm.models.hosted.budget import ACCOUNT
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.policies.outages import PATIENCE, Answered
from atari_vlm.policies.recorded import Recorded
from atari_vlm.protocols import Model
from atari_vlm.rollout import steps
from atari_vlm.runs.episode_log import EpisodeLog, journaled
from atari_vlm.runs.job import Job as Job
from atari_vlm.runs.job import Watcher as Watcher
from atari_vlm.runs.learning import lessons_for
from atari_vlm.runs.playback import (
    environment,
    pictures,
    recorded_decisions,
    trajectories_for_learner,
)
from atari_vlm.runs.run import Run
from atari_vlm.runs.trials import Trials
from atari_vlm.runs.waves import end_wave, is_to_review, waves
from atari_vlm.types import Lessons, Step, Trajectory

QUOTED = 200
"""Characters from the end of an answer that the message of an invalid run quotes."""

LAST_ANSWER = " The last answer: "
"""What stands in the message of an invalid episode before the end of that answer."""


async def play(run: Run, job: Job, watch: Watcher) -> None:
    """Play every episode of the job that is not finished yet.

    With a learner, episodes are played in waves of `parallel`, each wave taught by all the waves
    before it, so that what is learned does not depend on which episode happens to end first. A
    learner that reviews learns of the last wave too; see `waves`.

    Raises:
        RunInvalid, ModelUnusable, BudgetExceeded, StoreError: the first of them that any episode
            met; the others are stopped cleanly, and everything played is in the run.
    """
    for row in run.episodes():
        if row.status == "invalid":
            message = f"{run.folder} is invalid: {row.message}"
            raise RunInvalid(f"{message} Play another seed or folder.", folder=run.folder)
    played: dict[int, Trajectory] = {}
    wave = range(0)
    for wave in waves(run, job):
        finished = {row.episode for row in run.episodes() if row.status == "finished"}
        left = {*wave} - finished
        if not left:
            continue
        run.go_on()
        lessons = await _lessons(run, job, wave.start, played)
        gate = asyncio.Semaphore(job.parallel)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_gated(gate, run, job, lessons, episode, watch, played))
                    for episode in sorted(left)
                ]
        except BaseExceptionGroup as errors:
            raise _with_what_was_lost(_first(errors), run) from None
        if any(task.cancelled() for task in tasks):  # a task group says nothing of it
            raise ModelUnusable("The player cancelled its own episode; the same call continues it.")
    if is_to_review(run, job):
        end_wave(run, wave, job)
        await _lessons(run, job, wave.stop, played)


async def _lessons(run: Run, job: Job, start: int, played: dict[int, Trajectory]) -> Lessons:
    if job.lessons is not None or job.learner is None:
        return job.lessons or Lessons()

    def trajectories() -> list[Trajectory]:
        # Those of an earlier session are read once.
        missing = [episode for episode in range(start) if episode not in played]
        played.update(zip(missing, trajectories_for_learner(run, missing), strict=True))
        return [played[episode] for episode in range(start)]

    return await lessons_for(
        run,
        start,
        job.learner,
        trajectories,
        pictures(run),
        model=job.model,
        seed=job.seeds[0],
        budget=job.budget,
        prove=Trials(run, job, start, play).prove,
    )


async def _gated(
    gate: asyncio.Semaphore,
    run: Run,
    job: Job,
    lessons: Lessons,
    episode: int,
    watch: Watcher,
    played: dict[int, Trajectory],
) -> None:
    async with gate:
        made = await _episode(run, job, lessons, episode, watch)
    if job.learner is not None:
        played[episode] = Trajectory(
            game=str(run.settings["game"]),
            episode=episode,
            seed=job.seeds[episode],
            policy=str(run.settings["model"]),
            steps=tuple(made),
        )


async def _episode(
    run: Run, job: Job, lessons: Lessons, episode: int, watch: Watcher
) -> list[Step]:
    """Play one episode; returns its steps, without frames if a learner will read them."""
    seed = job.seeds[episode]
    log = EpisodeLog(run, episode, seed)
    env = environment(run.settings)
    made = recorded_decisions(run, episode, env)
    model = job.model and journaled(job.model, run, episode)
    patience = min(PATIENCE, job.limits.decisions or PATIENCE)
    resumed = Recorded(Answered(job.policy(model, lessons), patience), made)
    ACCOUNT.set(job.account(episode))  # for this task: the episode pays for what it asks
    score, count = 0.0, 0
    kept: list[Step] = []
    try:
        game = steps(env, resumed, log, seed=seed, episode=episode, limits=job.limits)
        async with aclosing(game):  # by hand: the event loop may end before it would do so
            async for step in game:
                score, count = score + step.reward, count + 1
                if job.learner is not None:
                    kept.append(step.without_frames())
                if step.observation.step >= len(made):
                    watch(episode, step)
                # A model that never waits would keep Ctrl-C and the other episodes out.
                await asyncio.sleep(0)
    except RunInvalid as error:
        message = _quoting(error, job.model)
        log.finish("invalid", score=score, frames=env.emulator.frame, message=message)
        stop = "" if message.endswith(".") else "."
        where = f"Every answer is in {run.folder}; its page: atari-vlm report {run.folder}"
        raise RunInvalid(
            f"{message}{stop} {where}",
            reply=error.reply,
            folder=run.folder,
        ) from None
    except BudgetExceeded as error:
        if not (error.episode and count):  # an episode without a decision has no score
            _pause(log)
            raise
        cut = f"budget: {error}"
        log.finish("finished", score=score, frames=env.emulator.frame, message=cut)
        return kept
    except BaseException:
        _pause(log)
        raise
    log.finish("finished", score=score, frames=env.emulator.frame)
    return kept


def _quoting(error: RunInvalid, model: Model | None) -> str:
    """The message with the end of the last answer, on one line and without a key."""
    words = " ".join("".join(c if c.isprintable() else " " for c in error.reply).split())
    cut = "..." if len(words) > QUOTED else ""
    quote = f'{LAST_ANSWER}"{cut}{words[-QUOTED:]}"' if words else ""
    message = error.message + quote
    return model.without_key(message) if isinstance(model, HostedModel) else message


def _pause(log: EpisodeLog) -> None:
    with suppress(StoreError):  # the error that stopped the episode is raised instead
        log.pause()


def _with_what_was_lost(error: BaseException, run: Run) -> BaseException:
    """A StoreError that also says which answers could not be stored though they were paid for."""
    if not (isinstance(error, StoreError) and run.unstored):
        return error
    count = len(run.unstored)
    dollars = sum(charge.dollars or 0.0 for charge in run.unstored)
    cost = f" ({format_dollars(dollars)})" if dollars else ""
    return StoreError(
        f"{error.message} {count} answer{'s' * (count > 1)} that came in the meantime{cost} could "
        f"not be stored and will be asked for again."
    )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error, one of our own before any other, as if one episode had been played."""
    every = errors.exceptions  # a group among them is one that a player raised
    return next((each for each in every if isinstance(each, AtariVLMError)), every[0])
