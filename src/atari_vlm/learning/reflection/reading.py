"""Reads the answer of a review: JSON, what is almost JSON, or a list of lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.tolerant_json import Unreadable, read_object
from atari_vlm.replies.words import refusal_in

LONGEST = 40_000
"""Characters of an answer that are read, from its end."""

_KEYS = (
    *("lessons", "new_lessons", "lesson", "insights", "key_insights", "insight"),
    *("advice", "tips", "takeaways", "key_takeaways", "learnings"),
)
_DROPS = ("drop", "dropped", "remove", "wrong", "delete")
_TEXTS = ("lesson", "text", "insight", "advice", "tip", "words", "content", "description")
_BULLET = pattern(r"^\s{0,8}(?:[-*\u2022+]|\(?\d{1,2}[.):])\s{1,4}(\S.*)$", re.MULTILINE)
_HEADING = pattern(r"^[^\n]{0,60}\b(?:insights?|lessons?|takeaways?)\b[^\n]{0,60}$", re.I | re.M)
_OPENED = pattern(r"[\"']?(?:new_|key_)?(?:lessons|insights|takeaways)[\"']?\s{0,9}[:=]\s{0,9}\[")
_STRING = pattern(r"\"((?:[^\"\\]|\\.){1,4000})\"")
_MOST_BRACES = 200


@dataclass(frozen=True, slots=True)
class Review:
    """What an answer says."""

    lessons: tuple[str, ...] = ()
    drop: tuple[int, ...] = ()
    """Numbers of earlier lessons that it takes back, from 1 on."""
    fault: str = ""
    """Why nothing could be read, as a sentence for the model; empty if it could."""
    refused: bool = False
    """Whether it declines to review, so that asking again would be in vain."""


def read_review(text: str) -> Review:
    """The lessons of an answer; an empty list of lessons is an answer too.

    >>> read_review('{"lessons": ["Stay low."], "drop": [2]}')
    Review(lessons=('Stay low.',), drop=(2,), fault='', refused=False)
    """
    text = text[-LONGEST:]
    for value in _objects(text):
        found = _find(value)
        if found is not None:
            return found
    if opened := _OPENED.search(text):  # the answer was cut off within its list
        cut = [_unescaped(each) for each in _STRING.findall(text, opened.end())]
        if cut:
            return Review(tuple(cut))
    if 0 <= refusal_in(text[:400]) < 60:
        return Review(fault="The answer declines to review the game.", refused=True)
    if listed := _listed(text):
        return Review(tuple(listed))
    return Review(fault='The answer has no list of "lessons" that could be read.')


def _objects(text: str) -> Iterator[Any]:
    decode = json.JSONDecoder(strict=False, object_pairs_hook=_joined).raw_decode
    at, tries = text.find("{"), 0
    while at >= 0 and tries < _MOST_BRACES:
        tries += 1
        end = at + 1
        try:
            value, end = decode(text, at)
            yield value
        except (ValueError, RecursionError):
            with suppress(Unreadable):
                value, end = read_object(text, at, _joined)
                yield value
        at = text.find("{", end)


def _joined(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    return {str(key).strip().lower().replace(" ", "_"): value for key, value in pairs}


def _find(value: Any, depth: int = 0) -> Review | None:
    if not isinstance(value, dict) or depth > 3:
        return None
    for key in _KEYS:
        if key in value:
            said = value[key]
            if said is None:
                said = []
            lessons = [*_texts(said)]
            if lessons or said == []:
                return Review(tuple(lessons), tuple(_numbers(value)))
    found = (_find(inner, depth + 1) for inner in value.values())
    return next((each for each in found if each is not None), None)


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield from _listed(said) or ([said] if said.strip() else [])
    elif isinstance(said, dict):
        text = next((said[key] for key in _TEXTS if isinstance(said.get(key), str)), None)
        if text is not None:
            yield text
        else:
            yield from (each for each in said.values() if isinstance(each, str))
    elif isinstance(said, list):
        for each in said:
            if isinstance(each, str):
                if each.strip():
                    yield each
            elif isinstance(each, dict):
                yield from _texts(each)


def _numbers(value: dict[str, Any]) -> Iterator[int]:
    for key in _DROPS:
        said = value.get(key)
        for each in said if isinstance(said, list) else [said]:
            if isinstance(each, str) and each.strip().isdecimal() and len(each) < 6:
                each = int(each)
            if type(each) is int:
                yield each


def _listed(text: str) -> list[str]:
    """The items of a list in plain text: those after a heading of lessons, if it has one."""
    heading = None
    for found in _HEADING.finditer(text):
        if not _BULLET.match(found[0]):
            heading = found
    start = heading.end() if heading else 0
    return [item.strip() for item in _BULLET.findall(text, start)]


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
