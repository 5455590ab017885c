"""One answer as models phrase it: "LEFT", "3", "UP-RIGHT x2", "move down for 3 frames".

The grammar of a single answer, resolved against a game's legal actions. Where in a reply the answer
stands is the business of `actions`. Every pattern is bounded, so matching never backtracks far.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

Plan = tuple[str, int, str]
"""(legal action, frames to hold it, note on what was adjusted)."""


class Unclear(Exception):
    """The words name no plan that can be played; the message is a sentence for the model."""


_ATOMS = ("NOOP", "FIRE", "UP", "DOWN", "LEFT", "RIGHT")
_ATOM = r"(?:NO[ _-]?OP|FIRE|UP|DOWN|LEFT|RIGHT)"
CHORD = rf"{_ATOM}(?:(?:[ ]?[-_+][ ]?|[ ])?{_ATOM}){{0,5}}"
"""An action name, its parts joined or apart: UPRIGHTFIRE, up-right, NO OP."""

_NUMBERS = {word: n for n, word in enumerate("one two three four five six seven eight".split(), 1)}
DURATION = rf"""
    [ ]{{0,2}}[,;|]?[ ]{{0,2}}(?P<paren>[(]?)[ ]?
    (?P<how>(?:hold|held)(?:[ ]for)?|for|x|(?:frames?|duration)[ ]?[:=])?[ ]{{0,2}}
    (?P<n>-?[0-9][0-9.]{{0,9}}|{"|".join(_NUMBERS)})(?:[ ]?(?P<unit>frames?|times|f))?
    (?![0-9A-Za-z])[ ]?[)]?"""
"""How long to hold it: x3, for 3 frames, (two frames), , 3."""

_PHRASE = re.compile(
    rf"""[\s("'\[<]{{0,8}}
    (?:(?:I|I'll|I'd|will|would|let's|please|the|my|best|final|next|action|move|press|push|go|hold
        |choose|select|option|number|is)(?:[ ]{{1,3}}|:[ ]?)){{0,6}}[\#"'(]{{0,3}}
    (?:(?P<index>-?[0-9]{{1,9}})(?![0-9]|[.][0-9]|[ ]?frames?\b|[ ]?x[ ]?[A-Z])
        (?:[ ]?[-:=.)]{{0,2}}[ ]?["'(]{{0,2}}(?P<also>{CHORD})(?![\w-])[)]?)?
      |(?P<name>{CHORD})(?![A-Za-z_]|-[A-Za-z]))
    ["']{{0,2}}(?:[ ](?:action|button)\b)?["']{{0,2}}(?:{DURATION})?""",
    re.IGNORECASE | re.VERBOSE,
)
_COUNT = re.compile(r"(?:x|for)? ?(-?[0-9]{1,12}(?:[.][0-9]{1,12})?|[a-z]{3,5}) ?(?:frames?|x|f)?")


class Phrases:
    """Reads answers for one list of legal actions.

    Args:
        legal: legal action names; a number in an answer is a place in this list, from 0.
        longest: most frames a plan may hold its action, and what an answer without a duration
            means.
    """

    def __init__(self, legal: Sequence[str], longest: int) -> None:
        self.legal, self.longest = tuple(legal), longest
        self._chords = {_chord(name): name for name in self.legal}

    def match(self, text: str) -> re.Match[str] | None:
        """The answer that `text` starts with; groups index, also, name, n, how, unit, paren."""
        return _PHRASE.match(text)

    def plan(self, phrase: re.Match[str]) -> Plan:
        """The plan a match names; raises Unclear."""
        name, index, also = phrase["name"], phrase["index"], phrase["also"]
        action = self.named(name) if name else self.numbered(int(index))
        if also and self.named(also) != action:
            raise Unclear(f"Number {index} is {action}, not {also}.")
        n, bare = phrase["n"], not (phrase["how"] or phrase["unit"])
        if n and bare:
            own_number = phrase["paren"] and n == str(self.legal.index(action))
            if own_number or (index and not also):
                raise Unclear(f"It is not clear whether {n} is a number of frames.")
        return (action, *self.frames(n))

    def named(self, words: str) -> str:
        """The legal action of that name, however its parts are joined and ordered."""
        action = self._chords.get(_chord(words))
        if action is None:
            raise self.refusal(words)
        return action

    def numbered(self, index: int) -> str:
        """The legal action in that place."""
        if not 0 <= index < len(self.legal):
            last = len(self.legal) - 1
            raise Unclear(f"There is no action number {index}: numbers go from 0 to {last}.")
        return self.legal[index]

    def frames(self, value: Any) -> tuple[int, str]:
        """Frames to hold an action, and a note when they had to be shortened.

        Args:
            value: a number, words such as "3" or "two frames", or None for no duration.
        """
        count = self.longest if value is None else _count(value)
        if count is None or count < 1:
            limits = f"frames must be a whole number from 1 to {self.longest}"
            raise Unclear(f"{quoted(str(value))} is no number of frames: {limits}.")
        if count <= self.longest:
            return count, ""
        asked = count if count < 1_000_000 else "far more"
        return self.longest, f"The reply asked for {asked} frames; {self.longest} is the most."

    def refusal(self, words: str) -> Unclear:
        """Words a fault for a name that is not legal, with the nearest one that is."""
        asked = quoted(" ".join(words.split()))
        near = get_close_matches(_letters(words)[:40], self.legal, n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]}" if near else f"choose from {', '.join(self.legal)}"
        return Unclear(f"{asked} is not a legal action here; {hint}.")


def quoted(words: str) -> str:
    """The words in quotation marks, cut to 40 characters."""
    words = words.strip()
    return f'"{words}"' if len(words) <= 40 else f'"{words[:39]}…"'


def same(one: str, other: str) -> bool:
    """Whether two spellings name one action."""
    return _chord(one) == _chord(other)


def _letters(words: str) -> str:
    return "".join(letter for letter in words.upper() if "A" <= letter <= "Z")


def _chord(words: str) -> tuple[str, ...]:
    """The parts of a name in one order; UP FIRE and FIRE-UP are the same chord."""
    return tuple(sorted(re.findall("|".join(_ATOMS), _letters(words))))


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        found = _COUNT.fullmatch(value.strip().lower())
        value = found and _NUMBERS.get(found[1], found[1])
        try:
            value = float(value or "")
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and abs(value) < 1e15 and value == int(value) else None
