"""How many input tokens a prompt costs, before it is sent.

Text is estimated without a tokenizer; frames follow each vendor's published rule.
"""

from __future__ import annotations

import re

from atari_vlm.costs.picture_tokens import FAMILIES
from atari_vlm.errors import unknown
from atari_vlm.types import Frame, Prompt

TURN_TOKENS = 4
"""Tokens that chat templates spend on the frame of a turn: its role and its two ends."""

_PIECE = re.compile(
    r" ?[A-Z]{1,4}(?![a-z])| ?[A-Za-z][a-z]{0,9}| (?=[0-9])|[0-9]{1,3}|[^\sA-Za-z0-9]{1,2}|\n"
)


def text_tokens(text: str) -> int:
    """Estimated tokens of English text.

    Counts words of up to ten letters, capitals by four (action names break apart), numbers by three
    digits, marks by two, line ends. Over 128 prompts of this package (16 games, basic, cot, expert
    and adaptive, plans and plain) it came to 0.96 to 1.05 times the counts of OpenAI's o200k and
    cl100k vocabularies, where a quarter of the characters came to 0.76 to 1.02 times.
    """
    return sum(1 for _ in _PIECE.finditer(text))


def count_tokens(prompt: Prompt, family: str) -> int:
    """Estimated input tokens of a prompt: its turns, its words and its frames.

    Args:
        prompt: frames are counted at `image_size`, or at their own size.
        family: one of `FAMILIES`.
    """
    if family not in FAMILIES:
        raise unknown("family of token rules", family, FAMILIES)
    parts = [part for message in prompt.messages for part in message.parts]
    words = sum(text_tokens(part) for part in parts if isinstance(part, str))
    pictures = sum(FAMILIES[family](*picture_size(frame, prompt)) for frame in prompt.frames)
    return TURN_TOKENS * len(prompt.messages) + words + pictures


def picture_size(frame: Frame, prompt: Prompt) -> tuple[int, int]:
    """(width, height) in pixels of a frame as the prompt sends it."""
    height, width = frame.pixels.shape[:2]
    return prompt.image_size or (width, height)
