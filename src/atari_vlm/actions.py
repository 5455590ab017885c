"""A model's reply to a legal plan: tolerant of form, and never a guess.

Read, in this order:

1. explicit answers: a JSON object with an "action", a line "ACTION: LEFT x3" (also "Answer:",
   "Decide:", `<action>`, `\\boxed{}`); the last one in the reply wins, so a model may think aloud;
2. a reply that is nothing but an answer: "right.", "3", "(LEFT, 3)", "move up for 2 frames";
3. a last line that ends in an answer after a colon: "ball 45 30, paddle 52: LEFT for 3 frames";
4. prose that chooses exactly one action, in capitals, in a plain statement: "I will press FIRE."

Everything else is a fault, worded so that it can be shown to the model: lower-case directions in
prose, questions, negations, numbers of lists, two answers of which none is final. Every pattern is
bounded, so reading takes time linear in the reply.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NoReturn


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says to play, or why it says nothing that can be played."""

    action: str | None
    """A legal action name; None when the reply names none."""
    frames: int
    """Emulator frames to hold the action, 1 to the longest plan; 0 without an action."""
    fault: str = ""
    """Why there is no action, as a sentence for the model; empty when there is one."""
    note: str = ""
    """What was adjusted, for the record: the reply asked for more frames than there are."""


def read(text: str, legal: Sequence[str], longest: int) -> Reading:
    """Read a reply.

    Args:
        text: the model's words, of any length and content.
        legal: legal action names; a number in the reply is a place in this list, from 0.
        longest: most frames a plan may hold its action. A reply without a duration holds its
            action this long; one that asks for more is shortened, with a note.

    >>> read("The ball falls. ACTION: LEFT x2", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4)
    Reading(action='LEFT', frames=2, fault='', note='')
    """
    try:
        return _Reader(tuple(legal), longest).read(text)
    except _Unclear as fault:
        return Reading(None, 0, str(fault))


class _Unclear(Exception):
    """The reply cannot be read; the message is the fault."""


_ATOM = r"(?:NO[ _-]?OP|FIRE|UP|DOWN|LEFT|RIGHT)"
_CHORD = rf"{_ATOM}(?:(?:[ ]?[-_+][ ]?|[ ])?{_ATOM}){{0,5}}"
_WORDS = {word: n for n, word in enumerate("one two three four five six seven eight".split(), 1)}
_DURATION = rf"""
    [ ]{{0,2}}[,;|]?[ ]{{0,2}}(?P<paren>[(]?)[ ]?
    (?P<how>(?:hold|held)(?:[ ]for)?|for|x|(?:frames?|duration)[ ]?[:=])?[ ]{{0,2}}
    (?P<n>-?[0-9][0-9.]{{0,9}}|{"|".join(_WORDS)})(?:[ ]?(?P<unit>frames?|times|f))?(?![0-9A-Za-z])
    [ ]?[)]?"""
_PHRASE = re.compile(
    rf"""[\s("'\[<]{{0,8}}
    (?:(?:I|I'll|will|let's|please|the|my|best|final|next|action|move|press|push|go|hold|choose
        |select|option|number|is)(?:[ ]{{1,3}}|:[ ]?)){{0,6}}[\#"'(]{{0,3}}
    (?:(?P<index>-?[0-9]{{1,9}})(?![0-9]|[.][0-9]|[ ]?frames?\b|[ ]?x)
        (?:[ ]?[-:=.)]{{0,2}}[ ]?["'(]{{0,2}}(?P<also>{_CHORD})(?![\w-])[)]?)?
      |(?P<name>{_CHORD})(?![A-Za-z_]))
    ["']{{0,2}}(?:[ ](?:action|button)\b)?["']{{0,2}}(?:{_DURATION})?""",
    re.IGNORECASE | re.VERBOSE,
)
_LOUD = re.compile(rf"(?<![\w+-]){_CHORD}(?!_|[-+]?[A-Za-z])")
_AFTERWARDS = re.compile(_DURATION, re.VERBOSE | re.IGNORECASE)
_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>action|answer|decision|decide|move)[ ]{0,2}(?:[:=]|->|→|[ ]-[ ])
    |<(?P<tag>action|answer)>|(?P<boxed>\\boxed\{(?:\\text\{)?)""",
    re.IGNORECASE | re.VERBOSE,
)
_FRAMES_LABEL = re.compile(
    r"(?:^|\n)[ #>-]{0,4}(?:frames|duration)[ ]?[:=][ ]{0,3}([^\s]{1,12})", re.IGNORECASE
)
_LEADS = frozenset(
    "so thus therefore hence my the your final next best chosen recommended selected optimal "
    "immediate step decide decision here is and".split()
)
_NOT_LEADS = frozenset(
    "last previous recent prior earlier past legal possible available example example's not wrong "
    "opponent's old first".split()
)
_OTHER = re.compile(
    rf"[\s(,;/|&+>-]{{0,6}}(?:(?:or|and|then|maybe|perhaps|followed|by)[ ,]{{1,2}}){{0,3}}"
    rf"(?:(?:go|move|press)[ ])?{_CHORD}(?![\w-])",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"""[\s)\]"'}>]{0,6}(?:$|[\n.,;!(<]|[ ]?-[ ]|(?:because|since|as|so|to|while|until)\b)""",
    re.IGNORECASE,
)
_ENDS = re.compile(r"""[\s.!)\]"'}>]{0,12}$""")
_CHOOSES = re.compile(
    r"""(?:^|\b(?:(?:choose|press|pick|select|play|push|hold|tap|so|then|therefore|go(?:ing)?[ ]with
    |(?:action|answer|move|choice|decision|option)(?:[ ]is|[ ]to[ ]take[ ]is)?
    |(?:I|we|I'll|should|let's|to|will)[ ](?:move|go|head|steer))(?:[ ]to)?))
    [\s,:]{0,2}["'(]{0,2}$""",
    re.IGNORECASE | re.VERBOSE,
)
_DOUBT = re.compile(
    r"""\b(?:not|never|avoid\w*|instead|rather|than|without|cannot|nor|neither|unless|if|except|against
    |wrong|mistake|bad|last|previous\w*|earlier|was|were|pressed|chose|tried|or|either|maybe|perhaps
    |might|could|opponent|enemy)\b|n't\b|\bno[ ](?:more[ ])?$""",
    re.IGNORECASE | re.VERBOSE,
)
_AFTER = re.compile(
    r"[ ]?(?:is|was|are|side|of|edge|wall|half|corner|paddle|will|would|seems|looks|has|[A-Z]{2,})\b"
)
_PAIR = re.compile(
    r"""[{,]\s{0,20}["']?(\w{1,20})["']?\s{0,4}[:=]\s{0,4}["']?([^"',{}\n]{0,40})["']?\s{0,20}(?=[,}])"""
)
_FLAT = re.compile(r"\{[^{}]*\}")
_ACTION_KEYS = ("action", "next_action", "final_action", "answer", "decision", "move")
_FRAMES_KEYS = ("frames", "duration", "num_frames", "hold")
_PLAIN = str.maketrans({"×": "x", "✕": "x", "✖": "x", "’": "'", "‘": "'", "“": '"', "”": '"'}) | (
    dict.fromkeys(map(ord, "–—−‐‑"), "-") | {ord("`"): None}
)
