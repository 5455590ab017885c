r"""Keys and passwords, and their removal from texts that are shown or stored.

A server may repeat the key in its answer, its errors or its headers, and not always letter by
letter. `Secrets.blot` finds a secret in upper or lower case, reversed, in ROT13, hexadecimal,
base32 or base64 (of UTF-8 or UTF-16), with escapes (`\\u0073`, `\\163`, `%73`, `&#115;`), as a list
of numbers (`0x73, 0x6b` or `115, 107`), in letters that look alike, and with anything but letters
and digits between its letters; and a part of it of 16 letters or more. `HostedModel` passes
everything that a server says through it before it is shown, cached or recorded.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
import unicodedata
from base64 import b32encode, b32hexencode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import NoReturn
from urllib.parse import unquote, urlsplit

MARK = "[key]"
"""What stands for a secret."""

SHORTEST = 8
"""Letters and digits of the shortest secret. Shorter ones ("x", "none", "EMPTY") are given to
servers that need no key, and would be found in ordinary words."""

PART = 16
"""Letters and digits of a secret that are found without the rest of it."""

_GRAM = 8
"""A common part of `PART` letters has 8 that begin at a multiple of 8."""


class Secrets:
    """Keys and passwords.

    Args:
        values: those that are empty or too short (`SHORTEST`) are left out.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = sorted(
            {value for value in values if len(_letters(value)) >= SHORTEST}, key=len, reverse=True
        )
        forms = {form for value in self._values for form in _forms(value)}
        self._forms = sorted(form for form in forms if len(form) >= SHORTEST)
        self._short = [form for form in self._forms if len(form) < 2 * _GRAM - 1]
        self._grams = {
            form[start : start + _GRAM]
            for form in self._forms
            for start in range(len(form) - _GRAM + 1)
        }

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def __or__(self, other: Secrets) -> Secrets:
        return _compiled(frozenset(self._values) | frozenset(other._values))

    def __reduce__(self) -> NoReturn:
        raise TypeError("Secrets are not sent to other processes.")

    def blot(self, text: str) -> str:
        """The text with "[key]" in place of every secret and every long part of one."""
        if not self._grams or len(text) < SHORTEST:
            return text
        folded = text if text.isascii() else text.translate(_look_alikes())
        views = [folded, *(escape.sub(_letter, folded) for escape in _escapes(folded))]
        if not any(self._may_be_in(_letters(view)) for view in views):
            return text
        for value in self._values:
            folded = folded.replace(value, "\0" * len(value))
        found = [range_ for at in _places(folded) for range_ in self._ranges(at)]
        found += [match.span() for match in _BLOTTED.finditer(folded)]
        return _marked(text, found)

    def _may_be_in(self, letters: bytes) -> bool:
        grams = self._grams
        return any(form in letters for form in self._short) or any(
            letters[start : start + _GRAM] in grams
            for start in range(0, len(letters) - _GRAM + 1, _GRAM)
        )

    def _ranges(self, at: _View) -> Iterator[tuple[int, int]]:
        """Where secrets are in the text, found in one view of it."""
        letters, starts, ends = at
        for form in self._short:
            place = letters.find(form)
            while place >= 0:
                yield starts[place], ends[place + len(form) - 1]
                place = letters.find(form, place + len(form))
        last = 0
        for start in range(0, len(letters) - _GRAM + 1, _GRAM):
            gram = letters[start : start + _GRAM]
            if start + _GRAM <= last or gram not in self._grams:
                continue
            first, last = self._longest(letters, start, gram)
            if first < last:
                yield starts[first], ends[last - 1]

    def _longest(self, letters: bytes, start: int, gram: bytes) -> tuple[int, int]:
        """First and last + 1 of the longest part of a secret around a gram; equal if too short."""
        longest = (start, start)
        for form in self._forms:
            offset = form.find(gram)
            while offset >= 0:
                first, last = _around(letters, start, form, offset)
                if last - first >= max(min(PART, len(form)), longest[1] - longest[0] + 1):
                    longest = first, last
                offset = form.find(gram, offset + 1)
        return longest


def _around(letters: bytes, start: int, form: bytes, offset: int) -> tuple[int, int]:
    """The common part of a text and a form around a place in each."""
    before, after = 0, 0
    while before < min(start, offset) and letters[start - before - 1] == form[offset - before - 1]:
        before += 1
    most = min(len(letters) - start, len(form) - offset)
    while after < most and letters[start + after] == form[offset + after]:
        after += 1
    return start - before, start + after


def _marked(text: str, found: Sequence[tuple[int, int]]) -> str:
    """The text with a mark in place of each range; those that touch have one mark."""
    parts: list[str] = []
    end = 0
    for first, last in sorted(found):
        if first > end or not parts:
            parts += [text[end:first], MARK]
        end = max(end, last)
    return "".join([*parts, text[end:]])


# --- forms of a secret ---------------------------------------------------------------------------

_DROPPED = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
_LOWER = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))


def _letters(text: str) -> bytes:
    """Its ASCII letters and digits in lower case."""
    return text.encode("utf-8", "surrogatepass").translate(_LOWER, _DROPPED)


def _forms(value: str) -> Iterator[bytes]:
    """The letters of a secret as it is, and of its encodings."""
    raw = value.encode("utf-8", "surrogatepass")
    yield _letters(value)
    yield _letters(value)[::-1]
    yield _letters(codecs.encode(value, "rot13"))
    # PowerShell and JavaScript encode UTF-16.
    for encoded in (raw, *(value.encode(f"utf-16-{end}", "surrogatepass") for end in ("le", "be"))):
        yield encoded.hex().encode()
        yield from _within(encoded, b64encode, 6)
    for base32 in (b32encode, b32hexencode):
        yield from _within(raw, base32, 5)


def _within(raw: bytes, encode: Callable[[bytes], bytes], bits: int) -> Iterator[bytes]:
    """The letters that stand for a secret in the encoding of a longer text that it is in.

    Args:
        raw: the secret.
        encode: e.g. to base64.
        bits: that each of its letters has.
    """
    for shift in range({6: 3, 5: 5}[bits]):  # bytes before it in a group of letters
        encoded = encode(b"\0" * shift + raw).decode()
        yield _letters(encoded[-(-8 * shift // bits) : 8 * (shift + len(raw)) // bits])


# --- views of a text -----------------------------------------------------------------------------

_View = tuple[bytes, Sequence[int], Sequence[int]]
"""The letters of a text, and where each begins and ends in the text."""

_BLOTTED = re.compile("\0+")

_ESCAPE = re.compile(
    r"(?<!\\)\\++(?:u([0-9a-fA-F]{4})|u\{0*+([0-9a-fA-F]{1,5})\}|U000([0-9a-fA-F]{5})"
    r"|x([0-9a-fA-F]{2})|(?P<eight>[0-7]{3})|[a-zA-Z])"  # \u0073, \u{73}, \x73, \163, \n
    r"|%(?:25)*+([0-9a-fA-F]{2})"
    r"|&(?:amp;)*+(?:#[xX]0*+([0-9a-fA-F]{1,5});?|#0*+(?P<ten>[0-9]{1,6});?|[a-zA-Z]{2,8};)"
    r"|\x1b\[[0-9;]*+[a-zA-Z]|</?[a-zA-Z][^<>]{0,20}>"  # colours of a terminal, tags
)
"""A letter as an escape, or an escape of something else; its number is in a group."""


_HEX = re.compile(r"0[xX]([0-9a-fA-F]{2})(?![0-9a-zA-Z])")
"""A letter in a list of hexadecimal numbers."""

_LIST = re.compile(r"[0-9]{2,3}(?:[\s,;]{1,4}[0-9]{2,3}){7}")
"""A list of numbers long enough to be a secret."""

_NUMBER = re.compile(r"(?<![\w.])(?P<ten>[0-9]{2,3})(?![\w.])")
"""A letter in such a list."""


def _letter(match: re.Match[str]) -> str:
    base = {"eight": 8, "ten": 10}.get(match.lastgroup or "", 16)
    code = int(match[match.lastindex], base) if match.lastindex else 0x20
    return chr(code).translate(_look_alikes()) if code < 0x110000 else " "


def _escapes(text: str) -> Iterator[re.Pattern[str]]:
    """The ways in which letters are written as numbers in a text."""
    if _ESCAPE.search(text) is not None:
        yield _ESCAPE
    if "0x" in text or "0X" in text:
        yield _HEX
    if _LIST.search(text) is not None:
        yield _NUMBER


def _places(text: str) -> Iterator[_View]:
    """The views of a text."""
    yield _view((index, index + 1, letter) for index, letter in enumerate(text))
    for escape in _escapes(text):
        yield _view(_pieces(text, escape))


def _pieces(text: str, escape: re.Pattern[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, letter) of each letter, those of escapes included."""
    end = 0
    for match in escape.finditer(text):
        for index in range(end, match.start()):
            yield index, index + 1, text[index]
        yield *match.span(), _letter(match)
        end = match.end()
    for index in range(end, len(text)):
        yield index, index + 1, text[index]


def _view(pieces: Iterable[tuple[int, int, str]]) -> _View:
    kept = [piece for piece in pieces if piece[2].isascii() and piece[2].isalnum()]
    letters = "".join(letter for _, _, letter in kept).lower().encode()
    return letters, [start for start, _, _ in kept], [end for _, end, _ in kept]


@cache
def _look_alikes() -> dict[int, str]:
    """Other forms of ASCII letters and digits, e.g. full-width and bold ones."""
    table = {}
    for code in (*range(0x80, 0x2FFF), *range(0xFB00, 0x10000), *range(0x1D400, 0x1D800)):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii() and plain.isalnum():
            table[code] = plain
    for letter, like in zip(_CYRILLIC + _GREEK, _AS_CYRILLIC + _AS_GREEK, strict=True):
        table[ord(letter)] = like
    return table


_CYRILLIC = "АВЕЅІЈКМНОРСТУХаеѕіјкмоԁѐрсԛтухһԝүӏ"
_AS_CYRILLIC = "ABESIJKMHOPCTYXaesijkmodepcqtyxhwyl"
_GREEK = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχ"
_AS_GREEK = "ABEZHIKMNOPTYXaikvoptux"
"""Letters of other alphabets that look like ASCII's, which NFKC leaves as they are."""


# --- where secrets are ---------------------------------------------------------------------------

_NAMES = re.compile(r"(API_?KEY|TOKEN|SECRET|SECRET_KEY|ACCESS_KEY|PASSWORD|PASSWD)\Z")
_HEADERS = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)


def environment_secrets(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The values of variables that are named like keys, and passwords in proxies' addresses.

    Args:
        environment: None for this process's.
    """
    for name, value in (os.environ if environment is None else environment).items():
        name = name.upper()
        if name.endswith("API_KEY") or (_NAMES.search(name) and len(_letters(value)) >= PART):
            yield value.strip()
        elif name.endswith("_PROXY"):
            yield from _password(value)
        elif name.endswith("_CUSTOM_HEADERS"):
            yield from _from_headers(value)


def _password(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return
    yield password
    yield unquote(password)


def _from_headers(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        if _HEADERS.search(name):
            yield value.split()[-1] if value.split() else ""


def all_secrets(*given: str) -> Secrets:
    """The given keys and those of the environment."""
    return _compiled(frozenset([*given, *environment_secrets()]))


@lru_cache(maxsize=16)
def _compiled(values: frozenset[str]) -> Secrets:
    return Secrets(values)


# --- what the vendors' clients log ---------------------------------------------------------------

_LIBRARIES = ("openai", "anthropic", "google_genai", "pydantic_ai", "httpx2", "httpcore2")
_LOGGERS = (
    *("openai", "openai._base_client", "anthropic._base_client", "google_genai._api_client"),
    *("httpx2", "httpcore2.connection", "httpcore2.proxy", "httpcore2.socks"),
    *("httpcore2.http11", "httpcore2.http2"),
)


class _Hiding(logging.Filter):
    """Blots secrets in log records: these libraries log addresses, headers and answers."""

    secrets = Secrets(())

    def filter(self, record: logging.LogRecord) -> bool:
        shown = record.getMessage()
        if (message := self.secrets.blot(shown)) != shown:
            record.msg, record.args = message, ()
        if record.exc_info:
            shown = logging.Formatter().formatException(record.exc_info)
            if (text := self.secrets.blot(shown)) != shown:
                record.exc_info, record.exc_text = None, text
        return True


_HIDING = _Hiding()


def hide_in_logs(secrets: Secrets) -> None:
    """Blot secrets in what the libraries below a vendor's client log from now on."""
    _HIDING.secrets = _HIDING.secrets | secrets
    known = (name for name in logging.root.manager.loggerDict if name.startswith(_LIBRARIES))
    for name in (*_LOGGERS, *known):
        logging.getLogger(name).addFilter(_HIDING)  # once, however often it is added
