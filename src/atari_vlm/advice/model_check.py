"""One cheap call that says what works: the key, the server, sight, answers, tokens and price.

The question can only be answered from the picture: a number and an arrow, drawn anew from a seed,
neither of which is in the words. A model that is blind, or a server that drops pictures, guesses
one number in nine thousand.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator, default_rng

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.players import Options, model_for
from atari_vlm.prompts.parts import actions
from atari_vlm.protocols import Model
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Message, Pixels, Prompt, Reply

State = Literal["works", "fails", "unknown"]

LEGAL = ("NOOP", "UP", "RIGHT", "LEFT", "DOWN")
"""What may be answered where no game is named."""

_ARROWS = {"UP": 0, "LEFT": 1, "DOWN": 2, "RIGHT": 3}
"""Action -> quarter turns of an arrow that points up."""

_DIGITS = (
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
)
"""The digits 0 to 9 as 3 x 5 dots, row by row."""

_DOT, _WHITE, _YELLOW = 8, 14, 28
"""Pixels of a dot; palette indices."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    words: str
    needed: bool = False
    """Whether a model can play without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one call found out about a model."""

    model: str
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether everything works that playing needs."""
        return all(found.state == "works" for found in self.findings if found.needed)


@dataclass(frozen=True, slots=True)
class _Question:
    prompt: Prompt
    number: str
    arrow: str


def check_model(
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    options: Options | None = None,
    game: str | None = None,
    seed: int | None = None,
) -> Checked:
    """Ask a model one question, or a second one where it takes no schema.

    Args:
        name: as `build_model` takes it.
        api_key: None takes it from the vendor's environment variable.
        base_url: an OpenAI-compatible server that has the model.
        options: how it is asked or held, in place of the two before.
        game: whose actions the answer may name; None for the four directions and NOOP.
        seed: of the picture; None for another one every time.

    Raises:
        UnknownName, MissingExtra: there is nothing to ask.
        InvalidSetting: the model reads nothing but its own games.
    """
    legal = Emulator(get_game(game)).legal if game else LEGAL
    question = _question(legal, default_rng(seed))
    try:
        options = options or Options(api_key=api_key, base_url=base_url)
        model = model_for(name, options)
    except ModelUnusable as error:
        return Checked(model=name, findings=(Finding("set-up", "fails", str(error), True),))
    if model.prompt_type == "embedded":
        raise InvalidSetting(
            f"{name} reads the screens of its games and nothing else. That it looks is shown by "
            f"`atari-vlm bench --models {name},{name}+blank`."
        )
    return Checked(model=name, findings=tuple(asyncio.run(_ask(model, question))))


async def _ask(model: Model, question: _Question) -> list[Finding]:
    """The findings, in the order in which things can fail."""
    refused = ""
    try:
        try:
            reply = await model.answer(question.prompt, seed=0)
        except ModelUnusable as error:
            if error.what:
                raise
            # A server that takes no schema rejects the whole request: ask in words alone.
            refused = str(error)
            reply = await model.answer(_unstructured(question.prompt), seed=1)
    except (ModelUnusable, ModelFault) as error:
        return _unanswered(error)
    finally:
        await model.close()
    asked = getattr(getattr(model, "settings", None), "model_id", model.name)
    return _answered(reply, question, refused, asked)


def _unanswered(error: ModelUnusable | ModelFault) -> list[Finding]:
    what = error.what if isinstance(error, ModelUnusable) else error.kind
    reached: State = "works" if what in ("key", "model", "quota", "rate limit") else "unknown"
    key: State = "works" if what in ("model", "rate limit") else "unknown"
    rows = {
        "server": Finding("server", reached, "it was reached" if reached == "works" else "", True),
        "key": Finding("key", key, "it was accepted" if key == "works" else "", True),
    }
    rows[what or "answer"] = Finding(what or "answer", "fails", str(error), True)
    return list(rows.values())


def _served(said: str, asked: str) -> str:
    """The name the server gives, and the one it was asked for where they differ."""
    if not said:
        return "the server does not say which answered"
    return said if said == asked else f"{said}, where {asked} was asked for"


def _answered(reply: Reply, question: _Question, refused: str, asked: str) -> list[Finding]:
    legal, usage = question.prompt.legal, reply.usage
    parsed = parse_plan(reply.text, legal, question.prompt.longest)
    sees = question.number in re.findall(r"\d+", re.sub(r"(?<=\d)[ ,.](?=\d)", "", reply.text))
    quoted = " ".join(reply.text.split())[:120] or "(no words)"
    tokens = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
    counted = bool(usage.input_tokens)
    priced = usage.dollars is not None
    return [
        Finding("server", "works", "it was reached", True),
        Finding("key", "works", "it was accepted, or none is needed", True),
        Finding("model", "works", _served(reply.model, asked)),
        Finding(
            "sight",
            "works" if sees else "fails",
            f"the picture shows {question.number}; it answered: {quoted}",
            True,
        ),
        Finding(
            "legal answer",
            "works" if parsed.plan else "fails",
            f"{parsed.plan.action}, where the arrow points {question.arrow}"
            if parsed.plan
            else parsed.fault,
            True,
        ),
        _structure(reply, question, refused),
        Finding("latency", "works", f"{usage.seconds:.2f} s"),
        Finding(
            "tokens",
            "works" if counted else "unknown",
            tokens if counted else "the server does not count them",
        ),
        Finding(
            "price",
            "works" if priced else "unknown",
            f"${usage.dollars:.6f} for this call" if priced else "unknown, which is not free",
        ),
    ]


def _structure(reply: Reply, question: _Question, refused: str) -> Finding:
    """Whether the answer is the JSON that was asked for; cot and expert prompts ask for it."""
    if refused:
        words = f"{refused} Play with --prompt basic, which asks for no schema."
        return Finding("structured answer", "fails", words)
    try:
        answer = json.loads(reply.text)
    except ValueError:
        answer = None
    follows = isinstance(answer, dict) and list(answer) == ["reasoning", "action"]
    if follows and answer["action"] in question.prompt.legal:
        return Finding("structured answer", "works", "the schema was followed to the letter")
    words = "the answer does not follow the schema, which this server ignores; it is read anyway"
    return Finding("structured answer", "fails", words)


# --- the question --------------------------------------------------------------------------------


def _question(legal: Sequence[str], rng: Generator) -> _Question:
    number = str(rng.integers(1000, 10_000))
    arrow = str(rng.choice([name for name in _ARROWS if name in legal] or ["UP"]))
    ask = (
        "Read the number, then choose the action that names the direction of the arrow. Answer "
        'with one JSON object only: {"reasoning": "<the number>", "action": "<name>"}'
    )
    words = f"The picture shows a number of four digits, and an arrow below it. {actions(legal)}"
    prompt = Prompt(
        messages=(Message("user", (words, Frame(draw(number, arrow)), ask)),),
        legal=tuple(legal),
        longest=1,
        plans=False,
        json=True,
    )
    return _Question(prompt, number, arrow)


def _unstructured(prompt: Prompt) -> Prompt:
    return Prompt(messages=prompt.messages, legal=prompt.legal, longest=1, plans=False)


def draw(number: str, arrow: str) -> Pixels:
    """A screen with a number in white dots and, below it, a yellow arrow.

    Args:
        number: of four digits.
        arrow: "UP", "LEFT", "DOWN" or "RIGHT".
    """
    screen = np.zeros((210, 160), np.uint8)
    for place, digit in enumerate(number):
        dots = np.array([int(dot) for dot in _DIGITS[int(digit)]], np.uint8).reshape(5, 3)
        left = 20 + 32 * place
        screen[30 : 30 + 5 * _DOT, left : left + 3 * _DOT] = np.kron(
            dots * _WHITE, np.ones((_DOT, _DOT), np.uint8)
        )
    rows, columns = np.mgrid[0:80, 0:80]
    head = (rows < 40) & (abs(columns - 40) <= rows)
    shaft = (rows >= 40) & (abs(columns - 40) <= 12)
    pointing = np.rot90((head | shaft).astype(np.uint8) * _YELLOW, _ARROWS[arrow])
    screen[105:185, 40:120] = pointing
    return screen
