"""What reflection costs beyond play: its reviews, and the games in which lessons are tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from atari_vlm.advice.call_sizes import full_lesson
from atari_vlm.advice.thinking import Case
from atari_vlm.atari.emulator import Emulator
from atari_vlm.costs.prompt_tokens import count_tokens, text_tokens
from atari_vlm.errors import setting
from atari_vlm.learning.choice import learners_in
from atari_vlm.learning.reflection.learner import Reflection
from atari_vlm.learning.reflection.moments import LINES
from atari_vlm.learning.reflection.review import NEW, review_prompt
from atari_vlm.players import Player
from atari_vlm.runs.trials import PAIRS
from atari_vlm.types import Decision, Frame, Observation, Pixels, Step, Trajectory

WORDS = 90
"""Words of the three answers of a review, the most that it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """What learning takes beyond play; nothing without reflection."""

    prompt: int = 0
    """Tokens of a review without lessons of before."""
    taught: int = 0
    """Tokens of a review with as many lessons as are kept."""
    longest: int = 0
    """The same, by the rule for pictures of the worst case."""
    answer: int = 0
    """Tokens of its answer, without hidden reasoning."""
    asks: bool = False
    proves: bool = False
    about: str = ""
    """A sentence about it, with settings marked as by `errors.setting`; empty if there are none."""

    def games(self, case: Case, episodes: int) -> int:
        """Games in which lessons are tried, over the reviews of some episodes."""
        new = {"least": 0, "usual": 1, "most": NEW}[case]
        return episodes * PAIRS * (new + 1) if self.proves and new else 0

    def asked(
        self, case: Case, episodes: int, *, thinking: int, longest: int, repair: float
    ) -> tuple[int, int, int]:
        """(calls, tokens read, tokens written) of the reviews of some episodes.

        Args:
            case: the best, the usual or the worst, in which each is repaired once.
            episodes: how many are reviewed.
            thinking: hidden reasoning tokens of an answer.
            longest: limit on the tokens of an answer.
            repair: tokens that a repair adds to a prompt.
        """
        if not self.asks:
            return 0, 0, 0
        if case == "most":
            return (
                2 * episodes,
                round(episodes * (2 * self.longest + repair)),
                2 * episodes * longest,
            )
        written = self.answer + thinking if case == "usual" else 20
        read = (self.prompt + self.taught) / 2 if case == "usual" else self.prompt
        return episodes, round(episodes * read), episodes * min(written, longest)


def reviews_of(player: Player, rule: str, worst_rule: str, video_rule: str = "") -> Reviews:
    """What the reflection of a player takes; its prompts are built and counted.

    Args:
        player: with or without reflection.
        rule: name of the rule that counts pictures; see `costs.picture_tokens`.
        worst_rule: that of the worst case.
        video_rule: of the rule that counts the frames of a video, if one is shown.
    """
    learner = next((e for e in learners_in(player.learner) if isinstance(e, Reflection)), None)
    if learner is None:
        return Reviews()
    played, blank = _made_up(player)
    screens = [
        ("Half a second before +10", Frame(blank, step=10 * k))
        for k in range(learner.review_frames)
    ]
    lesson = full_lesson(learner.lesson_length)
    ask = partial(
        review_prompt,
        player.game,
        played,
        screens,
        longest=learner.lesson_length,
        mode=learner.mode,
        image_size=learner.image_size,
    )
    empty, full = ask([]), ask([lesson] * learner.max_lessons)
    count = partial(count_tokens, video_family=video_rule)
    about = (
        f"After each episode the model reviews it in one call, with {learner.review_frames} "
        f"screens ({setting('review_frames')}); prompts are taken to show {learner.max_lessons} "
        f"lessons of {learner.lesson_length} characters from the second episode on."
    )
    if learner.prove:
        about += (
            f" Each review is taken to bring one new lesson, which is tried in {PAIRS} pairs of "
            f"games ({setting('prove_lessons', True)}); at worst it brings {NEW}."
        )
    return Reviews(
        prompt=count(empty, rule),
        taught=count(full, rule),
        longest=count(full, worst_rule),
        answer=text_tokens("word " * WORDS + lesson * NEW),
        asks=True,
        proves=learner.prove,
        about=about,
    )


def _made_up(player: Player) -> tuple[Trajectory, Pixels]:
    """An episode with more rewards than the table of a review has lines, and a blank screen."""
    settings, game = player.settings, player.game
    emulator = Emulator(game, full_action_space=settings["full_action_space"])
    seen = Observation(
        game=game.name,
        frames=(),
        legal=emulator.legal,
        interval=settings["frame_skip"],
        lives=emulator.lives,
    )
    names = emulator.legal
    steps = tuple(
        Step(
            observation=replace(seen, step=k),
            decision=Decision(action=names[k // 2 % len(names)], frames=1),
            reward=10.0 if k % 10 == 9 else 0.0,
        )
        for k in range(10 * (LINES + 1))
    )
    blank = np.zeros((emulator.height, emulator.width), np.uint8)
    return Trajectory(game=game.name, episode=0, seed=0, policy=player.name, steps=steps), blank
