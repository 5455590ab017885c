"""Strategies: functions from an observation, the steps so far and the lessons to a prompt.

The system message contains what stays the same over an episode: role, rules, advice, actions,
timing and, as its last part, the answer format. The user message contains what changes: examples,
lessons, screens, score, recent actions and, last, the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import check_size
from atari_vlm.atari.repetition import STUCK_AFTER
from atari_vlm.errors import InvalidSetting, setting, unknown
from atari_vlm.prompts import parts
from atari_vlm.prompts.adaptive import adaptive_style
from atari_vlm.prompts.embedded import embedded_prompt
from atari_vlm.types import Frame, Lessons, Message, Observation, Prompt, Step, Strategy

LONGEST_REPLY = 2_000
"""Characters from the end of a faulty reply that the repair prompt quotes."""


VERSIONS = (1, 2)
"""Versions of the words of the prompts, the newest last. 1 does not say what the actions do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """What a prompt contains besides the text of its strategy."""

    history: int = 4
    """Recent actions to list, each with its reward; 0 lists none."""
    frames: int = 2
    """Newest screens to show, at most those of the observation; two show motion."""
    rules: bool = True
    """Whether to state the rules of the game."""
    examples: bool = True
    """Whether to show the lessons' examples, with their frames."""
    lessons: bool = True
    """Whether to show the lessons' advice."""
    status: bool = True
    """Whether to state the score and the lives."""
    memory: bool = True
    """Whether to show the memory that the last decision left."""
    plans: bool = True
    """Ask for (action, frames). False asks for an action, which is held for the whole interval."""
    image_size: tuple[int, int] | None = None
    """(width, height) to scale frames to; None keeps the native size."""
    chunk_size: int = 1
    """Decisions planned in one answer."""
    mode: int | None = None
    """ALE game mode, in which actions may do something else; None for the default."""
    nudge: int | None = None
    """Decisions with the same action, or the same screen, after which the model is told so; None
    for never."""
    version: int = VERSIONS[-1]
    """Of the words: a run is continued with those that it was begun with."""

    def __post_init__(self) -> None:
        if self.history < 0:
            raise InvalidSetting(f"{setting('history')} must be at least 0, not {self.history}.")
        if self.frames < 1:
            name = setting("frames_in_prompt")
            raise InvalidSetting(f"{name} must be at least 1, not {self.frames}.")
        if self.chunk_size < 1:
            name = setting("decisions_per_call")
            raise InvalidSetting(f"{name} must be at least 1, not {self.chunk_size}.")
        if self.image_size is not None:
            check_size(self.image_size)

    @property
    def record(self) -> dict[str, Any]:
        """What the user chose of it, for the record of a run."""
        return {
            "plans": self.plans,
            "frames_in_prompt": self.frames,
            "history": self.history,
            "resize_shape": list(self.image_size) if self.image_size else None,
            **({"decisions_per_call": self.chunk_size} if self.chunk_size > 1 else {}),
            **({"nudge": True} if self.nudge else {}),
        }

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> PromptSettings:
        """The settings of the prompts of a run, from its record."""
        size = settings["resize_shape"]
        return cls(
            history=settings["history"],
            frames=settings["frames_in_prompt"],
            plans=settings["plans"],
            image_size=tuple(size) if size else None,
            chunk_size=settings.get("decisions_per_call", 1),
            mode=settings.get("mode"),
            nudge=settings.get("stuck_after", STUCK_AFTER) if settings.get("nudge") else None,
            version=settings.get("prompt_version", VERSIONS[0]),
        )


@dataclass(frozen=True, slots=True)
class _Style:
    """The text that differs between the strategies."""

    role: str
    question: str
    thinking: str = ""
    """How to think before the answer. If given, the answer is a JSON object with a "reasoning";
    else it is one line."""
    advice: bool = False
    """Whether to state the game's strategy, risks and patterns."""


_STYLES = {
    "basic": _Style(
        role="You are playing {game} on the Atari 2600.",
        question="What action should you take?",
    ),
    "cot": _Style(
        role="You are playing {game} on the Atari 2600.",
        thinking="""Think in four short steps before you act:
1. Observe: what is where, and how it moves from screen to screen.
2. Analyse: what will happen next, and what it means for you.
3. Plan: what you want to achieve in the next second.
4. Decide: the action that serves the plan now.""",
        question="Observe, analyse, plan, decide: what action should you take?",
    ),
    "expert": _Style(
        role="You are an expert at {game} on the Atari 2600.",
        thinking=(
            "Think like an expert before you act: recognise the pattern under way, weigh what each "
            "option can gain against what it risks, and choose what the strategy asks for now."
        ),
        question="Which pattern is this, what is the risk, and what action should you take?",
        advice=True,
    ),
}


def get_strategy(name: str, settings: PromptSettings | None = None) -> Strategy:
    """The strategy of that name.

    Args:
        name: one of `STRATEGIES`, or the former name of one.
        settings: what to show; None for the defaults. "embedded" ignores them and shows what the
            embedded model was trained on.

    Raises:
        UnknownName: there is no such strategy; the message suggests the nearest name.
    """
    name = prompt_name(name)
    if name not in STRATEGIES:
        raise unknown("prompt", name, STRATEGIES)
    return STRATEGIES[name](settings or PromptSettings())


def _styled(
    style: str,
    settings: PromptSettings,
    observation: Observation,
    history: Sequence[Step],
    lessons: Lessons,
) -> Prompt:
    plans = settings.plans and observation.interval > 1
    form = parts.AnswerFormat(observation.interval, plans, settings.chunk_size)
    told = settings.version > 1, settings.mode
    constant = _system(style, observation.game, observation.legal, form, settings.rules, told)
    changing = (
        *(parts.examples(lessons.examples) if settings.examples else ()),
        parts.bullets("Lessons from earlier games", lessons.advice if settings.lessons else ()),
        *parts.screens(observation, settings.frames),
        parts.status(observation) if settings.status else "",
        parts.recent_actions(observation, history, settings.history, plans),
        parts.last_memory(history) if settings.memory else "",
        parts.nudge(observation, history, settings.nudge),
        _question(style, form),
    )
    return Prompt(
        messages=(
            Message("system", constant),
            Message("user", tuple(part for part in changing if part != "")),
        ),
        legal=observation.legal,
        longest=observation.interval,
        plans=plans,
        image_size=settings.image_size,
        json=bool(_STYLES[style].thinking),
        chunk_size=settings.chunk_size,
    )


@lru_cache(maxsize=512)
def _system(
    style: str,
    game: str,
    legal: tuple[str, ...],
    form: parts.AnswerFormat,
    rules: bool,
    told: tuple[bool, int | None],
) -> tuple[str, str]:
    """The system message: all that is known before the first screen, and the answer format.

    `told` is whether to say what the actions do, and in which game mode.
    """
    text, entry = _STYLES[style], get_game(game)
    known = (
        text.role.format(game=entry.cartridge),
        parts.rules(entry, legal) if rules else "",
        parts.advice(entry) if text.advice else "",
        parts.actions(legal),
        parts.meanings(entry, legal, told[1]) if told[0] else "",
        parts.timing(form),
        text.thinking,
    )
    answer = parts.answer_json if text.thinking else parts.answer_line
    return "\n".join(part for part in known if part), answer(form)


def _of_style(style: str, settings: PromptSettings) -> Strategy:
    return partial(_styled, style, settings)


def _question(style: str, form: parts.AnswerFormat) -> str:
    if form.chunk_size > 1:
        return _STYLES[style].question.replace("action should", "actions should")
    plain = style == "basic" and not form.plans
    return _STYLES[style].question + (" Respond with action number or name." if plain else "")


def _adaptive(
    settings: PromptSettings, observation: Observation, history: Sequence[Step], lessons: Lessons
) -> Prompt:
    style = adaptive_style(get_game(observation.game), lessons)
    return _styled(style, settings, observation, history, lessons)


STRATEGIES: dict[str, Callable[[PromptSettings], Strategy]] = {
    **{style: partial(_of_style, style) for style in _STYLES},
    "adaptive": lambda settings: partial(_adaptive, settings),
    "embedded": lambda settings: embedded_prompt,
}
"""Name -> a function from settings to the strategy."""

_FORMER_NAMES = {"specialist": "embedded"}


def prompt_name(name: str) -> str:
    """The current name of a strategy, from its current or former name."""
    return _FORMER_NAMES.get(name, name)


def prompt_text(
    game: str,
    kind: str,
    legal: Sequence[str],
    *,
    interval: int = 4,
    plans: bool = False,
    mode: int | None = None,
) -> str:
    """The text of a prompt, for callers that add the screens themselves.

    Args:
        game: any spelling of the game's name.
        kind: "basic", "cot", "expert" or "adaptive" (which is "basic" before the first episode).
        legal: legal action names; the answer may be an index into them.
        interval: emulator frames per decision.
        plans: ask for (action, frames) instead of an action.
        mode: ALE game mode; None for the default.

    Raises:
        UnknownName: there is no such prompt or game.
    """
    if kind not in STRATEGIES or kind == "embedded":
        raise unknown("prompt", kind, [name for name in STRATEGIES if name != "embedded"])
    settings = PromptSettings(plans=plans, status=False, mode=mode)
    name = get_game(game).name
    observation = Observation(game=name, frames=(), legal=tuple(legal), interval=interval)
    return text_without_frames(get_strategy(kind, settings)(observation, (), Lessons()))


def text_without_frames(prompt: Prompt) -> str:
    """All text of a prompt, without its frames."""
    prompt_parts = (part for message in prompt.messages for part in message.parts)
    return "\n".join(part for part in prompt_parts if not isinstance(part, Frame))


def repair(prompt: Prompt, reply: str, fault: str) -> Prompt:
    """The prompt, the faulty reply, and a message that states the fault and the answer format.

    Args:
        prompt: the prompt of the reply; the last part of its first message is the answer format.
        reply: the model's text, of which the last `LONGEST_REPLY` characters are quoted.
        fault: a sentence for the model, e.g. `ParsedReply.fault`.
    """
    quoted = reply[-LONGEST_REPLY:].strip() or "(no answer)"
    answer_format = prompt.messages[0].parts[-1]
    return prompt.followed_by(
        Message("assistant", (quoted,)),
        Message("user", (f"{fault} {answer_format}",)),
    )
