"""The grammar of one answer: "LEFT", "3", "UP-RIGHT x2", "move down for 3 frames".

An answer is resolved against the legal actions of a game; `plan_parser` finds it in the reply.
Every pattern is bounded, so that matching takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from atari_vlm.types import Plan


class ParsedPlan(NamedTuple):
    """One legal plan of a reply."""

    plan: Plan
    note: str = ""
    """Adjustment for the record: the reply asked for more frames than allowed."""


class UnclearReply(Exception):
    """The reply contains no plan that can be played; the message is a sentence for the model."""


_ATOMS = ("NOOP", "FIRE", "UP", "DOWN", "LEFT", "RIGHT")
_ATOM = r"(?:NO[ _-]?OP|FIRE|UP|DOWN|LEFT|RIGHT)"
CHORD = rf"{_ATOM}(?:(?:[ ]?[-_+][ ]?|[ ])?{_ATOM}){{0,5}}"
"""Pattern of an action name, with its parts joined or apart: UPRIGHTFIRE, up-right, NO OP."""

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
DURATION = rf"""
    [ ]{{0,2}}[,;|]?[ ]{{0,2}}(?P<paren>[(]?)[ ]?
    (?P<how>(?:hold|held)(?:[ ]for)?|for|x|(?:frames?|duration)[ ]?[:=])?[ ]{{0,2}}[<\[]?
    (?P<n>-?[0-9]{{1,9}}(?:[.][0-9]{{1,6}})?|{"|".join(NUMBERS)})(?:[ ]?(?P<unit>frames?|times|f))?
    (?![0-9A-Za-z]|[.][0-9])[ ]?[)>\]]?"""
"""Pattern of the time to hold an action: x3, for 3 frames, (two frames), `, 3`."""

_ANSWER = re.compile(
    rf"""[\s("'\[<]{{0,8}}
    (?:(?:I|I'll|I'd|will|would|let's|please|the|my|best|final|next|answer|action|move|press|push|go|hold
        |choose|select|option|number|is)(?:[ ]{{1,3}}|:[ ]?)){{0,6}}[\#"'(]{{0,3}}
    (?:(?P<index>-?[0-9]{{1,9}})(?![0-9]|[.][0-9]|[ ]?frames?\b|[ ]?x[ ]?[A-Z])
        (?:[ ]?[-:=.)]{{0,2}}[ ]?["'(]{{0,2}}(?P<also>{CHORD})(?![\w-])[)]?)?
      |(?P<name>{CHORD})(?!(?!x[ ]?[0-9])[A-Za-z_]|-[A-Za-z]))
    ["'>\]]{{0,2}}(?:[ ](?:action|button)\b)?["']{{0,2}}(?:{DURATION})?""",
    re.IGNORECASE | re.VERBOSE,
)
ENDS = re.compile(r"""[\s.!)\]"'}>]{0,12}$""")
"""Pattern of what may follow an answer at the end of the text."""
_COUNT = re.compile(r"(?:x|for)? ?(-?[0-9]{1,12}(?:[.][0-9]{1,12})?|[a-z]{3,5}) ?(?:frames?|x|f)?")


class ReplyGrammar:
    """Parses answers for one list of legal actions.

    Args:
        legal: legal action names; a number in an answer is an index into them.
        longest: most frames a plan may hold its action. An answer without a duration holds its
            action this long.
    """

    def __init__(self, legal: Sequence[str], longest: int) -> None:
        self.legal, self.longest = tuple(legal), longest
        self._chords = {_chord(name): name for name in self.legal}

    def match(self, text: str) -> re.Match[str] | None:
        """Match an answer at the start of `text`.

        The groups are name, index, also (a name after the index), n (frames), how, unit, paren.
        """
        return _ANSWER.match(text)

    def plan(self, answer: re.Match[str]) -> ParsedPlan:
        """The plan of a match. Raises UnclearReply if it is not legal."""
        name, index, also = answer["name"], answer["index"], answer["also"]
        action = self.named(name) if name else self.numbered(int(index))
        if also and self.named(also) != action:
            raise UnclearReply(f"Number {index} is {action}, not {also}.")
        n, bare = answer["n"], not (answer["how"] or answer["unit"])
        if n and bare:
            own_index = answer["paren"] and n == str(self.legal.index(action))
            if own_index or (index and not also):
                raise UnclearReply(f"It is not clear whether {n} is a number of frames.")
        frames, note = self.frames(n)
        return ParsedPlan(Plan(action, frames), note)

    def named(self, name: str) -> str:
        """The legal action of that name, with its parts joined and ordered in any way."""
        action = self._chords.get(_chord(name))
        if action is None:
            raise self.refusal(name)
        return action

    def numbered(self, index: int) -> str:
        """The legal action at that index."""
        if not 0 <= index < len(self.legal):
            last = len(self.legal) - 1
            asked = str(index)[:12]
            raise UnclearReply(f"There is no action number {asked}: numbers go from 0 to {last}.")
        return self.legal[index]

    def frames(self, value: Any) -> tuple[int, str]:
        """Frames to hold an action, and a note if they were shortened.

        Args:
            value: a number, text such as "3" or "two frames", or None for no duration.
        """
        count = self.longest if value is None else _count(value)
        if count is None or count < 1:
            limits = f"frames must be a whole number from 1 to {self.longest}"
            raise UnclearReply(f"{quoted(str(value))} is no number of frames: {limits}.")
        if count <= self.longest:
            return count, ""
        asked = count if count < 1_000_000 else "far more"
        return self.longest, f"The reply asked for {asked} frames; {self.longest} is the most."

    def refusal(self, name: str) -> UnclearReply:
        """The fault for a name that is not legal, with the nearest legal name."""
        asked = quoted(" ".join(name.split()))
        near = get_close_matches(_letters(name)[:40], self.legal, n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]}" if near else f"choose from {', '.join(self.legal)}"
        return UnclearReply(f"{asked} is not a legal action here; {hint}.")


def quoted(text: str) -> str:
    """The text in quotation marks, cut to 40 characters."""
    text = text.strip()
    return f'"{text}"' if len(text) <= 40 else f'"{text[:39]}…"'


def same_action(one: str, other: str) -> bool:
    """Whether two spellings name the same action."""
    return _chord(one) == _chord(other)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.upper() if "A" <= letter <= "Z")


def _chord(name: str) -> tuple[str, ...]:
    """The sorted parts of a name: UP FIRE and FIRE-UP have the same."""
    return tuple(sorted(re.findall("|".join(_ATOMS), _letters(name))))


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        found = _COUNT.fullmatch(value.strip().lower())
        value = found and NUMBERS.get(found[1], found[1])
        try:
            value = float(value or "")
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and abs(value) < 1e15 and value == int(value) else None
