"""Read what is almost JSON: other quotes, bare keys, stray or missing commas, comments, Python."""

from __future__ import annotations

import re
from typing import Any

from atari_vlm.replies.patterns import pattern

_SPACE = pattern(
    r"(?:\s{1,400}|//[^\n]{0,400}(?:\n|$)|\#[^\n\"']{0,400}(?:\n|$)|/\*[^*]{0,400}\*/){0,40}"
)
_NUMBER = pattern(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,3})?(?![\w.])")
_BARE = pattern(r"[^\W\d][\w +-]{0,40}(?=\s{0,20}[:=,;}\])])")
_STRING_END = pattern(
    r"""(?<!\\)(["'])(?=\s{0,20}(?:[:=,;}\]]|["'][A-Za-z_ ]{1,30}["']\s{0,4}:))"""
)
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_ESCAPE = pattern(r"\\(.)", re.DOTALL)
_DEEPEST = 12
_LONGEST_TEXT = 20_000


class Unreadable(Exception):
    """The text is not even almost JSON."""


def read_object(text: str, start: int, join: Any) -> tuple[Any, int]:
    """Read the object that begins at `start`.

    Args:
        text: a reply.
        start: of a "{".
        join: makes the value of an object from its pairs.

    Returns:
        the value, and one past its last character.

    Raises:
        Unreadable: it is none, or is not complete.
    """
    return _Reader(text, join).value(start, 0)


class _Reader:
    def __init__(self, text: str, join: Any) -> None:
        self.text, self.join = text, join

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > _DEEPEST:
            raise Unreadable
        letter = self.text[at : at + 1]
        if letter == "{":
            return self.pairs(at + 1, depth)
        if letter == "[":
            return self.items(at + 1, depth)
        return self.scalar(at)

    def scalar(self, at: int) -> tuple[Any, int]:
        letter = self.text[at : at + 1]
        if letter in ('"', "'") and letter:
            return self.string(at)
        if number := _NUMBER.match(self.text, at):
            value = float(number[0])
            return (
                int(value)
                if value == value and abs(value) < 1e15 and value == int(value)
                else value
            ), number.end()
        if word := _BARE.match(self.text, at):
            name = word[0].strip()
            return _CONSTANTS.get(name.lower(), name), word.end()
        raise Unreadable

    def string(self, at: int) -> tuple[str, int]:
        mark = self.text[at]
        for end in _STRING_END.finditer(self.text, at + 1, at + _LONGEST_TEXT):
            if end[1] == mark:
                return _ESCAPE.sub(r"\1", self.text[at + 1 : end.start()]), end.end()
        raise Unreadable

    def pairs(self, at: int, depth: int) -> tuple[Any, int]:
        pairs: list[tuple[str, Any]] = []
        while True:
            at = self.space(at)
            if self.text[at : at + 1] == "}":
                return self.join(pairs), at + 1
            key, at = self.scalar(at)
            at = self.space(at)
            if not isinstance(key, str) or self.text[at : at + 1] not in (":", "="):
                raise Unreadable
            value, at = self.value(self.space(at + 1), depth + 1)
            pairs.append((key, value))
            at = self.comma(at)

    def items(self, at: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            at = self.space(at)
            if self.text[at : at + 1] == "]":
                return items, at + 1
            value, at = self.value(at, depth + 1)
            items.append(value)
            at = self.comma(at)

    def space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def comma(self, at: int) -> int:
        at = self.space(at)
        return at + 1 if self.text[at : at + 1] in (",", ";") else at
