"""Which prompt suits how well the game is going: easy, reasoning, expert."""

from __future__ import annotations

from atari_vlm.atari.games import Game
from atari_vlm.types import Lessons

LEARNING_EPISODES = 10
"""Episodes before this one that still count as learning, when the prompt stays easy."""

DOING_WELL = 0.25
"""Human-normalised mean score from which play counts as good: a quarter of the way from random play
to the human tester. The best of the four models that Atari-GPT measured (GPT-4o, arXiv:2408.15950)
averages 0.23 over seven games by its own random and human scores, so this is ahead of it."""


def adaptive_style(game: Game, lessons: Lessons) -> str:
    """The prompt for the next episode, from the mean score and number of the earlier ones.

    "expert" once the mean score is good; until then "basic" for the first episodes and "cot" after
    them. A game whose human score is not known never counts as going well: "basic", then "cot".
    """
    score = lessons.mean_score
    normalised = None if score is None else game.normalise(score)
    if normalised is not None and normalised >= DOING_WELL:
        return "expert"
    return "basic" if lessons.episodes < LEARNING_EPISODES else "cot"
