"""Options of what a player learns between episodes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from atari_vlm.learning.examples import FEWEST_TOKENS, MOST_TOKENS
from atari_vlm.options import check_numbers, option


@dataclass(frozen=True)
class LearningOptions:
    """What the lessons of a model are made of."""

    use_in_context_learning: bool | None = option(
        False, "Show the best moments of earlier episodes.", flag="--icl/--no-icl"
    )
    examples_from: str | Path | None = option(
        None,
        "Show the best moments of this recorded run, of any player of the game.",
        flag="--examples",
    )
    example_tokens: int = option(
        MOST_TOKENS,
        "Most tokens of all examples in a prompt, pictures included.",
        least=FEWEST_TOKENS,
        most=10**7,
    )
    example_pictures: bool = option(
        True,
        "Show the screens of the examples, and not only words.",
        flag="--example-pictures/--no-example-pictures",
    )
    lessons_from: str | Path | None = option(
        None,
        "Show the lessons in words of this recorded run of the game from the first episode on.",
        flag="--lessons",
    )
    reflect: bool = option(
        False,
        "Let the model review each episode, and show the lessons it draws in the next ones.",
        flag="--reflect/--no-reflect",
    )
    max_lessons: int = option(8, "Lessons that reflection keeps.", least=1, most=64)
    lesson_length: int = option(
        200, "Characters of the longest lesson of reflection.", least=20, most=2_000
    )
    review_frames: int = option(6, "Screens that a review shows.", least=0, most=60)
    prove_lessons: bool = option(
        False,
        "Keep a new lesson only if ten paired games with it are no worse than without it.",
        flag="--prove-lessons/--no-prove-lessons",
    )

    def __post_init__(self) -> None:
        check_numbers(self)


def without_learning() -> dict[str, Any]:
    """The options of a player that learns nothing, by name."""
    return {each.name: each.default for each in fields(LearningOptions)}
