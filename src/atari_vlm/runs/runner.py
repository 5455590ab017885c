"""Many episodes of one run: in parallel, resumed where they stopped, learning from one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from atari_vlm.errors import AtariVLMError, BudgetExceeded, RunInvalid, StoreError
from atari_vlm.models.hosted.budget import ACCOUNT, Budget, Caps
from atari_vlm.policies.recorded import Recorded
from atari_vlm.rollout import steps
from atari_vlm.runs.playback import environment, pictures
from atari_vlm.runs.run import EpisodeLog, Run
from atari_vlm.types import Learner, Lessons, Limits, Policy, Step

Watcher = Callable[[int, Step], None]
"""Told of every new step as it happens: (episode, step); not of those a resume repeats."""


@dataclass(frozen=True)
class Plan:
    """What is to be played."""

    policy: Callable[[Lessons], Policy]
    """The player, given what earlier episodes taught."""
    seeds: Sequence[int]
    """The seed of each episode of the run."""
    limits: Limits
    learner: Learner | None = None
    parallel: int = 1
    """Episodes played at the same time in this process."""
    budget: Budget = field(default_factory=lambda: Budget(Caps()))
    """What the episodes may spend together."""


async def play(run: Run, plan: Plan, watch: Watcher) -> None:
    """Play every episode of the plan that is not finished yet.

    With a learner, episodes are played in waves of `parallel`, each wave taught by all the waves
    before it, so that what is learned does not depend on which episode happens to end first.

    Raises:
        RunInvalid, ModelUnusable, BudgetExceeded, StoreError: the first of them that any episode
            met; the others are stopped cleanly, and everything played is in the run.
    """
    for row in run.episodes():
        if row.status == "invalid":
            raise RunInvalid(f"{run.folder} is invalid: {row.message} Play another seed or folder.")
    wave = plan.parallel if plan.learner else max(1, len(plan.seeds))
    for start in range(0, len(plan.seeds), wave):
        finished = {row.episode for row in run.episodes() if row.status == "finished"}
        left = set(range(start, min(start + wave, len(plan.seeds)))) - finished
        if not left:
            continue
        policy = plan.policy(_lessons(run, plan, start))
        gate = asyncio.Semaphore(plan.parallel)
        try:
            async with asyncio.TaskGroup() as group:
                for episode in sorted(left):
                    group.create_task(_gated(gate, run, plan, policy, episode, watch))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None


def _lessons(run: Run, plan: Plan, before: int) -> Lessons:
    if plan.learner is None:
        return Lessons()
    return plan.learner.learn([run.trajectory(k) for k in range(before)], pictures(run))


async def _gated(
    gate: asyncio.Semaphore, run: Run, plan: Plan, policy: Policy, episode: int, watch: Watcher
) -> None:
    async with gate:
        await _episode(run, plan, policy, episode, watch)


async def _episode(run: Run, plan: Plan, policy: Policy, episode: int, watch: Watcher) -> None:
    seed = plan.seeds[episode]
    log = run.log(episode, seed)
    env = environment(run.settings)
    made = tuple(run.decisions(episode))
    resumed = Recorded(policy, made)
    ACCOUNT.set(plan.budget.account(episode))  # for this task: what it asks, this episode pays
    score, played = 0.0, 0
    try:
        async for step in steps(env, resumed, log, seed=seed, episode=episode, limits=plan.limits):
            score, played = score + step.reward, played + 1
            if step.observation.step >= len(made):
                watch(episode, step)
            # A model that never waits would keep Ctrl-C and the other episodes out.
            await asyncio.sleep(0)
    except RunInvalid as error:
        log.finish("invalid", score=score, frames=env.emulator.frame, message=str(error))
        raise
    except BudgetExceeded as error:
        if not (error.episode and played):  # an episode without a decision has no score
            _pause(log)
            raise
        cut = f"budget: {error}"
        log.finish("finished", score=score, frames=env.emulator.frame, message=cut)
        return
    except BaseException:
        _pause(log)
        raise
    log.finish("finished", score=score, frames=env.emulator.frame)


def _pause(log: EpisodeLog) -> None:
    with suppress(StoreError):  # what stopped the episode is the error to tell
        log.pause()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error, one of our own before any other, as if one episode had been played."""
    ours = errors.subgroup(AtariVLMError)
    error: BaseException = ours or errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
