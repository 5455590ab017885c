"""One answer as models phrase it: "LEFT", "3", "UP-RIGHT x2", "move down for 3 frames".

The grammar of a single answer, resolved against a game's legal actions. Where in a reply the answer
stands is the business of `actions`. Every pattern is bounded, so matching never backtracks far.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

from atari_vlm.types import Plan


class ParsedPlan(NamedTuple):
    """One legal plan of a reply."""

    plan: Plan
    note: str = ""
    """What was adjusted, for the record: the reply asked for more frames than the most allowed."""


class Unclear(Exception):
    """The words name no plan that can be played; the message is a sentence for the model."""


_ATOMS = ("NOOP", "FIRE", "UP", "DOWN", "LEFT", "RIGHT")
_ATOM = r"(?:NO[ _-]?OP|FIRE|UP|DOWN|LEFT|RIGHT)"
CHORD = rf"{_ATOM}(?:(?:[ ]?[-_+][ ]?|[ ])?{_ATOM}){{0,5}}"
"""An action name, its parts joined or apart: UPRIGHTFIRE, up-right, NO OP."""

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_DURATION = rf"""
    [ ]{{0,2}}[,;|]?[ ]{{0,2}}(?P<paren>[(]?)[ ]?
    (?P<how>(?:hold|held)(?:[ ]for)?|for|x|(?:frames?|duration)[ ]?[:=])?[ ]{{0,2}}[<\[]?
    (?P<n>-?[0-9]{{1,9}}(?:[.][0-9]{{1,6}})?|{"|".join(_NUMBERS)})(?:[ ]?(?P<unit>frames?|times|f))?
    (?![0-9A-Za-z]|[.][0-9])[ ]?[)>\]]?"""
"""How long to hold it: x3, for 3 frames, (two frames), , 3."""

_PHRASE = re.compile(
    rf"""[\s("'\[<]{{0,8}}
    (?:(?:I|I'll|I'd|will|would|let's|please|the|my|best|final|next|answer|action|move|press|push|go|hold
        |choose|select|option|number|is)(?:[ ]{{1,3}}|:[ ]?)){{0,6}}[\#"'(]{{0,3}}
    (?:(?P<index>-?[0-9]{{1,9}})(?![0-9]|[.][0-9]|[ ]?frames?\b|[ ]?x[ ]?[A-Z])
        (?:[ ]?[-:=.)]{{0,2}}[ ]?["'(]{{0,2}}(?P<also>{CHORD})(?![\w-])[)]?)?
      |(?P<name>{CHORD})(?!(?!x[ ]?[0-9])[A-Za-z_]|-[A-Za-z]))
    ["'>\]]{{0,2}}(?:[ ](?:action|button)\b)?["']{{0,2}}(?:{_DURATION})?""",
    re.IGNORECASE | re.VERBOSE,
)
ENDS = re.compile(r"""[\s.!)\]"'}>]{0,12}$""")
"""What may stand between an answer and the end of the text."""
_COUNT = re.compile(r"(?:x|for)? ?(-?[0-9]{1,12}(?:[.][0-9]{1,12})?|[a-z]{3,5}) ?(?:frames?|x|f)?")


class ReplyGrammar:
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

    def plan(self, phrase: re.Match[str]) -> ParsedPlan:
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
        frames, note = self.frames(n)
        return ParsedPlan(Plan(action, frames), note)

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
            asked = str(index)[:12]
            raise Unclear(f"There is no action number {asked}: numbers go from 0 to {last}.")
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


_LOUD = re.compile(rf"(?<![\w+-]){CHORD}(?!_|[-+]?[A-Za-z])")
_AFTERWARDS = re.compile(_DURATION, re.I | re.VERBOSE)
_NOT_NOW = re.compile(
    r"\b(?:last|previous\w*|earlier|avoid|never|not|cannot|if|or|example|enemy's|opponent's|option)\b"
    r"|n't\b",
    re.I,
)
_PRESS = r"(?:choose|press|pick|select|play|push|hold|tap)"
_CHOOSES = re.compile(
    rf"""(?:^(?:move|go|steer)?|\b(?:{_PRESS}|so|then|therefore|go(?:ing)?[ ]with
    |(?:(?:action|answer|choice|decision|option)(?:[ ]here)?|move(?=[ ](?:is|would|should|will)[ ]))
        (?:[ ](?:is|(?:would|should|will)[ ]be))?
        (?:[ ]to[ ](?:move|go|steer))?
    |(?:I|we|I'll|I'd|let's)[ ](?:(?:will|would|should|must|(?:need|want|have)[ ]to)[ ])?
        (?:move|go|steer))(?:[ ]to)?(?:[ ]the)?)
    [ ,:]{{0,2}}["'(]{{0,2}}$""",
    re.I | re.VERBOSE,
)
_DOUBT = re.compile(
    r"""\b(?:not|never|avoid\w*|instead|rather|than|without|cannot|nor|neither|unless|if|except
    |against|wrong|mistake|bad|last|previous\w*|earlier|was|were|pressed|chose|tried|or|either|maybe
    |perhaps|might|could|examples?|legal|possible|recent|prior
    |option[ ][0-9A-Z]|says?|reads?|message|displays?)\b|n't\b""",
    re.I | re.VERBOSE,
)
_DOUBT_BEFORE = re.compile(
    rf"\b(?:[Nn]o(?: more)?|[A-Z]{{2,}}(?<!ACTION)"
    rf"|(?:opponents?|enem(?:y|ies)|players?|computer)(?: \w+)? {_PRESS})[ ,:]*[\"'(]*$"
)
_DOUBT_AFTER = re.compile(
    r"[ ]?(?:(?:is|was|are|side|of|edge|wall|half|corner|paddle|will|would|seems|looks|has)\b"
    r"|[A-Z]{2,}\b)"
)
_COUNTED = re.compile(
    rf"\b(?:[0-9]+|{'|'.join(_NUMBERS)}|few|some|several|many|more) ?frames?\b", re.I
)
_STOP = re.compile(r"[.!?\n;]")


def alone(grammar: ReplyGrammar, words: str) -> ParsedPlan | None:
    """A reply that is an answer and nothing else."""
    words = words.strip()
    phrase = grammar.match(words) if len(words) <= 100 else None
    return grammar.plan(phrase) if phrase and ENDS.match(words, phrase.end()) else None


def after_colon(grammar: ReplyGrammar, words: str) -> ParsedPlan | None:
    """A timed answer in capitals at the end of the last line, after a colon."""
    head, colon, tail = words.rstrip()[-400:].rpartition("\n")[2].rpartition(":")
    phrase = grammar.match(tail)
    if not (colon and phrase and phrase["name"] and phrase["n"]) or _NOT_NOW.search(head):
        return None
    if not all(same(other[0], phrase["name"]) for other in _LOUD.finditer(words)):
        return None
    loud = phrase["name"].isupper() and ENDS.match(tail, phrase.end())
    return grammar.plan(phrase) if loud else None


def prose(grammar: ReplyGrammar, words: str) -> ParsedPlan:
    """One action in capitals, plainly chosen."""
    mentions = list(islice(_LOUD.finditer(words), 21))
    if not mentions:
        raise Unclear("The reply names no legal action.")
    name = mentions[0][0]
    if len(mentions) > 20 or not all(same(mention[0], name) for mention in mentions):
        listed = ", ".join(dict.fromkeys(mention[0] for mention in mentions[:6]))
        raise Unclear(f"The reply names {listed} and does not say which is its final action.")
    action = grammar.named(name)
    if not all(_chosen(words, mention) for mention in mentions):
        raise Unclear(f"It is not clear whether the reply chooses {action}.")
    times = {grammar.frames(n) for mention in mentions if (n := _time(words, mention.end()))}
    if len(times) > 1 or (not times and _COUNTED.search(words)):
        raise Unclear(f"It is not clear for how many frames the reply holds {action}.")
    frames, note = times.pop() if times else grammar.frames(None)
    return ParsedPlan(Plan(action, frames), note)


def _chosen(words: str, mention: re.Match[str]) -> bool:
    """Whether the sentence around a name plainly chooses it."""
    before = _STOP.split(words[max(0, mention.start() - 300) : mention.start()])[-1].lstrip(" -#>")
    after = words[mention.end() : mention.end() + 300]
    stop = _STOP.search(after)
    if stop:
        after = after[: stop.end()]
    doubt = (
        _DOUBT.search(before)
        or _DOUBT_BEFORE.search(before)
        or _DOUBT.search(after)
        or _DOUBT_AFTER.match(after)
        or after.endswith("?")
    )
    return bool(_CHOOSES.search(before)) and not doubt


def _time(words: str, at: int) -> str | None:
    """The duration right after a name in prose, which needs its "for", "x" or "frames"."""
    found = _AFTERWARDS.match(words, at)
    return found["n"] if found and (found["how"] or found["unit"]) else None
