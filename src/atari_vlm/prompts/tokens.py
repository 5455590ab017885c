r"""How many tokens a prompt costs, before it is sent.

Text is estimated without a tokenizer; frames follow each vendor's published rule. `table` prints
both for every strategy:

    python -c "from atari_vlm.prompts.tokens import table; print(table('pong'))"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import ceil, sqrt

import numpy as np

from atari_vlm.errors import unknown
from atari_vlm.games import get_game
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


def _patches(width: int, height: int, side: int) -> int:
    return ceil(width / side) * ceil(height / side)


def openai(width: int, height: int) -> int:
    """GPT-5.2 to 6: patches of 32 pixels x 1.2, at most 2,500 patches at detail "high".

    Source: community.openai.com topics 1377015 and 1372291; exact on the three sizes of the data
    set JOHNISKING/image-token-cost.
    """
    return ceil(min(_patches(width, height, 32), 2500) * 1.2)


def gpt_4o(width: int, height: int) -> int:
    """GPT-4o and 4.1 at detail "high": 85, and 170 a tile. Source: OpenAI's vision guide."""
    return 85 + 170 * _tiles(width, height)


def gpt_4o_low(width: int, height: int) -> int:
    """GPT-4o and 4.1 at detail "low": 85 at any size. Source: as `gpt_4o`."""
    return 85


def gpt_5(width: int, height: int) -> int:
    """GPT-5 and 5.1: 70, and 140 a tile. Source: docs.rs/vision-squeezer."""
    return 70 + 140 * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    """Tiles of 512 pixels after fitting into 2,048 x 2,048 and then the short side to 768."""
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return _patches(ceil(width * scale), ceil(height * scale), 512)


def anthropic(width: int, height: int) -> int:
    """Claude: patches of 28 pixels, at most 1,568 (4,784 from Opus 4.7, not counted here).

    Source: platform.claude.com, build-with-claude/vision.
    """
    return min(_patches(width, height, 28), 1568)


def gemini_2(width: int, height: int) -> int:
    """Gemini up to 2.5: 258 for a small picture, else 258 a tile of 768 pixels.

    Source: ai.google.dev/gemini-api/docs/tokens.
    """
    return 258 if max(width, height) <= 384 else 258 * _patches(width, height, 768)


def gemini(width: int, height: int) -> int:
    """Gemini 3 and 4: 1,120 at any size.

    Source: ai.google.dev/gemini-api/docs/media-resolution.
    """
    return 1120


def gemini_low(width: int, height: int) -> int:
    """Gemini 3 and 4 with media_resolution LOW: 280 at any size. Source: as `gemini`."""
    return 280


def qwen2_vl(width: int, height: int) -> int:
    """Qwen2-VL and 2.5-VL: sides rounded to 28 pixels, a token each. Source: their processors."""
    return max(4, round(width / 28) * round(height / 28))


def qwen3_vl(width: int, height: int) -> int:
    """Qwen3-VL: sides rounded to 32 pixels, enlarged to at least 256 x 256. Source: as above."""
    across, down = max(1, round(width / 32)), max(1, round(height / 32))
    if across * down >= 64:
        return across * down
    scale = sqrt(256 * 256 / (width * height))
    return ceil(width * scale / 32) * ceil(height * scale / 32)


def llava_next(width: int, height: int) -> int:
    """LLaVA-1.6: the picture at 336 pixels, and again in the best of five grids of such tiles.

    Source: transformers, LlavaNextProcessor; 1,032 for a native screen.
    """
    rows, columns = max(_GRIDS, key=lambda grid: _fit(width, height, *grid))
    down, across = 24 * rows, 24 * columns
    if width / height > across / down:
        down -= 2 * ((down - int(height * across / width)) // 2)
    else:
        across -= 2 * ((across - int(width * down / height)) // 2)
    return 576 + down * across + down


_GRIDS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""Tiles of 336 pixels, (rows, columns)."""


def _fit(width: int, height: int, rows: int, columns: int) -> tuple[int, int]:
    """Pixels of the picture that a grid keeps, and, to be least, those it wastes."""
    scale = min(336 * columns / width, 336 * rows / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return kept, kept - 336 * columns * 336 * rows


def cogvlm2(width: int, height: int) -> int:
    """CogVLM2: 48 x 48 at any size, and two marks. Source: its visual.py."""
    return 48 * 48 + 2


def video_llava(width: int, height: int) -> int:
    """Video-LLaVA: 256 a picture of any size. Source: transformers, VideoLlavaProcessor."""
    return 256


def idefics2(width: int, height: int) -> int:
    """Idefics2 with its tiles off, as this project loads it: 64 at any size; 320 with them.

    Source: transformers, Idefics2Processor.
    """
    return 64


FAMILIES: dict[str, Callable[[int, int], int]] = {
    "openai": openai,
    "gpt-4o": gpt_4o,
    "gpt-4o-low": gpt_4o_low,
    "gpt-5": gpt_5,
    "anthropic": anthropic,
    "gemini": gemini,
    "gemini-low": gemini_low,
    "gemini-2": gemini_2,
    "qwen2-vl": qwen2_vl,
    "qwen3-vl": qwen3_vl,
    "llava-next": llava_next,
    "cogvlm2": cogvlm2,
    "video-llava": video_llava,
    "idefics2": idefics2,
}
"""Tokens of one frame of (width, height) pixels, by family of models. Rules of November 2026."""


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
