"""Prompts, decisions and lessons as JSON for a run's file, and back.

What is read may come from anyone: each value is checked for its type and range, and a ValueError,
TypeError or LookupError is raised for what `*_to_json` cannot have written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args

import numpy as np

from atari_vlm.files.untrusted import json_of, storable
from atari_vlm.runs.rules import MOST_FRAMES, MOST_SIDE
from atari_vlm.types import (
    Call,
    Decision,
    Example,
    Frame,
    Lessons,
    Message,
    Plan,
    Prompt,
    Reply,
    Source,
    Spent,
    Thinking,
)

NO_PIXELS = np.zeros((0, 0), np.uint8)

Place = tuple[int, int]
"""(episode, step) under which a frame can be found again."""

MOST_PROMPT, MOST_FIELDS, MOST_TEXT = 2**20, 2**16, 2**24
"""The longest JSON that is read, in characters: of a prompt, whose texts are stored by themselves,
of the rest of its fields, and of what holds texts (candidates, lessons)."""

_ROLES = frozenset({"system", "user", "assistant"})
_SOURCES = frozenset(get_args(Source))


# --- checking what was read ----------------------------------------------------------------------


def _whole(value: Any, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _other(value, "a whole number")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _other(value, "a text")
    return value


def _list(value: Any, length: int | None = None) -> list[Any]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise _other(value, "a list" if length is None else f"a list of {length}")
    return value


def _other(value: Any, what: str) -> ValueError:
    shown = repr(value) if type(value) in (str, int, float) else f"a {type(value).__name__}"
    return ValueError(f"{shown[:40]} stands where {what} belongs")


def _plan(value: Any) -> Plan:
    action, frames = _list(value, 2)
    return Plan(_text(action), _whole(frames, 1, MOST_FRAMES))


def _place(value: Any) -> Place:
    episode, step = _list(value, 2)
    return _whole(episode), _whole(step)


# --- prompts -------------------------------------------------------------------------------------


def own_place(frame: Frame) -> Place:
    """Where a frame is found that replaying its run draws."""
    return (frame.episode, frame.step)


def prompt_to_json(
    prompt: Prompt, text_id: Callable[[str], int], place: Callable[[Frame], Place] = own_place
) -> str:
    """A prompt with its texts as numbers and its frames as [episode, step]."""
    messages = [
        [
            message.role,
            [
                list(place(part)) if isinstance(part, Frame) else text_id(part)
                for part in message.parts
            ],
        ]
        for message in prompt.messages
    ]
    rest = [list(prompt.legal), prompt.longest, prompt.plans, prompt.image_size, prompt.json]
    if prompt.chunk_size > 1:
        rest.append(prompt.chunk_size)
    return json.dumps([messages, text_id(json.dumps(rest))], separators=(",", ":"))


def prompt_from_json(blob: str, texts: Mapping[int, str]) -> Prompt:
    """The prompt that `prompt_to_json` wrote; its frames have their place and no pixels."""
    messages, rest = _list(json_of(blob, most=MOST_PROMPT), 2)
    return Prompt(
        messages=tuple(_message(message, texts) for message in _list(messages)),
        **_rest(texts[_whole(rest)]),
    )


def _message(value: Any, texts: Mapping[int, str]) -> Message:
    role, parts = _list(value, 2)
    if role not in _ROLES:
        raise _other(role, "a role")
    return Message(
        role,
        tuple(
            Frame(NO_PIXELS, *_place(part)) if type(part) is list else texts[_whole(part)]
            for part in _list(parts)
        ),
    )


@lru_cache(maxsize=64)
def _rest(blob: str) -> dict[str, Any]:
    """The fields of a prompt beside its messages; most prompts of a run have the same."""
    legal, longest, plans, size, structured, *chunk_size = _list(json_of(blob, most=MOST_FIELDS))
    if size is not None:
        size = tuple(_whole(side, 1, MOST_SIDE) for side in _list(size, 2))
    if type(plans) is not bool or type(structured) is not bool or len(chunk_size) > 1:
        raise ValueError("a prompt has other fields")
    return {
        "legal": tuple(_text(action) for action in _list(legal)),
        "longest": _whole(longest, 1, MOST_FRAMES),
        "plans": plans,
        "image_size": size,
        "json": structured,
        "chunk_size": _whole(chunk_size[0], 1, MOST_FRAMES) if chunk_size else 1,
    }


def queue_to_json(queue: Sequence[Plan]) -> str:
    """Plans as [[action, frames], ...]; empty for none."""
    return json.dumps([list(plan) for plan in queue]) if queue else ""


def queue_from_json(blob: str) -> tuple[Plan, ...]:
    """The plans that `queue_to_json` wrote."""
    return tuple(map(_plan, _list(json_of(blob, most=MOST_PROMPT)))) if blob else ()


def thinking_to_json(thinking: Thinking | None) -> str:
    """What thinking longer took as [why, spent, total]; empty for None."""
    if thinking is None:
        return ""
    return json.dumps([storable(thinking.why), list(thinking.spent), list(thinking.total)])


def thinking_from_json(blob: str) -> Thinking | None:
    """What `thinking_to_json` wrote."""
    if not blob:
        return None
    why, spent, total = _list(json_of(blob, most=MOST_FIELDS), 3)
    return Thinking(_text(why), _spent(spent), _spent(total))


def _spent(value: Any) -> Spent:
    calls, tokens, dollars, frames = _list(value, 4)
    if dollars is not None and not (type(dollars) in (int, float) and 0 <= dollars < 1e15):
        raise _other(dollars, "a cost")
    return Spent(_whole(calls, 0), _whole(tokens, 0), dollars, _whole(frames, 0))


def call_from_row(
    seed: int, prompt: str, fault: str, texts: Mapping[int, str], reply: Reply | None
) -> Call:
    """One stored call."""
    return Call(prompt_from_json(prompt, texts), reply or Reply(text=""), seed, fault)


def considered_to_json(
    decisions: Sequence[Decision],
    text_id: Callable[[str], int],
    place: Callable[[Frame], Place] = own_place,
) -> str:
    """The candidates of a decision and theirs; replies are stored under their calls' seeds."""

    def candidate(decision: Decision) -> list[Any]:
        calls = [
            [call.seed, prompt_to_json(call.prompt, text_id, place), call.fault]
            for call in decision.calls
        ]
        return [
            decision.action,
            decision.frames,
            decision.source,
            decision.reason,
            decision.memory,
            calls,
            [candidate(other) for other in decision.considered],
            [list(plan) for plan in decision.queue],
        ]

    return json.dumps([candidate(decision) for decision in decisions])


def considered_from_json(
    blob: str, texts: Mapping[int, str], recall: Callable[[int], Reply | None]
) -> tuple[Decision, ...]:
    """The candidates that `considered_to_json` wrote; formats 1 to 3 had no queue."""

    def candidate(value: Any) -> Decision:
        action, frames, source, reason, memory, calls, considered, *queue = _list(value)
        if source not in _SOURCES or len(queue) > 1:
            raise _other(source, "a source")
        return Decision(
            action=_text(action),
            frames=_whole(frames, 0, MOST_FRAMES),
            source=source,
            reason=_text(reason),
            memory=_text(memory),
            queue=tuple(map(_plan, _list(queue[0]))) if queue else (),
            calls=tuple(map(call, _list(calls))),
            considered=tuple(map(candidate, _list(considered))),
        )

    def call(value: Any) -> Call:
        seed, prompt, fault = _list(value, 3)
        return call_from_row(_whole(seed), _text(prompt), _text(fault), texts, recall(seed))

    return tuple(map(candidate, _list(json_of(blob, most=MOST_TEXT))))


def all_calls(decision: Decision) -> Iterator[Call]:
    """The calls of a decision and of its candidates."""
    yield from decision.calls
    for other in decision.considered:
        yield from all_calls(other)


def numbers_from_json(blob: str, *kinds: type) -> tuple[Any, ...]:
    """A list of finite numbers of some types."""
    values = _list(json_of(blob, most=MOST_PROMPT))
    for value in values:
        if type(value) not in kinds or not abs(value) <= 1e15:
            raise _other(value, "a number")
    return tuple(values)


def lessons_to_json(lessons: Lessons, place: Callable[[Frame], Place] = own_place) -> str:
    """Lessons with their frames as [episode, step]."""

    def to_list(example: Example) -> list[Any]:
        shown = [list(place(frame)) for frame in example.frames]
        first: list[Any] = [storable(example.text), shown[0] if shown else None]
        more = [shown[1:], storable(example.source)]
        return [*first, *more] if shown[1:] or example.source else first

    examples = [to_list(example) for example in lessons.examples]
    advice = [storable(words) for words in lessons.advice]
    made = [examples, advice, lessons.episodes, lessons.mean_score]
    return json.dumps([*made, storable(lessons.note)] if lessons.note else made)


def lessons_from_json(blob: str, frame: Callable[[int, int], Frame]) -> Lessons:
    """The lessons that `lessons_to_json` wrote; `frame` draws the screen of (episode, step)."""
    examples, advice, episodes, mean, *note = _list(json_of(blob, most=MOST_TEXT))
    if len(note) > 1:
        raise ValueError("lessons have other fields")
    if mean is not None and (type(mean) not in (int, float) or not math.isfinite(mean)):
        raise _other(mean, "a score")

    def example(value: Any) -> Example:
        text, place, *more = _list(value)
        later, source = more or ([], "")
        return Example(
            _text(text),
            None if place is None else frame(*_place(place)),
            tuple(frame(*_place(each)) for each in _list(later)),
            _text(source),
        )

    return Lessons(
        examples=tuple(map(example, _list(examples))),
        advice=tuple(map(_text, _list(advice))),
        episodes=_whole(episodes, 0),
        mean_score=mean,
        note=_text(note[0]) if note else "",
    )
