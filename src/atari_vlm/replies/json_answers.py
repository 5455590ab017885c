"""JSON answers in a reply: {"reasoning": "...", "action": "LEFT", "frames": 3}."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.reply_grammar import ENDS, ParsedPlan, ReplyGrammar, UnclearReply, quoted
from atari_vlm.types import Plan

_ACTION_KEYS = ("action", "next_action", "final_action", "answer", "decision", "move", "name")
_FRAMES_KEYS = ("frames", "duration", "num_frames", "hold")
_FLAT = re.compile(r"\{[^{}]*\}")
UNFINISHED_JSON = re.compile(r"\{\s{0,20}[\"']")
_PAIR = re.compile(
    r"""[{,]\s{0,20}["']?([A-Za-z_]{1,20})["']?\s{0,4}[:=]\s{0,4}["']?([^"',{}\n]{0,40})["']?"""
    r"\s{0,20}(?=[,}])"
)


_LIST_KEYS = ("actions", "plans", "moves", "plan", "sequence")


@dataclass(frozen=True, slots=True)
class JSONAnswer:
    """A JSON object of a reply."""

    start: int
    """Index of its first character in the reply; `end` is one past its last."""
    end: int
    action: Any = None
    """Value of its "action", of any type; None if it has none."""
    frames: Any = None
    actions: Any = None
    """Value of its "actions", a list of several answers if the model followed the format."""


def find_json(text: str) -> Iterator[JSONAnswer]:
    """Find the outermost complete JSON objects, and flat objects that are almost JSON."""
    decode = json.JSONDecoder(strict=False, object_pairs_hook=_unique).raw_decode
    at, failures = text.find("{"), 0
    while at >= 0:
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError):
            failures += 1
            flat = _FLAT.match(text, at)
            value, end = _pairs(flat[0]) if flat else {}, flat.end() if flat else at + 1
        if failures > 500:
            raise UnclearReply("The reply holds too many braces to be read.")
        if value:
            yield _json_answer(at, end, value)
        at = text.find("{", end)


def _json_answer(start: int, end: int, value: dict[str, Any]) -> JSONAnswer:
    action, frames = _first(value, _ACTION_KEYS), _first(value, _FRAMES_KEYS)
    if isinstance(action, dict):  # {"action": {"name": "LEFT", "frames": 3}}
        frames = _first(action, _FRAMES_KEYS) if frames is None else frames
        action = _first(action, _ACTION_KEYS)
    return JSONAnswer(start, end, action, frames, _first(value, _LIST_KEYS))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary with lower-case keys. Raises UnclearReply for two values."""
    value: dict[str, Any] = {}
    for key, item in pairs:
        key = key.lower()
        if key in value and value[key] != item:
            raise UnclearReply(f"The JSON of the reply gives {quoted(key)} twice.")
        value[key] = item
    return value


def _pairs(flat: str) -> dict[str, Any]:
    """The pairs of an object that is almost JSON: {'action': 'LEFT', frames: 3,}."""
    pairs = _unique(_PAIR.findall(flat))
    return pairs if not pairs.keys().isdisjoint(_ACTION_KEYS) else {}


def _first(value: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)


def blank_json(text: str, objects: Sequence[JSONAnswer]) -> str:
    """The text with spaces in place of the objects."""
    parts, at = [], 0
    for value in objects:
        parts += [text[at : value.start], " " * (value.end - value.start)]
        at = value.end
    return "".join(parts) + text[at:]


def answer_from_dict(value: dict[str, Any]) -> JSONAnswer:
    """The answer of a decoded JSON object."""
    return _json_answer(0, 0, value)


def plan_from_json(grammar: ReplyGrammar, value: JSONAnswer) -> ParsedPlan:
    """The plan of a JSON object. Raises UnclearReply if it is not legal."""
    timed = False
    if isinstance(value.action, str):
        answer = grammar.match(value.action)
        if answer is None or not ENDS.match(value.action, answer.end()):
            raise grammar.refusal(value.action)
        timed = answer["n"] is not None
        parsed = grammar.plan(answer)
    else:
        number = value.action
        if isinstance(number, bool) or not isinstance(number, int | float) or number % 1 != 0:
            raise UnclearReply('The "action" of the JSON must be the name or number of an action.')
        parsed = ParsedPlan(Plan(grammar.numbered(int(number)), grammar.longest))
    if value.frames is None:
        return parsed
    frames, note = grammar.frames(value.frames)
    if timed and frames != parsed.plan.frames:
        raise UnclearReply("The reply gives two different numbers of frames.")
    return ParsedPlan(Plan(parsed.plan.action, frames), note)
