"""Reading the fields of a server's JSON, none of which need be of the type that it should be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, TypeAlias

from atari_vlm.files.untrusted import json_of, storable

Fields: TypeAlias = dict[str, Any]

LONGEST_WORD = 200
"""Most characters of a name, an identifier or a code that a server may send."""

LARGEST_COUNT = 10**15
"""Token counts above it are this."""


class UnusableAnswer(Exception):
    """An answer that is none: a page, an empty body, JSON of another form."""


class StatedError(Exception):
    """An error that a server states in an answer with the status 200.

    Args:
        status: the HTTP status that it means; None if that is not known.
        code: the server's own code.
        message: the server's own words.
        charged: whether the request may have been charged.
        retry_after: seconds that the server asks to wait.
    """

    def __init__(
        self,
        status: int | None,
        code: str,
        message: str,
        *,
        charged: bool,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        self.status_code, self.code, self.message = status, code, message
        self.charged, self.retry_after = charged, retry_after
        self.body = message
        """What an error message quotes."""


def error_body(text: str, whole: bool) -> Fields:
    """The body of an error, shortened and storable: its JSON, or the words of a page.

    Args:
        text: the body, or the beginning of it.
        whole: whether it is all of it.
    """
    try:
        payload = json_of(text, most=len(text), finite=False, unique=True) if whole else None
    except ValueError:
        payload = None
    if isinstance(payload, list) and payload and isinstance(payload[0], dict):
        payload = payload[0]
    if isinstance(payload, dict) and payload:
        shortened: Fields = _shortened(payload)
        return shortened
    if payload in ({}, []):
        text = ""
    if isinstance(payload, str):
        text = payload
    if re.match(r"\s*<", text):  # a page of HTML, of which only the words matter
        text = re.sub(r"<(script|style)\b.*?(</\1|\Z)", " ", text[:10_000], flags=re.S | re.I)
        text = unescape(re.sub(r"<[^<>]*>", " ", text))
        return {"error": {"message": word(text, 1000), "type": _PAGE}}
    return {"error": {"message": word(text, 1000)}}


_PAGE = "a page of HTML"


def is_page(body: object) -> bool:
    """Whether the body of an error, as `error_body` wrote it, was a page for people.

    OpenAI's client gives what is inside of `error`.
    """
    stated = object_of(body)
    return _PAGE in (stated.get("type"), object_of(stated.get("error")).get("type"))


def _shortened(value: object, depth: int = 8) -> Any:
    """A JSON value with the first entries of each list and object, and the beginnings of texts."""
    if isinstance(value, str):
        return word(value, 2000)
    if isinstance(value, dict) and depth:
        entries = list(value.items())[:50]
        return {word(key): _shortened(entry, depth - 1) for key, entry in entries}
    if isinstance(value, list) and depth:
        return [_shortened(entry, depth - 1) for entry in value[:20]]
    if isinstance(value, bool | int) and abs(value) <= LARGEST_COUNT:
        return value
    return None


def word(value: object, longest: int = LONGEST_WORD) -> str:
    """A string on one line, shortened and storable; "" for anything else."""
    if not isinstance(value, str):
        return ""
    return " ".join(storable(value[:longest]).split())


def objects(value: object) -> list[Fields]:
    """The objects of a list, or the one object in its place."""
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, dict)]


def object_of(value: object) -> Fields:
    """The object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


_TEXTS = ("text", "output_text")
THOUGHTS = ("thinking", "reasoning", "reasoning_text", "summary_text")


def text_of(value: object, kinds: tuple[str, ...] = _TEXTS) -> str:
    """A text, or those of a list of texts and blocks of these kinds, as one; "" if there is none.

    A block without a kind is one of text.
    """
    if isinstance(value, str):
        return storable(value) if kinds is _TEXTS else ""
    entries = value if isinstance(value, list) else [value]
    return "".join(_block(entry, kinds) for entry in entries)


def _block(entry: object, kinds: tuple[str, ...]) -> str:
    if isinstance(entry, str):
        return storable(entry) if kinds is _TEXTS else ""
    block = object_of(entry)
    if block.get("type", "text") not in kinds:
        return ""
    found = block.get("text")
    if not isinstance(found, str) and kinds is THOUGHTS:
        found = block.get("thinking")
        if isinstance(found, list):  # Mistral's: blocks of text
            return text_of(found)
    return storable(found) if isinstance(found, str) else ""


def counts_of(value: object, both: tuple[str, str], optional: str = "") -> Fields | None:
    """The token counts of an answer and their details; None unless all that are stated are counts.

    Other fields are left out; the caller judges the numbers.

    Args:
        value: as the server sent it.
        both: the names of the total read and the total written.
        optional: which of the two may be missing.
    """
    stated = object_of(value)
    counts = _numbers(stated)
    for name in list(stated)[:50]:
        if name in _DETAILS or name.endswith("_details"):
            counts[name] = _numbers(object_of(stated[name]))
    for name in both:
        if name not in counts and (stated.get(name) is not None or name != optional):
            return None
    flat = [counts, *(entry for entry in counts.values() if isinstance(entry, dict))]
    negative = any(isinstance(n, int) and n < 0 for entries in flat for n in entries.values())
    return None if negative else counts


_DETAILS = ("cache_creation", "server_tool_use")
"""Fields of token counts that hold more of them, beside those that end in "_details"."""


def _numbers(value: Fields) -> Fields:
    """The whole numbers of an object, each as a client can read it."""
    kept: Fields = {}
    for name, entry in list(value.items())[:50]:
        if isinstance(entry, bool):
            continue
        if isinstance(entry, int) or (isinstance(entry, float) and entry.is_integer()):
            kept[word(name)] = max(-1, int(min(entry, LARGEST_COUNT)))
    return kept


def mapped(value: object, known: Mapping[str, str], default: str) -> str:
    """The client's word for a server's reason why the answer ended."""
    return known.get(word(value).lower(), default)


def check_said(*said: object) -> None:
    """Raise UnusableAnswer if an answer has neither a text nor a thought nor an end."""
    if not any(said):
        raise UnusableAnswer("the answer was empty")


_STATUS_OF = {
    "rate": 429,
    "exhausted": 429,
    "quota": 429,
    "billing": 402,
    "credits": 402,
    "payment": 402,
    "authentication": 401,
    "unauthenticated": 401,
    "api_key": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "context_length": 400,
    "invalid": 400,
    "unsupported": 400,
    "precondition": 400,
    "overloaded": 529,
    "unavailable": 503,
    "timeout": 504,
    "deadline": 504,
    "internal": 500,
    "server": 500,
    "api_error": 500,
}
"""Part of a server's code -> the HTTP status it means; the first that fits counts."""


def _status(code: object) -> int | None:
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        return code
    name = word(code).lower()
    if re.fullmatch("[45][0-9]{2}", name):
        return int(name)
    return next((status for part, status in _STATUS_OF.items() if part in name), None)


def raise_stated(error: object, retry_after: float | None, *, charged: bool) -> None:
    """Raise StatedError if a server's `error` field states one."""
    if not error:
        return
    stated = object_of(error)
    metadata = object_of(stated.get("metadata"))  # OpenRouter's, about the server behind it
    codes = [stated.get("code"), stated.get("type"), stated.get("status")]
    status = next((found for code in codes if (found := _status(code)) is not None), None)
    code = next((text for code in codes if (text := _code(code))), "")
    words = [word(stated.get("message"), 1000), word(metadata.get("raw"), 500)]
    message = ": ".join(text for text in words if text) or word(error, 1000)
    raise StatedError(status, code, message, charged=charged, retry_after=retry_after)


def _code(value: object) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST_COUNT
    return str(value) if whole else word(value, 100)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait; None if it does not, or names a date."""
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None
