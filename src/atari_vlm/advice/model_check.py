"""Check a model with one cheap call: server, key, vision, answer format, tokens and price.

The prompt asks for a random number and the direction of an arrow, which are in the picture only. A
model that does not see the picture guesses the number right once in 9,000 tries.
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
from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelFault, ModelUnusable, setting
from atari_vlm.players import Options, model_for
from atari_vlm.prompts.parts import actions
from atari_vlm.protocols import Model
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Message, Pixels, Prompt, Reply

State = Literal["works", "fails", "unknown"]

LEGAL = ("NOOP", "UP", "RIGHT", "LEFT", "DOWN")
"""The actions of an answer if no game is given."""

_ARROWS = {"UP": 0, "LEFT": 1, "DOWN": 2, "RIGHT": 3}
"""Action -> quarter turns, counter-clockwise, of an arrow that points up."""

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
"""Pixels of a dot; palette indices of two colours."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one aspect of a model."""

    aspect: str
    """E.g. "server", "key", "vision"."""
    state: State
    message: str
    """An explanation, with settings marked as by `errors.setting`."""
    required: bool = False
    """Whether a model must pass to play."""

    @property
    def text(self) -> str:
        """The explanation, with settings as Python arguments."""
        return str(AtariVLMError(self.message))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """The findings about a model."""

    model: str
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether the model can play: every required finding is "works"."""
        return all(finding.state == "works" for finding in self.findings if finding.required)


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
) -> ModelCheck:
    """Call a model once, or a second time if its server rejects a JSON schema.

    Args:
        name: as for `build_model`.
        api_key: None takes it from the vendor's environment variable.
        base_url: an OpenAI-compatible server that serves the model.
        options: of the model; replaces `api_key` and `base_url`.
        game: the answer may use its actions; None for four directions and NOOP.
        seed: of the picture; None for a new one every time.

    Raises:
        UnknownName: there is no such model or game.
        MissingExtra: a package that the model needs is not installed.
        InvalidSetting: an embedded model, which only plays its own games; or an option that the
            model does not support.
    """
    legal = Emulator(get_game(game)).legal if game else LEGAL
    options = options or Options(api_key=api_key, base_url=base_url)
    question = _question(legal, default_rng(seed), video=bool(options.video))
    try:
        model = model_for(name, options)
    except ModelUnusable as error:
        return ModelCheck(model=name, findings=(Finding("set-up", "fails", error.message, True),))
    if model.prompt_type == "embedded":
        raise InvalidSetting(
            f"{name} was trained on the screens of its games only and cannot answer the check. To "
            f"see that it uses the screen: `atari-vlm bench --models {name},{name}+blank`."
        )
    return ModelCheck(model=name, findings=tuple(asyncio.run(_findings(model, question))))


async def _findings(model: Model, question: _Question) -> list[Finding]:
    """The findings, in the order in which things can fail."""
    rejected = ""
    try:
        try:
            reply = await model.answer(question.prompt, seed=0)
        except ModelUnusable as error:
            if error.what not in ("", "request"):
                raise
            # A server without support for schemas rejects the request: ask without one.
            rejected = error.message
            reply = await model.answer(_without_schema(question.prompt), seed=1)
    except (ModelUnusable, ModelFault) as error:
        return _without_answer(error)
    finally:
        await model.close()
    requested = getattr(getattr(model, "settings", None), "model_id", model.name)
    return _with_answer(reply, question, rejected, requested)


def _without_answer(error: ModelUnusable | ModelFault) -> list[Finding]:
    failed = error.what if isinstance(error, ModelUnusable) else error.kind
    failed = "" if failed == "request" else failed
    reached: State = "works" if failed in ("key", "model", "quota", "rate limit") else "unknown"
    key: State = "works" if failed in ("model", "rate limit") else "unknown"
    rows = {
        "server": Finding("server", reached, "it was reached" if reached == "works" else "", True),
        "key": Finding("key", key, "it was accepted" if key == "works" else "", True),
    }
    rows[failed or "answer"] = Finding(failed or "answer", "fails", error.message, True)
    return list(rows.values())


def _names(answered: str, requested: str) -> str:
    """The name of the model that answered, and the one requested if they differ."""
    if not answered:
        return "the server does not name the model that answered"
    return answered if answered == requested else f"{answered}, where {requested} was requested"


def _with_answer(reply: Reply, question: _Question, rejected: str, requested: str) -> list[Finding]:
    legal, usage = question.prompt.legal, reply.usage
    parsed = parse_plan(reply.text, legal, question.prompt.longest)
    sees = question.number in re.findall(r"\d+", re.sub(r"(?<=\d)[ ,.](?=\d)", "", reply.text))
    quoted = " ".join(reply.text.split())[:120] or "(nothing)"
    tokens = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
    counted = bool(usage.input_tokens)
    price_known = usage.dollars is not None
    return [
        Finding("server", "works", "it was reached, or none is needed", True),
        Finding("key", "works", "it was accepted, or none is needed", True),
        Finding("model", "works", _names(reply.model, requested)),
        Finding(
            "vision",
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
        _structured_answer(reply, question, rejected),
        Finding("latency", "works", f"{usage.seconds:.2f} s"),
        Finding(
            "tokens",
            "works" if counted else "unknown",
            tokens if counted else "the server does not count them",
        ),
        Finding(
            "price",
            "works" if price_known else "unknown",
            f"${usage.dollars:.6f} for this call"
            if price_known
            else "unknown, which does not mean free",
        ),
    ]


def _structured_answer(reply: Reply, question: _Question, rejected: str) -> Finding:
    """Whether the answer is JSON of the schema, as the prompts cot and expert need it."""
    if rejected:
        basic = setting("prompt_type", "basic")
        message = f"{rejected} Play with {basic}, which uses no schema."
        return Finding("structured answer", "fails", message)
    try:
        answer = json.loads(reply.text)
    except ValueError:
        answer = None
    follows = isinstance(answer, dict) and list(answer) == ["reasoning", "action"]
    if follows and answer["action"] in question.prompt.legal:
        return Finding("structured answer", "works", "the answer follows the schema")
    message = "the schema is ignored by the model or its server; the answer is read anyway"
    return Finding("structured answer", "fails", message)


# --- the question --------------------------------------------------------------------------------


def _question(legal: Sequence[str], rng: Generator, *, video: bool = False) -> _Question:
    """A question about a picture, or about the second frame of a video, whose first is blank."""
    number = str(rng.integers(1000, 10_000))
    arrow = str(rng.choice([name for name in _ARROWS if name in legal] or ["UP"]))
    ask = (
        "Read the number, then choose the action that names the direction of the arrow. Answer "
        'with one JSON object only: {"reasoning": "<the number>", "action": "<name>"}'
    )
    screen = Frame(draw(number, arrow), step=1)
    shown = (Frame(np.zeros_like(screen.pixels)), screen) if video else (screen,)
    what = "The end of the video" if video else "The picture"
    text = f"{what} shows a number of four digits, and an arrow below it. {actions(legal)}"
    prompt = Prompt(
        messages=(Message("user", (text, *shown, ask)),),
        legal=tuple(legal),
        longest=1,
        plans=False,
        json=True,
    )
    return _Question(prompt, number, arrow)


def _without_schema(prompt: Prompt) -> Prompt:
    return Prompt(messages=prompt.messages, legal=prompt.legal, longest=1, plans=False)


def draw(number: str, arrow: str) -> Pixels:
    """A screen, shape (210, 160), with a number in white and a yellow arrow below it.

    Args:
        number: four digits.
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
