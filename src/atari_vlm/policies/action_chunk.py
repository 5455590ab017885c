"""Action chunks: several plans from one answer, played one per decision.

A policy keeps no memory, so the plans left to play travel in `Decision.queue`: the next decision
reads them from the history, plays the first and queues the rest. A resumed run and a parallel
worker therefore continue exactly as an uninterrupted run does. The queue is dropped, and the model
asked again, when a life has been lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from atari_vlm.types import Decision, Observation, Plan, Step


def queued(observation: Observation, history: Sequence[Step]) -> Decision | None:
    """The decision that an earlier answer planned for now; None if the model is to be asked.

    It has no cost: the answer is counted where it was given.
    """
    if not history or not _continues(history[-1], observation.lives):
        return None
    plan, *rest = history[-1].decision.queue
    if plan.action not in observation.legal or plan.frames > observation.interval:
        return None
    made, position = _origin(history)
    return Decision(
        action=plan.action,
        frames=plan.frames,
        source="parsed",
        reason=f"Plan {position} of {position + len(rest)}, made at decision {made}.",
        queue=tuple(rest),
    )


def _continues(step: Step, lives_after: int) -> bool:
    """Whether the queue that a step left is played on."""
    return bool(step.decision.queue) and lives_after >= step.observation.lives


def _origin(history: Sequence[Step]) -> tuple[int, int]:
    """(the decision at which the model was asked, the position in its answer of the next plan)."""
    position, last = 2, history[-1]
    for at in range(len(history) - 2, -1, -1):  # a slice would copy the whole episode
        before = history[at]
        rest: tuple[Plan, ...] = (last.decision.plan, *last.decision.queue)
        if before.decision.queue != rest or not _continues(before, last.observation.lives):
            break
        position, last = position + 1, before
    return last.observation.step, position
