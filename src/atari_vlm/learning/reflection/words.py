"""What the words of a lesson may be: short, plain, and about actions that the game has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from atari_vlm.atari.games import ACTIONS
from atari_vlm.replies.patterns import pattern

SHORTEST = 8
"""Characters of the shortest lesson; anything shorter says nothing."""

_NAMES = frozenset(ACTIONS)
_TOKEN = pattern(r"[A-Za-z]{2,13}")
_PRESSED = pattern(
    r"\b(?:press(?:ing)?|hit(?:ting)?|use|using|choose|play|hold(?:ing)?|action)\s+(?:the\s+)?"
    r"[\"'`*]?(fire|up|down|left|right)\b",
    re.IGNORECASE,
)


def cleaned(words: str, longest: int) -> str:
    r"""A lesson of a model on one line, without marks around it, cut at a word if it is too long.

    >>> cleaned(' **Stay\n low.** ', 200), cleaned("Wait until the ball comes", 16)
    ('Stay low.', 'Wait until the…')
    """
    plain = "".join(letter if _is_plain(letter) else " " for letter in words[: 20 * longest])
    plain = " ".join(plain.split()).strip(" *_`\"'\u201c\u201d-\u2022")
    if len(plain) <= longest:
        return plain
    cut = plain[: longest - 1]
    if " " in cut[longest // 2 :]:
        cut = cut[: cut.rindex(" ")]
    return cut.rstrip(" ,;:") + "\u2026"


def has_control_characters(words: str) -> bool:
    """Whether a text holds characters that do something instead of being shown."""
    return not all(map(_is_plain, words))


def illegal_actions(words: str, legal: Sequence[str]) -> list[str]:
    """Names of actions in a lesson that the game does not have.

    Names in capitals count ("UP"), joint names in any letters ("upfire"), and what is pressed
    ("press fire"). A text that is all in capitals names no action by them.

    >>> illegal_actions("Press FIRE, then move up.", ["NOOP", "UP"])
    ['FIRE']
    """
    shouted = words.isupper()
    named = []
    for token in _TOKEN.findall(words):
        name = token.upper()
        joint = name.endswith("FIRE") or name[:2] == "UP" or name[:4] == "DOWN"
        capital = token.isupper() and not shouted
        if name in _NAMES and (capital or (joint and name not in ("FIRE", "UP", "DOWN"))):
            named.append(name)
    named += [found.upper() for found in _PRESSED.findall(words)]
    return [name for name in dict.fromkeys(named) if name not in legal]


def _is_plain(letter: str) -> bool:
    return unicodedata.category(letter)[0] != "C" or letter == "\u200d"
