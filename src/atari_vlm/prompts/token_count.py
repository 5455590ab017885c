r"""How many tokens a prompt costs, before it is sent.

Text is estimated without a tokenizer; frames follow each vendor's published rule. `table` prints
both for every strategy:

    python -c "from atari_vlm.prompts.token_count import table; print(table('pong'))"
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.costs.picture_tokens import FAMILIES, openai
from atari_vlm.errors import unknown
from atari_vlm.prompts.strategies import STRATEGIES, PromptSettings, get_strategy
from atari_vlm.types import Decision, Frame, Lessons, Observation, Prompt, Step

TURN = 4
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


def count(prompt: Prompt, family: str) -> int:
    """Estimated input tokens of a prompt: its turns, its words and its frames.

    Args:
        prompt: frames are counted at `image_size`, or at their own size.
        family: one of `FAMILIES`.
    """
    if family not in FAMILIES:
        raise unknown("family of token rules", family, FAMILIES)
    parts = [part for message in prompt.messages for part in message.parts]
    words = sum(text_tokens(part) for part in parts if isinstance(part, str))
    pictures = sum(FAMILIES[family](*_size(frame, prompt)) for frame in prompt.frames)
    return TURN * len(prompt.messages) + words + pictures


def _size(frame: Frame, prompt: Prompt) -> tuple[int, int]:
    height, width = frame.pixels.shape[:2]
    return prompt.image_size or (width, height)


def table(
    game: str,
    families: Sequence[str] = ("openai", "anthropic", "gemini-low"),
    settings: PromptSettings | None = None,
    legal: Sequence[str] = ("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN"),
) -> str:
    """Input tokens of one decision by strategy and family, as a Markdown table.

    Args:
        game: any spelling of the game's name.
        families: columns, beside the one for the words alone.
        settings: parts of the prompts; the defaults where None.
        legal: legal action names.
    """
    observation, history = _moment(get_game(game).name, tuple(legal))
    lines = [["prompt", "words", *families], ["---"] * (len(families) + 2)]
    for name in STRATEGIES:
        prompt = get_strategy(name, settings)(observation, history, Lessons())
        words = count(prompt, "openai") - sum(openai(*_size(f, prompt)) for f in prompt.frames)
        lines.append([name, str(words), *(str(count(prompt, family)) for family in families)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _moment(game: str, legal: tuple[str, ...]) -> tuple[Observation, tuple[Step, ...]]:
    """A moment in the middle of an episode, with a blank screen: blank costs what any costs."""
    pixels = np.zeros((get_game(game).height, 160), np.uint8)
    frames = tuple(Frame(pixels, step=step) for step in range(6, 10))
    now = Observation(game=game, frames=frames, legal=legal, interval=4, step=9, lives=3)
    decision = Decision(action=legal[-1], frames=3, source="parsed")
    return now, (Step(observation=now, decision=decision, reward=0.0),) * 9
