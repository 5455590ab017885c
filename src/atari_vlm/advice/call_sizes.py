"""How many tokens one call of a player reads and writes, from prompts built and counted.

Nothing is asked and nothing is played: the prompts are those of a moment in the middle of a game,
with blank screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.costs.prompt_tokens import count_tokens, text_tokens
from atari_vlm.players import Player
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.types import Decision, Example, Frame, Lessons, Observation, Prompt, Step

WORDS = 50
"""Words of reasoning in a JSON answer: the most the prompts ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Tokens of one call, from prompts that are built and counted."""

    opening: float
    """Of a prompt before anything was played."""
    full: float
    """Of one whose list of recent actions is full, in the style that takes most."""
    filled: float
    """The same in the mean over styles."""
    window: int
    """Recent actions it then lists."""
    examples: float
    """Of the examples that in-context learning adds, frames included."""
    answer: float
    """Of an answer as long as the prompt asks for, hidden reasoning excepted."""
    shortest: float
    """Of the shortest answer that can be played."""
    reasons: bool
    """Whether the answers hold reasoning in words."""

    def read(self, calls: int, ahead: int) -> float:
        """Mean input of the calls of one episode, whose list of recent actions fills up."""
        if not self.window:
            return self.opening
        listed = sum(min(call * ahead, self.window) for call in range(calls)) / calls
        return self.opening + (self.filled - self.opening) * listed / self.window

    @classmethod
    def of(cls, player: Player, rule: str) -> Sizes:
        """Build and count the prompts of a player."""
        settings = player.settings
        ahead, interval = settings.get("decisions_per_call", 1), settings["frame_skip"]
        shown = PromptSettings(
            history=settings["history"],
            frames=settings["frames_in_prompt"],
            plans=settings["plans"],
            image_size=tuple(settings["resize_shape"]) if settings["resize_shape"] else None,
            chunk_size=ahead,
        )
        kind = player.prompt_type
        styles = ("basic", "cot", "expert") if kind == "adaptive" else (kind,)
        now, past = _moment(player, min(shown.history, settings["max_frames"] // interval))
        taught = Lessons(examples=_examples(settings["examples"] or 0, past, now))
        strategies = [get_strategy(style, shown) for style in styles]
        prompts = [strategy(now, past, Lessons()) for strategy in strategies]
        opening = [count_tokens(strategy(now, (), Lessons()), rule) for strategy in strategies]
        filled = [count_tokens(prompt, rule) for prompt in prompts]
        more = [count_tokens(strategy(now, past, taught), rule) for strategy in strategies]
        answers = [_answer(prompt, "word " * WORDS, interval, ahead) for prompt in prompts]
        return cls(
            opening=mean(opening),
            full=max(filled),
            filled=mean(filled),
            window=len(past),
            examples=max(b - a for a, b in zip(filled, more, strict=True)),
            answer=mean(text_tokens(answer) for answer in answers),
            shortest=min(text_tokens(_answer(prompt, "", interval, 1)) for prompt in prompts),
            reasons=any(prompt.json for prompt in prompts),
        )


def _moment(player: Player, listed: int) -> tuple[Observation, tuple[Step, ...]]:
    """A moment in the middle of an episode; a blank screen costs what any screen costs."""
    settings, game = player.settings, player.game
    emulator = Emulator(game, full_action_space=settings["full_action_space"])
    legal, interval = emulator.legal, settings["frame_skip"]
    blank = np.zeros((emulator.height, emulator.width), np.uint8)
    start = max(listed, settings["frame_stack"])
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
            observation=replace(now, frames=(), step=start - listed + k),
            decision=Decision(action=legal[k % len(legal)], frames=interval, source="parsed"),
            reward=0.0,
        )
        for k in range(listed)
    )
    return now, past


def _examples(number: int, past: Sequence[Step], now: Observation) -> tuple[Example, ...]:
    """Examples as long as `learning.examples` writes them: four plans and a frame each."""
    plans = ", then ".join(f"{name} x{now.interval}" for name in (now.legal * 4)[:4])
    text = (
        f"From an earlier episode that scored 100: on this screen you played {plans}, and "
        "earned +10."
    )
    return (Example(text=text, frame=now.frames[-1]),) * number


def _answer(prompt: Prompt, reasoning: str, frames: int, ahead: int) -> str:
    """A legal answer in the form the prompt asks for."""
    names = [prompt.legal[k % len(prompt.legal)] for k in range(ahead)]
    if prompt.json:
        held = f', "frames": {frames}' if prompt.plans else ""
        plans = ", ".join(f'{{"action": "{name}"{held}}}' for name in names)
        return f'{{"reasoning": "{reasoning}", "actions": [{plans}]}}'
    held = f" x{frames}" if prompt.plans else ""
    plain = ", ".join(name + held for name in names)
    return f"ACTIONS: {plain}" if prompt.plans or ahead > 1 else plain
