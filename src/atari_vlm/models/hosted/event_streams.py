"""Answers that were sent as a stream of events (`text/event-stream`), though none was asked for.

Some gateways always stream. The answer was paid for, so its pieces are joined to the body that the
API sends otherwise. A stream without an end is no answer: what is missing may be its action.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from atari_vlm.models.hosted.answer_fields import (
    Fields,
    UnusableAnswer,
    object_of,
    objects,
    raise_stated,
)

_DONE = "[DONE]"
"""The last event of OpenAI's chat completions."""


def is_stream(text: str) -> bool:
    """Whether a body is a stream of events; no JSON begins like one."""
    return re.match(r"\s*(data|event|id|retry)?:", text) is not None


def joined(path: str, text: str, parse: Callable[[str], Any]) -> Fields:
    """The body that a stream of events amounts to.

    Args:
        path: of the request, which tells the API.
        text: of the stream.
        parse: reads the JSON of one event.

    Raises:
        UnusableAnswer: it does not end, or belongs to no API.
        StatedError: an event states an error.
        ValueError: its JSON cannot be used.
    """
    data = list(_data(text))
    events = [parse(each) for each in data if each != _DONE]
    return of_events(path, events, ended=_DONE in data)


def of_events(path: str, values: Sequence[object], *, ended: bool = False) -> Fields:
    """The same of the values of events; Google sends a list of them, too.

    Args:
        path: of the request.
        values: the JSON value of each event.
        ended: whether something else than an event says that this is all.
    """
    events = objects(list(values))
    for event in events:
        if event.get("error") or event.get("type") == "error":
            raise_stated(event.get("error") or event, None, charged=len(events) > 1)
    for ending, join in _JOINS.items():
        if path.endswith(ending):
            body, finished = join(events)
            if not (finished or ended):
                raise UnusableAnswer("it sent a stream of events that ends before the answer does")
            return body
    raise UnusableAnswer(f"the path {path} belongs to no API")


def _data(text: str) -> Iterator[str]:
    """The data of each event: its lines that begin with `data:`, up to an empty line."""
    lines: list[str] = []
    for line in re.split(r"\r\n|\r|\n", text):
        if line.startswith("data:"):
            lines.append(line[5:].strip())
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def _strings(values: Iterator[Any]) -> str:
    return "".join(value for value in values if isinstance(value, str))


def _last(events: Sequence[Fields], name: str) -> Any:
    """The last value of a field that is one."""
    return next((event[name] for event in reversed(events) if event.get(name)), None)


def _chat(events: Sequence[Fields]) -> tuple[Fields, bool]:
    """OpenAI's chat completions: `delta` in place of `message`."""
    choices = [each[0] for event in events if (each := objects(event.get("choices")))]
    deltas = [object_of(each.get("delta")) or object_of(each.get("message")) for each in choices]
    names = ("content", "refusal", "reasoning_content", "reasoning")
    message = {name: _strings(delta.get(name) for delta in deltas) for name in names}
    finish = _last(choices, "finish_reason")
    body = {name: _last(events, name) for name in ("id", "model", "usage", "service_tier")}
    choice = {"message": message, "finish_reason": finish}
    return {**body, "choices": [choice] if choices else []}, finish is not None


def _responses(events: Sequence[Fields]) -> tuple[Fields, bool]:
    """OpenAI's responses: the last event has all."""
    ends = ("response.completed", "response.incomplete", "response.failed")
    last = next((event for event in reversed(events) if event.get("type") in ends), {})
    return object_of(last.get("response")), bool(last)


def _messages(events: Sequence[Fields]) -> tuple[Fields, bool]:
    """Anthropic's messages: a beginning, deltas, and an end with its token counts."""
    start = object_of(_last(events, "message"))
    deltas = [object_of(event.get("delta")) for event in events]
    blocks = [object_of(event.get("content_block")) for event in events]
    pieces = [*blocks, *deltas]
    content = [
        {"type": "thinking", "thinking": _strings(piece.get("thinking") for piece in pieces)},
        {"type": "text", "text": _strings(piece.get("text") for piece in pieces)},
    ]
    stop = _last(deltas, "stop_reason")
    usage: Fields = {**object_of(start.get("usage")), **object_of(_last(events, "usage"))}
    body = {**start, "type": "message", "content": content, "stop_reason": stop, "usage": usage}
    return body, stop is not None


def _generated(events: Sequence[Fields]) -> tuple[Fields, bool]:
    """Google's generateContent: whole bodies, each with some of the parts."""
    candidates = [each[0] for event in events if (each := objects(event.get("candidates")))]
    parts = [
        part
        for candidate in candidates
        for part in objects(object_of(candidate.get("content")).get("parts"))
    ]
    thought = _strings(part.get("text") for part in parts if part.get("thought") is True)
    said = [part for part in parts if part.get("thought") is not True]
    finish = _last(candidates, "finishReason")
    names = ("modelVersion", "responseId", "usageMetadata", "promptFeedback")
    body = {name: _last(events, name) for name in names}
    if candidates:
        content = {"parts": [{"text": thought, "thought": True}, *said]}
        body["candidates"] = [{"content": content, "finishReason": finish}]
    return body, finish is not None or bool(object_of(body["promptFeedback"]))


_JOINS: Mapping[str, Callable[[Sequence[Fields]], tuple[Fields, bool]]] = {
    "/chat/completions": _chat,
    "/responses": _responses,
    "/messages": _messages,
    ":generateContent": _generated,
}
"""By the end of the path of a request."""
