"""Tell the words of the model from those that it puts into another mouth: "User: ACTION: UP".

A model that does not stop writes on as the user; a model that continues a chat may begin so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from atari_vlm.replies.json_answers import JSONAnswer
from atari_vlm.replies.labels import LABEL
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import UnclearReply

_SPEAKER = pattern(
    r"^[ >#]{0,3}[\"'\[(]?(?:(?P<other>user|human|system)|(?P<own>assistant|model|ai|agent|bot|me))"
    r"[\"'\])]?[ ]{0,2}(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
"""The name of who speaks, at the beginning of a line."""


def may_have_others(text: str) -> bool:
    """Whether others than the model may speak in a reply."""
    lower = text.lower()
    return "user" in lower or "human" in lower or "system" in lower


def own_words(text: str, objects: Sequence[JSONAnswer]) -> tuple[str, list[JSONAnswer]]:
    """A reply with spaces in place of what others say in it, and its own objects.

    Args:
        text: the reply, with spaces in place of its JSON.
        objects: its JSON.

    Raises:
        UnclearReply: it answers both before and after another speaks.
    """
    own: list[tuple[int, int]] = []
    at, mine = 0, True
    for turn in _SPEAKER.finditer(text):
        if mine:
            own.append((at, turn.start()))
        at, mine = turn.end(), turn["own"] is not None
    if mine:
        own.append((at, len(text)))
    if sum(_has_answer(text, objects, start, end) for start, end in own) > 1:
        raise UnclearReply("The reply goes on as a talk of several: give only your own answer.")
    kept, at = [], 0
    for start, end in own:
        kept += [re.sub(r"[^\n]", " ", text[at:start]), text[start:end]]
        at = end
    kept.append(re.sub(r"[^\n]", " ", text[at:]))
    return "".join(kept), [
        each for each in objects if any(start <= each.start < end for start, end in own)
    ]


def _has_answer(text: str, objects: Sequence[JSONAnswer], start: int, end: int) -> bool:
    if any(start <= each.start < end and each.action is not None for each in objects):
        return True
    return bool(LABEL.search(text, start, end))
