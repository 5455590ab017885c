"""The choice between the prompts "basic", "cot" and "expert" by the results so far."""

from __future__ import annotations

from atari_vlm.atari.games import Game
from atari_vlm.types import Lessons

LEARNING_EPISODES = 10
"""Number of first episodes that use "basic" unless the mean score is already good."""

DOING_WELL = 0.25
"""Human-normalised mean score from which play counts as good.

The best of the four models that Atari-GPT measured (GPT-4o, arXiv:2408.15950) averages 0.23 over
seven games by that paper's random and human scores.
"""


def adaptive_style(game: Game, lessons: Lessons) -> str:
    """The prompt for the next episode, by the number and the mean score of the earlier ones.

    "expert" once the mean score is good; until then "basic" for the first episodes and "cot" after
    them. If the human score of the game is not known, no mean score counts as good.
    """
    score = lessons.mean_score
    normalised = None if score is None else game.normalise(score)
    if normalised is not None and normalised >= DOING_WELL:
        return "expert"
    return "basic" if lessons.episodes < LEARNING_EPISODES else "cot"
