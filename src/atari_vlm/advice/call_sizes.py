"""Input and output tokens of one call of a player, counted on prompts that are built for it.

No model is called and nothing is played: the prompts belong to a made-up step in the middle of a
game, with blank screens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from statistics import mean

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.costs.prompt_tokens import count_tokens, text_tokens
from atari_vlm.learning.choice import learners_in
from atari_vlm.learning.examples import MOST_TOKENS, BestMoments
from atari_vlm.learning.reflection.given import GivenLessons
from atari_vlm.learning.reflection.learner import Reflection
from atari_vlm.players import Player
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.types import Decision, Example, Frame, Lessons, Observation, Prompt, Step

WORDS = 50
"""Words of reasoning in a JSON answer; the prompts ask for at most this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSizes:
    """Tokens of one call. `adaptive` prompts use several styles; means are over the styles."""

    first_prompt: float
    """Mean size of the first prompt of an episode, whose history is empty."""
    full_prompt: float
    """Mean size of a prompt with a full history."""
    largest_prompt: float
    """Size of a prompt with a full history, in the largest style."""
    history: int
    """Recent actions in a full history."""
    examples: float
    """Size of what learning adds: examples with their frames, and lessons in words."""
    given: float
    """Size of what of another run is in every prompt, in the smallest style."""
    given_first: float
    """Size of what of another run is in every prompt of the first episode, and may make room for
    what the player learns itself."""
    answer: float
    """Mean size of an answer as long as the prompt asks for, without hidden reasoning."""
    shortest_answer: float
    """Size of the shortest answer that can be played."""
    reasons: bool
    """Whether an answer includes reasoning in words."""

    def mean_prompt(self, calls: int, chunk_size: int) -> float:
        """Mean size of the prompts of an episode, in which the history fills up.

        Args:
            calls: of the episode.
            chunk_size: decisions that one answer plans.
        """
        if not self.history:
            return self.first_prompt
        listed = sum(min(call * chunk_size, self.history) for call in range(calls)) / calls
        return self.first_prompt + (self.full_prompt - self.first_prompt) * listed / self.history

    @classmethod
    def of(cls, player: Player, rule: str, video_rule: str = "") -> CallSizes:
        """Build and count the prompts of a player.

        Args:
            player: with one of the prompts of `prompts.strategies`.
            rule: name of the rule that counts pictures; see `costs.picture_tokens`.
            video_rule: of the rule that counts the frames of a video, if one is shown.
        """
        settings = player.settings
        chunk_size, interval = settings.get("decisions_per_call", 1), settings["frame_skip"]
        prompt_settings = PromptSettings.recorded(settings)
        kind = player.prompt_type
        styles = ("basic", "cot", "expert") if kind == "adaptive" else (kind,)
        length = min(prompt_settings.history, settings["max_frames"] // interval)
        now, past = _made_up_step(player, length)
        pictures = settings.get("example_pictures", True)
        shown = Lessons(examples=_examples(settings["examples"] or 0, now, pictures))
        lessons = _lessons_of(player)
        strategies = [get_strategy(style, prompt_settings) for style in styles]
        prompts = [strategy(now, past, Lessons()) for strategy in strategies]
        count = partial(count_tokens, family=rule, video_family=video_rule)
        first = [count(strategy(now, (), Lessons())) for strategy in strategies]
        full = [count(prompt) for prompt in prompts]

        def added(lessons: Lessons) -> list[int]:
            sizes = [count(strategy(now, past, lessons)) for strategy in strategies]
            return [b - a for a, b in zip(full, sizes, strict=True)]

        answers = [_answer(prompt, "word " * WORDS, interval, chunk_size) for prompt in prompts]
        shortest = [_answer(prompt, "", interval, 1) for prompt in prompts]
        return cls(
            first_prompt=mean(first),
            full_prompt=mean(full),
            largest_prompt=max(full),
            history=len(past),
            examples=min(max(added(shown)), settings.get("example_tokens", MOST_TOKENS))
            + max(added(lessons.full)),
            given=min(added(lessons.always)),
            given_first=min(added(lessons.first)),
            answer=mean(text_tokens(answer) for answer in answers),
            shortest_answer=min(text_tokens(answer) for answer in shortest),
            reasons=any(prompt.json for prompt in prompts),
        )


def _made_up_step(player: Player, length: int) -> tuple[Observation, tuple[Step, ...]]:
    """An observation in the middle of an episode, and the `length` steps before it.

    Its screens are blank: every screen costs the same number of tokens.
    """
    settings, game = player.settings, player.game
    emulator = Emulator(game, full_action_space=settings["full_action_space"])
    legal, interval = emulator.legal, settings["frame_skip"]
    blank = np.zeros((emulator.height, emulator.width), np.uint8)
    start = max(length, settings["frame_stack"])
    frames = tuple(
        Frame(blank, step=step) for step in range(start - settings["frame_stack"] + 1, start + 1)
    )
    now = Observation(
        game=game.name,
        frames=frames,
        legal=legal,
        interval=interval,
        step=start,
        lives=emulator.lives,
        score=100.0,
    )
    past = tuple(
        Step(
            observation=replace(now, frames=(), step=start - length + k),
            decision=Decision(action=legal[k % len(legal)], frames=interval, source="parsed"),
            reward=0.0,
        )
        for k in range(length)
    )
    return now, past


def _examples(number: int, now: Observation, pictures: bool) -> tuple[Example, ...]:
    """Examples of the length that `learning.examples` makes: words, eight plans, two frames."""
    plans = ", ".join(f"{name} x{now.interval}" for name in (now.legal * 8)[:8])
    text = (
        "What earned points, from an earlier game of yours (score 100). You said: "
        f'"{"word " * 35}". From the first screen on you played {plans}, up to the second screen. '
        "1.0 seconds later this earned +10."
    )
    frame = now.frames[-1] if pictures else None
    return (Example(text, frame, (frame,) if frame else ()),) * number


@dataclass(frozen=True, slots=True)
class _Shown:
    """Lessons that a player is shown."""

    full: Lessons
    """Lessons in words: as many as are kept, each as long as it may be."""
    always: Lessons
    """What of another run stays."""
    first: Lessons
    """What of another run may make room for what is learned in the first episode."""


def _lessons_of(player: Player) -> _Shown:
    full: list[str] = []
    always, first = Lessons(), Lessons()
    for each in learners_in(player.learner):
        if isinstance(each, Reflection):
            full += [full_lesson(each.lesson_length)] * each.max_lessons
            first = replace(first, advice=each.start.words if each.start else ())
        elif isinstance(each, GivenLessons):
            full += each.source.words
            always = replace(always, advice=each.source.words)
        elif isinstance(each, BestMoments) and each.own:
            first = replace(first, examples=each.at_once)
        elif isinstance(each, BestMoments):
            always = replace(always, examples=each.at_once)
    return _Shown(Lessons(advice=tuple(full)), always, first)


def full_lesson(length: int) -> str:
    """A lesson of the greatest length, in characters."""
    words = "When the ball comes, stay below it and wait for it there. "
    return (words * (length // len(words) + 1))[:length]


def _answer(prompt: Prompt, reasoning: str, frames: int, chunk_size: int) -> str:
    """A legal answer in the form the prompt asks for."""
    names = [prompt.legal[k % len(prompt.legal)] for k in range(chunk_size)]
    if prompt.json:
        held = f', "frames": {frames}' if prompt.plans else ""
        plans = ", ".join(f'{{"action": "{name}"{held}}}' for name in names)
        return f'{{"reasoning": "{reasoning}", "actions": [{plans}]}}'
    held = f" x{frames}" if prompt.plans else ""
    plain = ", ".join(name + held for name in names)
    return f"ACTIONS: {plain}" if prompt.plans or chunk_size > 1 else plain
