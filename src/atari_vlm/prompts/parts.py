"""The parts prompts are built from: each a pure function from values to a few words or frames.

Static parts (rules, advice, actions, answer format) stay the same over an episode and come first,
where providers cache them; what changes (screens, score, history) comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atari_vlm.atari.games import Fire, Game
from atari_vlm.types import Example, Frame, Observation, Step

LONGEST_NOTE = 400
"""Characters of an earlier note that are shown; notes are a model's own words, of any length."""

_FIRE: dict[Fire, str] = {
    "starts the game": "The first screen waits for FIRE.",
    "starts each life": "Play waits for FIRE at the start and after each loss.",
    "makes each move": "Nothing happens until FIRE makes the move.",
}
_GENERIC = """No advice is on record for this game: work it out from the rules and the screen.
Strategy:
- Find what you control, what scores and what can hurt it; compare the screens to see what moves.
- When an action changes the score, do more of it; when nothing changes for long, try another.
Risks:
- Before each action, ask what could reach you before your next decision, and stay clear of that.
- A life is usually worth more than the points in reach.
Patterns:
- Most objects keep their speed and path until they meet something: act on where they will be.
- What happened once at a place tends to happen there again."""


def rules(game: Game, legal: Sequence[str]) -> str:
    """What is controlled, what scores, what ends the game, and whether it waits for FIRE."""
    fire = _FIRE.get(game.fire, "") if "FIRE" in legal else ""
    return f"Rules: {game.rules} {fire}".rstrip()


def advice(game: Game) -> str:
    """Strategy, risks and patterns of the game; a general version where none are on record."""
    if game.hints is None:
        return _GENERIC
    sections = (
        ("Strategy", game.hints.strategy),
        ("Risks", game.hints.risks),
        ("Patterns", game.hints.patterns),
    )
    return "\n".join(bullets(title, lines) for title, lines in sections)


def actions(legal: Sequence[str]) -> str:
    """The legal actions with their numbers."""
    return "Actions: " + ", ".join(f"{number} {name}" for number, name in enumerate(legal))


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is to hold."""

    interval: int
    """Emulator frames from one decision to the next: the longest plan."""
    plans: bool
    """Whether it says how long to hold an action."""
    chunk_size: int = 1
    """How many decisions it plans."""


def timing(asked: Asked) -> str:
    """How often a decision is made and what becomes of the action until the next."""
    interval, chunk_size = asked.interval, asked.chunk_size
    unit = "frame" if interval == 1 else f"{interval} frames"
    often = f"You decide every {unit} ({interval / 60:.2g} s)"
    if chunk_size == 1 and asked.plans:
        return f"{often}: name an action and how many of these to hold it before letting go."
    if chunk_size == 1:
        return f"{often}; your action is held until you decide again."
    each = "an action and how many of its frames to hold it" if asked.plans else "an action"
    return (
        f"You decide every {unit}, and plan {chunk_size} decisions at a time "
        f"({chunk_size * interval / 60:.2g} s): for each, name {each}. You are asked again when "
        "they are played, or when a life is lost."
    )


def answer_line(asked: Asked) -> str:
    """Asks for an answer of one line."""
    held = " x<frames>" if asked.plans else ""
    if asked.chunk_size > 1:
        limits = f", each with 1 to {asked.interval} frames" if asked.plans else ""
        return (
            f"Answer with one line only: ACTIONS: <name>{held}, <name>{held}, ... "
            f"({asked.chunk_size} in all, in order{limits})."
        )
    if asked.plans:
        return (
            f"Answer with one line only: ACTION: <name>{held}, with 1 to {asked.interval} frames."
        )
    return "Answer with the number or the name of one action only."


def answer_json(asked: Asked) -> str:
    """Asks for one JSON object in which the reasoning comes before the action."""
    frames = f', "frames": <1 to {asked.interval}>' if asked.plans else ""
    plan = f'"action": "<name>"{frames}'
    if asked.chunk_size > 1:
        plan = f'"actions": [{{{plan}}}, ... {asked.chunk_size} in all, in order]'
    return f'Answer with one JSON object only: {{"reasoning": "<at most 50 words>", {plan}}}'


def examples(shown: Sequence[Example]) -> list[str | Frame]:
    """Moments of past play, each in words and, where there is one, its screen."""
    parts: list[str | Frame] = []
    for number, example in enumerate(shown, 1):
        parts.append(f"Example {number}: {example.text}")
        if example.frame is not None:
            parts.append(example.frame)
    return parts


def bullets(title: str, lines: Sequence[str]) -> str:
    """A title and its points; empty without points."""
    return "\n- ".join((f"{title}:", *lines)) if lines else ""


def screens(observation: Observation, most: int) -> list[str | Frame]:
    """The newest screens, oldest first, each after a label that says how old it is.

    At the start of an episode the stack repeats its first frame; repeats are left out, as they
    would cost tokens and show a standstill that never was.
    """
    distinct = {(frame.episode, frame.step): frame for frame in observation.frames}
    parts: list[str | Frame] = []
    for frame in list(distinct.values())[-most:]:
        age = (observation.step - frame.step) * observation.interval
        parts += [f"Screen {age} frames ago:" if age else "Screen now:", frame]
    return parts


def status(observation: Observation) -> str:
    """The score so far and, in games that count them, the lives left."""
    lives = f" Lives: {observation.lives}." if observation.lives else ""
    return f"Score: {observation.score:g}.{lives}"


def recent(observation: Observation, history: Sequence[Step], most: int, plans: bool) -> str:
    """The last actions with what each of them earned; empty before the first."""
    shown = history[max(0, len(history) - most) :]
    if not shown:
        return ""
    lives = [step.observation.lives for step in shown[1:]] + [observation.lives]
    told = (_told(step, after, plans) for step, after in zip(shown, lives, strict=True))
    held = ", x frames held" if plans else ""
    return f"Recent actions (oldest first{held}, points earned): {', '.join(told)}"


def _told(step: Step, lives_after: int, plans: bool) -> str:
    decision = step.decision
    held = f" x{decision.frames}" if plans else ""
    outcome = f"{step.reward:+g}"
    if lives_after < step.observation.lives:
        outcome += ", life lost"
    if decision.source == "fallback":
        outcome += ", answer not understood"
    return f"{decision.action}{held} ({outcome})"


def last_note(history: Sequence[Step]) -> str:
    """What the last decision left to be remembered, cut to `LONGEST_NOTE` characters."""
    note = " ".join(history[-1].decision.note.split()) if history else ""
    if len(note) > LONGEST_NOTE:
        note = note[: LONGEST_NOTE - 1] + "…"
    return f"Your note to yourself: {note}" if note else ""
