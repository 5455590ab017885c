"""The words of an example: what the player said, what it played, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby

from atari_vlm.learning.moments import Moment
from atari_vlm.learning.reflection.words import cleaned
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.tolerant_json import Unreadable, read_object
from atari_vlm.types import Step

LONGEST_WORDS = 200
"""Characters of the player's own words that an example quotes."""

MOST_PLANS = 8
"""Different plans that an example lists, each with how often it was played in a row."""

_ANSWER = pattern(r"(?im)^[ \t*_]{0,4}(?:final )?actions?[ \t*_]{0,3}[:=][^\n]{0,400}$")


def reasoning_in(reply: str) -> str:
    r"""The words before the answer in a model's reply, on one line; empty if there are none.

    >>> reasoning_in('{"reasoning": "The ball falls.", "action": "LEFT"}')
    'The ball falls.'
    >>> reasoning_in("The ball falls.\nACTION: LEFT x4"), reasoning_in("ACTION: LEFT")
    ('The ball falls.', '')
    """
    reply = reply[-20_000:]
    start = reply.find("{")
    if start >= 0:
        try:
            value, _ = read_object(reply, start, dict)
        except (Unreadable, TypeError, ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            said = value.get("reasoning", "")
            return cleaned(said, LONGEST_WORDS) if isinstance(said, str) else ""
    said = _ANSWER.sub("", reply)
    return cleaned(said, LONGEST_WORDS) if re.search(r"[a-z]{3}.*\s", said) else ""


def text_of(moment: Moment, *, said: str, own: bool, plans: bool, pictures: int) -> str:
    """An example in words.

    Args:
        moment: that it shows.
        said: what the player said at its first decision; empty for nothing.
        own: whether the player that is shown it played it.
        plans: whether the prompt asks how long to hold an action.
        pictures: how many of its screens are shown: 0, 1 or 2.
    """
    who = "you" if own else "the player"
    game = "an earlier game of yours" if own else "a game of another player"
    head = f"{_TITLES[moment.kind]}, from {game} (score {moment.trajectory.score:g})."
    quoted = json.dumps(said, ensure_ascii=False)
    stop = "" if said.endswith((".", "!", "?")) else "."
    spoken = f" {who.capitalize()} said: {quoted}{stop}" if said else ""
    played = f"{who} played {_played(moment.steps, plans)}"
    where = {0: f"In a row {played}", 1: f"On this screen {played}"}.get(
        pictures, f"From the first screen on {played}, up to the second screen"
    )
    return f"{head}{spoken} {where}. {_outcome(moment)}"


_TITLES = {"gain": "What earned points", "held": "What went well", "loss": "A warning"}


def _played(steps: Sequence[Step], plans: bool) -> str:
    """Plans in order, equal ones in a row together."""
    named = [
        f"{step.decision.action} x{step.decision.frames}" if plans else step.decision.action
        for step in steps
    ]
    groups = [(name, sum(1 for _ in same)) for name, same in groupby(named)]
    texts = [name if count == 1 else f"{name} ({count} times)" for name, count in groups]
    if len(texts) > MOST_PLANS:
        texts = [*texts[: MOST_PLANS - 1], f"{len(texts) - MOST_PLANS + 1} more plans"]
    return ", ".join(texts)


def _outcome(moment: Moment) -> str:
    later = sum(
        step.observation.interval for step in moment.trajectory.steps[moment.last : moment.end]
    )
    after = f"{later / 60:.1f} seconds later" if later >= 12 else "With that"
    if moment.kind == "gain":
        return f"{after} this earned {moment.points:+g}."
    if moment.kind == "held":
        return (
            f"Nothing was lost for {moment.length} decisions, where {moment.usual} are usual in "
            "this game."
        )
    lost = "a life was lost" if moment.lives else f"this cost {moment.points:+g}"
    also = f" ({moment.points:+g} points before it)" if moment.lives and moment.points else ""
    return f"{after} {lost}{also}: do something else."
