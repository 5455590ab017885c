"""The question of a review: the three questions of the document, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from atari_vlm.atari.games import Game
from atari_vlm.learning.reflection.moments import table
from atari_vlm.prompts import parts
from atari_vlm.types import Frame, Message, Prompt, Trajectory

NEW = 3
"""Lessons that one review may add."""


def review_prompt(
    game: Game,
    played: Trajectory,
    screens: Sequence[tuple[str, Frame]],
    lessons: Sequence[str],
    *,
    longest: int,
    mode: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> Prompt:
    """The prompt of a review.

    Args:
        game: that was played.
        played: the episode, its steps without frames.
        screens: of the episode, each with what it shows, in order.
        lessons: of before, in order; the answer names them by their numbers.
        longest: characters of a lesson.
        mode: ALE game mode, in which actions may do something else.
        image_size: (width, height) that the screens are scaled to; None for their own.
    """
    legal = played.steps[0].observation.legal
    shown: list[str | Frame] = []
    for label, frame in screens:
        shown += [f"{label}:", frame]
    known = (
        parts.rules(game, legal),
        parts.actions(legal),
        parts.meanings(game, legal, mode),
        _length(played),
        table(played),
    )
    numbered = [f"{number}. {words}" for number, words in enumerate(lessons, 1)]
    so_far = "\n".join(("Your lessons so far:", *numbered)) if numbered else ""
    about = (
        f"You just played {game.cartridge} on the Atari 2600 and scored {played.score:g}.",
        *filter(None, known),
    )
    question = f"""Review your gameplay:
1. What strategies worked well?
2. What mistakes did you make?
3. How can you improve?

Provide {NEW} key insights for next game."""
    return Prompt(
        messages=(
            Message("system", ("You review your own play, to play better.", _form(longest))),
            Message("user", ("\n".join(about), *shown, *filter(None, (so_far, question)))),
        ),
        legal=(),
        longest=1,
        image_size=image_size,
    )


def _length(played: Trajectory) -> str:
    steps = played.steps
    seconds = len(steps) * steps[0].observation.interval / 60
    end = "by game over" if steps[-1].terminated else "before the game was over"
    return f"It lasted {seconds:.0f} s ({len(steps):,} decisions) and ended {end}."


def _form(longest: int) -> str:
    said = "<at most 30 words>"
    return (
        f'Answer with one JSON object only: {{"worked": "{said}", "mistakes": "{said}", '
        f'"improve": "{said}", "lessons": ["<at most {longest} characters>", ... at most {NEW} new '
        'ones], "drop": [<numbers of your lessons so far that proved wrong>]}. A lesson says what '
        "to do and when, and names only actions of this game. Do not repeat a lesson that you have."
    )
