"""The decision at which a page opens an episode: a moment worth seeing."""

from __future__ import annotations

from collections.abc import Sequence

from atari_vlm.report.replay import ReplayChoice, ReplayDecision

LEAD = 6
"""Most decisions before an event: enough to see it come, and near enough to be about it."""


def opening(decisions: Sequence[ReplayDecision], *, invalid: bool = False) -> int:
    """The decision to open an episode at.

    The first of the fallbacks that ended an invalid episode. Else shortly before the first reward
    or lost life that has words before it: an answer, or the reason of a player without a model.
    Without any, shortly before the first reward or lost life; without those, at the first answer
    in the second half.

    Args:
        decisions: of the episode, in order.
        invalid: whether the model's failure to answer ended the episode.
    """
    if invalid:
        return _first_of_last_fallbacks(decisions)
    places = _events(decisions)
    for place in places:
        for at in range(max(place - LEAD, 0), place + 1):
            if _words(decisions[at]) and decisions[at].source != "fallback":
                return at
    if places:
        return max(places[0] - LEAD, 0)
    middle = len(decisions) // 2
    return next((at for at in range(middle, len(decisions)) if _words(decisions[at])), middle)


def last_reply(decisions: Sequence[ReplayDecision]) -> str:
    """The model's last words, of its candidates too; empty if it said none."""
    return next(filter(None, map(_reply, reversed(decisions))), "")


def _reply(choice: ReplayChoice) -> str:
    own = (call.reply.strip() for call in reversed(choice.calls))
    return next(filter(None, (*own, *map(_reply, choice.considered))), "")


def _first_of_last_fallbacks(decisions: Sequence[ReplayDecision]) -> int:
    at = len(decisions)
    while at and decisions[at - 1].source == "fallback":
        at -= 1
    return min(at, max(len(decisions) - 1, 0))


def _events(decisions: Sequence[ReplayDecision]) -> list[int]:
    """The decisions that earned a reward or lost a life."""
    return [
        at
        for at, decision in enumerate(decisions)
        if decision.reward or (at + 1 < len(decisions) and decisions[at + 1].lives < decision.lives)
    ]


def _words(choice: ReplayChoice) -> bool:
    """Whether there is something to read: an answer, or the reason of a player without a model."""
    replies = any(call.reply.strip() for call in choice.calls)
    return replies or bool(choice.reason) or any(_words(other) for other in choice.considered)
