"""The characters of a reply: bounded in number, and without what nobody can see.

Letters that look like Latin ones become Latin ones, accents are dropped, typographic marks become
plain ones; what is invisible (control characters, halves of surrogate pairs, bidirectional and
zero-width marks) disappears. Every character is looked at once, so this takes linear time.
"""

from __future__ import annotations

import unicodedata

from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import UnclearReply

LONGEST = 262_144
"""Characters of the longest reply that is read; a longer one is a fault."""

_MOST_KNOWN = 20_000
"""Characters whose replacement is remembered."""

_SPOILED = "\ufffd"
"""Stands for a character that changes what its neighbours mean, such as a stroke through them."""

_SPECIAL = {
    **dict.fromkeys("\u00d7\u2715\u2716\u2a2f", "x"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4\u201c\u201d\u201e\u201f", "'"),
    **dict.fromkeys("\u00ab\u00bb\u2039\u203a\u300a\u300b", "'"),
    **dict.fromkeys("\u300c\u300d\u300e\u300f", "'"),
    **{"\u3010": "[", "\u3011": "]", "\u3002": ". ", "\u3001": ", ", "\u00a1": " ", "\u00bf": " "},
    **dict.fromkeys("\u2b05\u21e6\u25c0", "\u2190"),
    **dict.fromkeys("\u27a1\u21e8\u25b6", "\u2192"),
    **dict.fromkeys("\u2b06\u21e7\U0001f53c", "\u2191"),
    **dict.fromkeys("\u2b07\u21e9\U0001f53d", "\u2193"),
    **dict.fromkeys("\u00ac\u2260\u274c\u274e\u26d4\U0001f6ab\U0001f645\U0001f6d1", " not "),
    **dict.fromkeys("\u202d\u202e\u20e0\u0335\u0336\u0337\u0338\x08\x7f", _SPOILED),
    **{"\n": "\n", "\t": " ", "\u0131": "i", "\u00df": "ss", "\u0142": "l", "\u0141": "L"},
    **dict.fromkeys("\u25c1\u25b7\u27e8\u27e9", ""),
    **{"\u25c1": "<", "\u25b7": ">"},
}
_ARROWS = "\u2190\u2191\u2192\u2193\u2196\u2197\u2198\u2199"

_LOOK_ALIKE = str.maketrans(
    "АВЕКМНОРСТХУІЈЅаеорсухіјѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",  # noqa: RUF001
    "ABEKMHOPCTXYIJSaeopcyxijsABEZHIKMNOPTYXo",
)
_MIXED_WORD = pattern(r"\b(?=\w{0,40}[A-Za-z])(?=\w{0,40}[\u0370-\u052f])\w{1,40}\b")
_NO_SPACES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WIDE_THEN_NARROW = pattern(
    f"(?<=[{_NO_SPACES}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{_NO_SPACES}])"
)
_COLOURS = pattern(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_CONTROL = pattern(r"[\x00-\x09\x0b-\x1f\x7f]")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}
_ENTITY = pattern("|".join(_ENTITIES))


class _Folded(dict[int, str]):
    """Code point -> what is read in its place, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        found = _fold(chr(code))
        if len(self) < _MOST_KNOWN:
            self[code] = found
        return found


_FOLDED = _Folded()


def _fold(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter in _ARROWS or letter.isascii():
        return letter if letter.isprintable() else ""
    kind = unicodedata.category(letter)
    if kind == "Nd":
        return str(unicodedata.decimal(letter))
    if 0x1F150 <= ord(letter) <= 0x1F189 or 0x1F1E6 <= ord(letter) <= 0x1F1FF:  # letters in boxes
        first = next(at for at in (0x1F1E6, 0x1F170, 0x1F150) if ord(letter) >= at)
        return chr(ord("A") + ord(letter) - first) if ord(letter) - first < 26 else " "
    if kind in _READ_AS:
        return _READ_AS[kind]
    accented = unicodedata.name(letter, "").startswith(("LATIN", "CYRILLIC", "GREEK"))
    plain = unicodedata.normalize("NFKD" if accented else "NFKC", letter)
    plain = "".join(_SPECIAL.get(each, each) for each in plain if not unicodedata.combining(each))
    if kind == "So" and not plain.isascii():
        return " "
    # One ligature stands for a sentence of 18 letters: such are no part of an answer.
    return plain if len(plain) <= 4 else " "


_READ_AS = {
    **dict.fromkeys(("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Sk"), ""),
    **dict.fromkeys(("Zl", "Zp"), "\n"),
    "Zs": " ",
}


def folded(text: str) -> str:
    """The text with every character replaced by the plain one that it looks like."""
    return text if text.isascii() and not _CONTROL.search(text) else text.translate(_FOLDED)


def legible(text: str) -> str:
    """What a person sees of a reply. Raises UnclearReply if it is empty or too long."""
    if len(text) > LONGEST:
        raise UnclearReply(
            f"The reply is {len(text):,} characters long, and at most {LONGEST:,} are read: answer "
            "in few words."
        )
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = folded(text)
    if "&" in text:
        text = _ENTITY.sub(lambda found: _ENTITIES[found[0]], text)
    if not text.isascii():
        text = _MIXED_WORD.sub(lambda found: found[0].translate(_LOOK_ALIKE), text)
        text = _WIDE_THEN_NARROW.sub(" ", text)
    if not text.strip():
        raise UnclearReply("The reply is empty.")
    return text
