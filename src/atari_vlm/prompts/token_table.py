r"""A table of the input tokens of one decision by strategy and model family.

python -c "from atari_vlm.prompts.token_table import table; print(table('pong'))"
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.costs.picture_tokens import openai
from atari_vlm.costs.prompt_tokens import count_tokens, picture_size
from atari_vlm.prompts.strategies import STRATEGIES, PromptSettings, get_strategy
from atari_vlm.types import Decision, Frame, Lessons, Observation, Step


def table(
    game: str,
    families: Sequence[str] = ("openai", "anthropic", "gemini-low"),
    settings: PromptSettings | None = None,
    legal: Sequence[str] = ("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN"),
) -> str:
    """Input tokens of one decision by strategy and family, as a Markdown table.

    Args:
        game: any spelling of the game's name.
        families: columns, besides the one for the text alone; see `FAMILIES`.
        settings: parts of the prompts; None for the defaults.
        legal: legal action names.
    """
    observation, history = _example(get_game(game).name, tuple(legal))
    lines = [["prompt", "words", *families], ["---"] * (len(families) + 2)]
    for name in STRATEGIES:
        prompt = get_strategy(name, settings)(observation, history, Lessons())
        words = count_tokens(prompt, "openai") - sum(
            openai(*picture_size(f, prompt)) for f in prompt.frames
        )
        lines.append(
            [name, str(words), *(str(count_tokens(prompt, family)) for family in families)]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _example(game: str, legal: tuple[str, ...]) -> tuple[Observation, tuple[Step, ...]]:
    """A decision in the middle of an episode. Its screens are blank; only their size matters."""
    pixels = np.zeros((get_game(game).height, 160), np.uint8)
    frames = tuple(Frame(pixels, step=step) for step in range(6, 10))
    now = Observation(game=game, frames=frames, legal=legal, interval=4, step=9, lives=3)
    decision = Decision(action=legal[-1], frames=3, source="parsed")
    return now, (Step(observation=now, decision=decision, reward=0.0),) * 9
