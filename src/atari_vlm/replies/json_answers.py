"""JSON answers in a reply: {"reasoning": "...", "action": "LEFT", "frames": 3}."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from atari_vlm.replies.answer_marks import is_of_another, objection_in
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import (
    CHORD,
    ParsedPlan,
    Refused,
    ReplyGrammar,
    UnclearReply,
    quoted,
)
from atari_vlm.replies.tolerant_json import Unreadable, read_object
from atari_vlm.replies.words import refusal_in
from atari_vlm.types import Plan

_ACTION_KEYS = (
    *("action", "next_action", "final_action", "chosen_action", "selected_action", "best_action"),
    *("action_name", "action_id", "action_index", "action_number", "answer", "final_answer"),
    *("decision", "decide", "move", "choice", "button", "command"),
    *("my_action", "player_action", "recommended_action", "optimal_action", "action_to_take"),
    *("my_move", "next_move", "best_move", "final_decision", "final_action_name"),
)
_FRAMES_KEYS = (
    "frames",
    "duration",
    "num_frames",
    "hold",
    "hold_frames",
    "frame_count",
    "n_frames",
)
_LIST_KEYS = ("actions", "plans", "moves", "plan", "sequence")
_TEXT_KEYS = ("text", "output_text", "generated_text", "completion", "reply", "body")
"""Keys whose value is text, which is an answer only if it holds nothing else."""
_WRAPPERS = (
    *("arguments", "args", "parameters", "params", "input", "function", "function_call"),
    *(
        "tool_call",
        "tool_calls",
        "response",
        "result",
        "output",
        "data",
        "json",
        "message",
        "content",
    ),
    *_TEXT_KEYS,
    *(
        "delta",
        "payload",
        "choices",
        "candidates",
        "messages",
        "parts",
        "completions",
        "generations",
        "outputs",
    ),
    *(
        "functioncall",
        "functioncalls",
        "function_calls",
        "toolcall",
        "toolcalls",
        "tooluse",
        "tool_use",
        "calls",
        "call",
    ),
)
"""Keys whose value may hold the answer; thoughts, states and schemas are none of them."""
_OWN_KEYS = (
    *("player", "me", "self", "agent", "assistant", "ai", "model", "you", "my_turn", "player_1"),
    *("paddle", "ship", "submarine", "sub", "cannon", "car", "frog", "chicken", "tank", "hero"),
    *(
        "my_paddle",
        "my_ship",
        "pacman",
        "ms_pacman",
        "ms_pac_man",
        "my_car",
        "my_submarine",
        "character",
        "controller",
        "joystick",
        "control",
        "final",
        "now",
    ),
    *("step", "turn", "game", "current", "tool_input", "action_input", "action_parameters"),
)
"""Keys of what the model controls, whose value may hold the answer too."""
_NAMING = frozenset(_ACTION_KEYS)
_PLAIN = frozenset({"reasoning", "action", "frames"})
_HOLDERS = frozenset((*_ACTION_KEYS, *_WRAPPERS, *_OWN_KEYS))
_INNER_KEYS = ("name", "type", "value", "id", "index", "number")
"""Keys of an action that is an object itself: {"action": {"name": "LEFT"}}."""
_SHORT_ANSWER = pattern(rf"\W{{0,6}}(?:\w{{1,12}}[ ]?[:=][ *]{{0,4}})?{CHORD}[^\n]{{0,40}}", re.I)
UNFINISHED_JSON = pattern(r"\{\s{0,20}(?:[\"']|\w{1,20}\s{0,4}:)")
_MOST_FAILURES = 200
_DEEPEST = 4


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
    others: tuple[Any, ...] = ()
    """Values of other keys that may name an action too; those that do must name the same."""
    objection: str = ""
    """Key by which its action is not to be played, such as "cancelled"; empty if there is none."""


def find_json(text: str) -> list[JSONAnswer]:
    """The outermost complete objects of JSON, or of what is almost JSON.

    Raises:
        UnclearReply: an object has two values for a key, or there are too many braces.
        Refused: the reasoning of an object refuses to play.
    """
    found = list(_objects(text))
    if not any(each.action is not None or each.actions is not None for each in found):
        found = list(_whole(text)) or found
    return found


def _objects(text: str) -> Iterator[JSONAnswer]:
    decode = json.JSONDecoder(strict=False, object_pairs_hook=_unique).raw_decode
    at, failures = text.find("{"), 0
    while at >= 0:
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError):
            value, end = {}, at + 1
            failures += 1
            with suppress(Unreadable):
                value, end = read_object(text, at, _unique)
        if failures > _MOST_FAILURES:
            raise UnclearReply("The reply holds too many braces to be read.")
        if value and isinstance(value, dict):
            yield _json_answer(at, end, value)
        at = text.find("{", end)


def _whole(text: str) -> Iterator[JSONAnswer]:
    r"""The object of a reply without its braces, or with all of its quotation marks escaped."""
    bare = text.strip()
    if re.match(r"\{\s{0,9}(?:\\n)?\s{0,9}\\[\"']", bare):
        plain = bare.replace('\\"', '"').replace("\\'", "'").replace("\\n", "\n")
    elif re.match(r"[\"'][A-Za-z_]{1,20}[\"']\s{0,4}:", bare):
        plain = "{" + bare.rstrip("}") + "}"
    else:
        return
    for value in _objects(plain):
        yield JSONAnswer(0, len(text), value.action, value.frames, value.actions)


def _json_answer(start: int, end: int, value: dict[str, Any]) -> JSONAnswer:
    _check_refusal(value)
    action, frames, actions = _find(value, 0)
    named = [item for key, item in value.items() if key in _NAMING and isinstance(item, (str, int))]
    named += actions if action is not None and isinstance(actions, list) else []
    others = tuple(named) if len(named) > 1 else ()
    return JSONAnswer(start, end, action, frames, actions, others, _objection(value))


def _objection(value: Any, depth: int = 0) -> str:
    """The key by which an object, or one in it that may hold the answer, is not to be played."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return ""
    if _PLAIN.issuperset(value) and not isinstance(value.get("action"), dict):
        return ""
    inner = (item for key, item in value.items() if isinstance(item, dict) and key in _HOLDERS)
    return objection_in(value) or next(filter(None, (_objection(i, depth + 1) for i in inner)), "")


def _check_refusal(value: dict[str, Any]) -> None:
    if isinstance(value.get("refusal"), str) and value["refusal"].strip():
        raise Refused
    for said in value.values():
        if isinstance(said, str) and 0 <= refusal_in(said[:400]) < 60:
            raise Refused


def _find(value: Any, depth: int) -> tuple[Any, Any, Any]:
    """(action, frames, actions) of an object, or of the object that it wraps."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.lstrip()[:1] == "{" and depth < _DEEPEST:
        found = next(_objects(value), None)
        return (found.action, found.frames, found.actions) if found else (None, None, None)
    if not isinstance(value, dict) or depth > _DEEPEST or is_of_another(value):
        return None, None, None
    action, frames = _first(value, _ACTION_KEYS), _frames(value)
    actions = _first(value, _LIST_KEYS)
    if isinstance(action, dict):
        inner, inner_frames, inner_actions = _find(action, depth + 1)
        inner = _first(action, _INNER_KEYS) if inner is None else inner
        actions = inner_actions if actions is None else actions
        action = action if inner is None and actions is None else inner
        frames = inner_frames if frames is None else frames
    if action is not None or actions is not None:
        return action, frames, actions
    for key in (*_WRAPPERS, *_OWN_KEYS):
        said = value.get(key)
        if isinstance(said, str) and said.strip()[:1] not in ("", "{") and key not in _OWN_KEYS:
            if key in _TEXT_KEYS and not _SHORT_ANSWER.fullmatch(said):
                continue
            return said, frames, None  # {"content": "ACTION: LEFT x3"}
        found_inside = _find(value.get(key), depth + 1)
        if found_inside[0] is not None or found_inside[2] is not None:
            return found_inside
    return value.get("name"), frames, None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary with plain lower-case keys. Raises UnclearReply for two values."""
    value: dict[str, Any] = {}
    for key, item in pairs:
        key = re.sub(r"[\s-]{1,9}", "_", key.strip().lower()) if len(key) < 100 else key
        if key in value and value[key] != item:
            raise UnclearReply(f"The JSON of the reply gives {quoted(key)} twice.")
        value[key] = item
    return value


def _frames(value: dict[str, Any]) -> Any:
    """The duration of an object. Raises UnclearReply if it has two."""
    told = [value[key] for key in _FRAMES_KEYS if value.get(key) not in (None, "")]
    if any(other != told[0] for other in told[1:]):
        raise UnclearReply("The JSON of the reply gives two different numbers of frames.")
    return told[0] if told else None


def _first(value: dict[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        if value.get(key) is not None:
            return value[key]
    return None


def blank_json(text: str, objects: Sequence[JSONAnswer]) -> str:
    """The text with spaces in place of the objects."""
    parts, at = [], 0
    for value in objects:
        parts += [text[at : value.start], " " * (value.end - value.start)]
        at = value.end
    return "".join(parts) + text[at:]


def single_item(value: JSONAnswer) -> JSONAnswer:
    """An answer whose list holds one plan, as that plan."""
    items = value.action if isinstance(value.action, list) else value.actions
    if isinstance(value.action, list) or value.action is None:
        if isinstance(items, list) and len(items) == 1:
            item = items[0]
            if isinstance(item, dict):
                action, frames, _ = _find(item, 0)
                objection = value.objection or _objection(item)
                frames = _or(frames, value.frames)
                return replace(value, action=action, frames=frames, objection=objection)
            return replace(value, action=item, actions=None)
        if isinstance(items, list) and len(items) > 1:
            raise UnclearReply("The reply lists several actions; name the one to play now.")
    return value


def _or(one: Any, other: Any) -> Any:
    return other if one is None else one


def answer_from_dict(value: dict[str, Any]) -> JSONAnswer:
    """The answer of a decoded JSON object."""
    return _json_answer(0, 0, value)


def plan_from_json(grammar: ReplyGrammar, value: JSONAnswer) -> ParsedPlan:
    """The plan of a JSON object. Raises UnclearReply if it is not legal."""
    if value.objection:
        raise UnclearReply(
            f"The JSON of the reply has a {quoted(value.objection)} that speaks against its action."
        )
    timed = False
    if isinstance(value.action, str):
        said = value.action.strip(" *`_\n")[:400]
        answer = grammar.only(said, told=True)
        if answer is None:
            raise grammar.illegal(said)
        timed = bool(answer.n)
        parsed = grammar.plan(answer)
    else:
        number = value.action
        if isinstance(number, bool) or not isinstance(number, int | float) or number % 1 != 0:
            raise UnclearReply(
                'The "action" of the JSON must be the name or number of one action: '
                f"{grammar.listed}."
            )
        parsed = ParsedPlan(Plan(grammar.numbered(int(number)), grammar.longest))
    _check_others(grammar, value, parsed.plan.action)
    if value.frames is None:
        return parsed
    frames, note = grammar.frames(value.frames)
    if timed and frames != parsed.plan.frames:
        raise UnclearReply("The reply gives two different numbers of frames.")
    return ParsedPlan(Plan(parsed.plan.action, frames), note)


def _check_others(grammar: ReplyGrammar, value: JSONAnswer, action: str) -> None:
    """Raise UnclearReply if another key of the object names another action."""
    for other in value.others:
        with suppress(UnclearReply):
            named = plan_from_json(grammar, JSONAnswer(0, 0, other)).plan.action
            if named != action:
                break
    else:
        return
    raise UnclearReply(f"The JSON of the reply names {action} and {named}; name one action.")
