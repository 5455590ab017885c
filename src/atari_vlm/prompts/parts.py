"""The parts of a prompt: pure functions that return text, or text and frames.

Parts that stay the same over an episode (rules, advice, actions, answer format) come first, because
providers cache the beginning of a prompt. Parts that change (screens, score, history) come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atari_vlm.atari.games import Fire, Game
from atari_vlm.types import Example, Frame, Observation, Step

LONGEST_MEMORY = 400
"""Characters of an earlier decision's memory that are shown."""

_FIRE_HINTS: dict[Fire, str] = {
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
    """The rules of the game, and when it waits for FIRE if FIRE is a legal action."""
    fire = _FIRE_HINTS.get(game.fire, "") if "FIRE" in legal else ""
    return f"Rules: {game.rules} {fire}".rstrip()


def advice(game: Game) -> str:
    """Strategy, risks and patterns of the game; general advice if the catalogue has none."""
    if game.hints is None:
        return _GENERIC
    sections = (
        ("Strategy", game.hints.strategy),
        ("Risks", game.hints.risks),
        ("Patterns", game.hints.patterns),
    )
    return "\n".join(bullets(title, lines) for title, lines in sections)


def actions(legal: Sequence[str]) -> str:
    """The legal actions with their indices."""
    return "Actions: " + ", ".join(f"{number} {name}" for number, name in enumerate(legal))


def meanings(game: Game, legal: Sequence[str], mode: int | None) -> str:
    """What the legal actions do in this game; empty if it is not on record."""
    told = game.meanings(legal, mode)
    names: dict[str, list[str]] = {}
    for name, done in told.items():
        names.setdefault(done, []).append(name)
    each = [f"{', '.join(alike)}: {done}" for done, alike in names.items()]
    if told and set(legal) - {"NOOP", *told}:
        each.append(f"joint names: {game.joint}")
    return f"What they do: {'; '.join(each)}." if each else ""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """The form of the answer that a prompt asks for."""

    interval: int
    """Emulator frames per decision: the longest plan."""
    plans: bool
    """Whether the answer contains the number of frames to hold an action."""
    chunk_size: int = 1
    """Decisions that one answer plans."""


def timing(form: AnswerFormat) -> str:
    """How often the model decides, and how its answer is played in between."""
    interval, chunk_size = form.interval, form.chunk_size
    unit = "frame" if interval == 1 else f"{interval} frames"
    often = f"You decide every {unit} ({interval / 60:.2g} s)"
    if chunk_size == 1 and form.plans:
        return f"{often}: name an action and how many of these to hold it before letting go."
    if chunk_size == 1:
        return f"{often}; your action is held until you decide again."
    each = "an action and how many of its frames to hold it" if form.plans else "an action"
    return (
        f"You decide every {unit}, and plan {chunk_size} decisions at a time "
        f"({chunk_size * interval / 60:.2g} s): for each, name {each}. You are asked again when "
        "they are played, or when a life is lost."
    )


def answer_line(form: AnswerFormat) -> str:
    """The request for an answer of one line."""
    held = " x<frames>" if form.plans else ""
    if form.chunk_size > 1:
        limits = f", each with 1 to {form.interval} frames" if form.plans else ""
        return (
            f"Answer with one line only: ACTIONS: <name>{held}, <name>{held}, ... "
            f"({form.chunk_size} in all, in order{limits})."
        )
    if form.plans:
        return f"Answer with one line only: ACTION: <name>{held}, with 1 to {form.interval} frames."
    return "Answer with the number or the name of one action only."


def answer_json(form: AnswerFormat) -> str:
    """The request for one JSON object with its reasoning before its action."""
    frames = f', "frames": <1 to {form.interval}>' if form.plans else ""
    plan = f'"action": "<name>"{frames}'
    if form.chunk_size > 1:
        plan = f'"actions": [{{{plan}}}, ... {form.chunk_size} in all, in order]'
    return f'Answer with one JSON object only: {{"reasoning": "<at most 50 words>", {plan}}}'


def examples(shown: Sequence[Example]) -> list[str | Frame]:
    """Numbered examples of past play, each as text and its frames."""
    parts: list[str | Frame] = []
    for number, example in enumerate(shown, 1):
        parts.append(f"Example {number}: {example.text}")
        parts += example.frames
    return parts


def bullets(title: str, lines: Sequence[str]) -> str:
    """A title and a list of lines; empty if there are no lines."""
    return "\n- ".join((f"{title}:", *lines)) if lines else ""


def screens(observation: Observation, limit: int) -> list[str | Frame]:
    """The newest `limit` screens, oldest first, each after a label with its age.

    The stack repeats the first frame at the start of an episode. Repeats are left out: they would
    cost tokens and suggest that nothing moved.
    """
    distinct = {(frame.episode, frame.step): frame for frame in observation.frames}
    parts: list[str | Frame] = []
    for frame in list(distinct.values())[-limit:]:
        age = (observation.step - frame.step) * observation.interval
        parts += [f"Screen {age} frames ago:" if age else "Screen now:", frame]
    return parts


def status(observation: Observation) -> str:
    """The score so far, and the lives left in games that count them."""
    lives = f" Lives: {observation.lives}." if observation.lives else ""
    return f"Score: {observation.score:g}.{lives}"


def recent_actions(
    observation: Observation, history: Sequence[Step], limit: int, plans: bool
) -> str:
    """The last `limit` actions with the reward of each; empty before the first action."""
    shown = history[max(0, len(history) - limit) :]
    if not shown:
        return ""
    lives = [step.observation.lives for step in shown[1:]] + [observation.lives]
    described = (_describe(step, after, plans) for step, after in zip(shown, lives, strict=True))
    held = ", x frames held" if plans else ""
    return f"Recent actions (oldest first{held}, points earned): {', '.join(described)}"


def _describe(step: Step, lives_after: int, plans: bool) -> str:
    decision = step.decision
    held = f" x{decision.frames}" if plans else ""
    outcome = f"{step.reward:+g}"
    if lives_after < step.observation.lives:
        outcome += ", life lost"
    if decision.source == "fallback":
        outcome += ", answer not understood"
    return f"{decision.action}{held} ({outcome})"


def last_memory(history: Sequence[Step]) -> str:
    """The memory that the last decision left, cut to `LONGEST_MEMORY` characters."""
    memory = " ".join(history[-1].decision.memory.split()) if history else ""
    if len(memory) > LONGEST_MEMORY:
        memory = memory[: LONGEST_MEMORY - 1] + "…"
    return f"Your note to yourself: {memory}" if memory else ""


def nudge(observation: Observation, history: Sequence[Step], after: int | None) -> str:
    """A sentence for a player that is stuck; empty for one that is not.

    Args:
        observation: of this decision.
        history: the steps so far.
        after: decisions with the same action, or the same screen, that count as stuck; None for
            never.
    """
    if after is None or max(observation.repeats, observation.still) < after:
        return ""
    if observation.repeats < after:
        return f"The screen has not changed for {observation.still} decisions; try something else."
    played = f"You have played {history[-1].decision.action} {observation.repeats} times in a row"
    if observation.still < after:  # which may be right, as UP is in Freeway
        return f"{played}; if that earns nothing, try something else."
    return f"{played} and the screen has not changed; try something else."
