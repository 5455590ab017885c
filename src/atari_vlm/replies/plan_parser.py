r"""A model's reply to a legal plan: tolerant of form, and never a guess.

Read, in this order:

1. explicit answers: a JSON object with an "action", a line "ACTION: LEFT x3" (also "Answer:",
   "Decide:", `<action>`, `\boxed{}`); the last one in the reply wins, so a model may think aloud;
2. a reply that is nothing but an answer: "right.", "3", "(LEFT, 3)", "move up for 2 frames";
3. a last line that ends in a timed answer: "ball 45 30, paddle 52: LEFT for 3 frames";
4. prose that plainly chooses exactly one action, in capitals: "So I will press FIRE."

Everything else is a fault, worded so that it can be shown to the model: lower-case directions in
prose, questions, negations, the numbers of a list, two answers of which none is final. Every
pattern is bounded, so the time is linear in the length of the reply.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.reply_grammar import (
    CHORD,
    ENDS,
    ParsedPlan,
    ReplyGrammar,
    Unclear,
    after_colon,
    alone,
    prose,
    quoted,
)
from atari_vlm.types import Plan


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a reply says to play, or why it says nothing that can be played."""

    plan: Plan | None
    """A legal action, held for 1 to the most frames; None when the reply names no such plan."""
    fault: str = ""
    """Why there is no plan, as a sentence for the model; empty when there is one."""
    note: str = ""
    """What was adjusted, for the record: the reply asked for more frames than there are."""


def parse_plan(text: str, legal: Sequence[str], longest: int) -> ParsedReply:
    """Read a reply.

    Args:
        text: the model's words, of any length and content.
        legal: legal action names; a number in the reply is a place in this list, from 0.
        longest: most frames a plan may hold its action. A reply without a duration holds its
            action this long; one that asks for more is shortened, with a note.

    >>> parse_plan("The ball falls. ACTION: LEFT x2", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4).plan
    Plan(action='LEFT', frames=2)
    """
    grammar = ReplyGrammar(legal, longest)
    try:
        words = plain(text)
        objects = list(objects_in(words))
        words = blanked(words, objects)
        plan, note = _explicit(grammar, words, objects) or _implicit(grammar, words, objects)
    except Unclear as fault:
        return ParsedReply(None, str(fault))
    return ParsedReply(plan, "", note)


_PLAIN = str.maketrans(
    "\u00d7\u2715\u2716\u2010\u2011\u2013\u2014\u2212\u2018\u2019\u201c\u201d`$", "xxx-----''''  "
)


def plain(text: str) -> str:
    """The words after any thinking block, without typographic and Markdown dress."""
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        raise Unclear("The reply breaks off while thinking, before an answer.")
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    text = re.sub(r"(?<=\w) ?\*(?!\*) ?(?=[0-9])", " x ", text).replace("*", "")
    text = re.sub(r"(?<![A-Za-z])_+|_+(?![A-Za-z])", " ", text)
    if not text.strip():
        raise Unclear("The reply is empty.")
    return text


# --- JSON ----------------------------------------------------------------------------------------

_ACTION_KEYS = ("action", "next_action", "final_action", "answer", "decision", "move", "name")
_FRAMES_KEYS = ("frames", "duration", "num_frames", "hold")
_FLAT = re.compile(r"\{[^{}]*\}")
UNFINISHED = re.compile(r"\{\s{0,20}[\"']")
_PAIR = re.compile(
    r"""[{,]\s{0,20}["']?([A-Za-z_]{1,20})["']?\s{0,4}[:=]\s{0,4}["']?([^"',{}\n]{0,40})["']?"""
    r"\s{0,20}(?=[,}])"
)


_LIST_KEYS = ("actions", "plans", "moves", "plan", "sequence")


@dataclass(frozen=True, slots=True)
class Found:
    """A JSON object of a reply: where it stands, and what it says."""

    start: int
    end: int
    action: Any = None
    frames: Any = None
    listed: Any = None
    """What it gives in place of a single action: several, for `sequences`."""


def objects_in(text: str) -> Iterator[Found]:
    """Every complete JSON object, outermost only, and flat ones that are almost JSON."""
    decode = json.JSONDecoder(strict=False, object_pairs_hook=_unambiguous).raw_decode
    at, failures = text.find("{"), 0
    while at >= 0:
        try:
            value, end = decode(text, at)
        except (ValueError, RecursionError):
            failures += 1
            flat = _FLAT.match(text, at)
            value, end = _pairs(flat[0]) if flat else {}, flat.end() if flat else at + 1
        if failures > 500:
            raise Unclear("The reply holds too many braces to be read.")
        if value:
            yield _found(at, end, value)
        at = text.find("{", end)


def _found(start: int, end: int, value: dict[str, Any]) -> Found:
    action, frames = _first(value, _ACTION_KEYS), _first(value, _FRAMES_KEYS)
    if isinstance(action, dict):  # {"action": {"name": "LEFT", "frames": 3}}
        frames = _first(action, _FRAMES_KEYS) if frames is None else frames
        action = _first(action, _ACTION_KEYS)
    return Found(start, end, action, frames, _first(value, _LIST_KEYS))


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object with lower-case keys, none of which has two values."""
    value: dict[str, Any] = {}
    for key, item in pairs:
        key = key.lower()
        if key in value and value[key] != item:
            raise Unclear(f"The JSON of the reply gives {quoted(key)} twice.")
        value[key] = item
    return value


def _pairs(flat: str) -> dict[str, Any]:
    """What can be read of {'action': 'LEFT', frames: 3,}."""
    pairs = _unambiguous(_PAIR.findall(flat))
    return pairs if not pairs.keys().isdisjoint(_ACTION_KEYS) else {}


def _first(value: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)


def blanked(text: str, objects: Sequence[Found]) -> str:
    """The text with spaces in place of the objects."""
    parts, at = [], 0
    for found in objects:
        parts += [text[at : found.start], " " * (found.end - found.start)]
        at = found.end
    return "".join(parts) + text[at:]


def found_in(value: dict[str, Any]) -> Found:
    """What a JSON object says, wherever it stands."""
    return _found(0, 0, value)


def from_object(grammar: ReplyGrammar, found: Found) -> ParsedPlan:
    """The plan that a JSON object names; raises Unclear."""
    timed = False
    if isinstance(found.action, str):
        phrase = grammar.match(found.action)
        if phrase is None or not ENDS.match(found.action, phrase.end()):
            raise grammar.refusal(found.action)
        timed = phrase["n"] is not None
        named = grammar.plan(phrase)
    else:
        number = found.action
        if isinstance(number, bool) or not isinstance(number, int | float) or number % 1 != 0:
            raise Unclear('The "action" of the JSON must be the name or number of an action.')
        named = ParsedPlan(Plan(grammar.numbered(int(number)), grammar.longest))
    if found.frames is None:
        return named
    frames, note = grammar.frames(found.frames)
    if timed and frames != named.plan.frames:
        raise Unclear("The reply gives two different numbers of frames.")
    return ParsedPlan(Plan(named.plan.action, frames), note)


# --- ACTION lines --------------------------------------------------------------------------------

_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>action|answer|choice|decision|decide|move|output)
        [ ]{0,2}(?:[:=]|->|→|[ ]-[ ])
    |<(?:action|answer)>|\\boxed\{(?:\\text\{)?""",
    re.IGNORECASE | re.VERBOSE,
)
_LEADS = re.compile(
    r"(?:[^a-z]|\b(?:so|thus|therefore|hence|my|the|your|final|next|best|chosen|recommended|selected"
    r"|optimal|step|immediate|decide|decision|here|is|and)\b)*",
    re.I,
)
_NOT_LEADS = re.compile(
    r"\b(?:last|previous|recent|prior|earlier|past|legal|possible|available|option|example|not|wrong|old"
    r"|first|opponent|enemy)\b",
    re.I,
)
_APART = re.compile(r"(?:^|\n)[ #>-]{0,4}(?:frames|duration)[ ]?[:=][ ]{0,3}(\S{1,12})", re.I)
_MAY_FOLLOW = re.compile(
    r"""[ )\]"'}>]{0,6}(?:$|[.,;!(<]|[ ]?-[ ]|(?:because|since|as|so|to|while|until)\b)""", re.I
)
_ANOTHER = re.compile(
    rf"[\s(,;/|&+>-]{{0,6}}(?:(?:or|and|then|maybe|perhaps|followed|by)[ ,]{{1,2}}){{0,3}}"
    rf"(?:(?:go|move|press)[ ])?{CHORD}(?![\w-])",
    re.I,
)


def _explicit(grammar: ReplyGrammar, words: str, objects: Sequence[Found]) -> ParsedPlan | None:
    """The last JSON answer or ACTION line."""
    answers: list[tuple[int, Found | re.Match[str]]] = [
        *((found.start, found) for found in objects if found.action is not None),
        *((label.start(), label) for label in _LABEL.finditer(words) if leads(label, words)),
    ]
    unfinished = max((found.start() for found in UNFINISHED.finditer(words)), default=-1)
    for start, answer in sorted(answers, key=lambda pair: pair[0], reverse=True):
        if start < unfinished:
            raise Unclear("The JSON of the reply is incomplete.")
        if isinstance(answer, Found):
            _check_last(answer, objects, words)
            return from_object(grammar, answer)
        plan = _from_label(grammar, answer, words)
        if plan is not None:
            return plan
    return None


def _check_last(answer: Found, objects: Sequence[Found], words: str) -> None:
    """Raise Unclear for [{"action": "LEFT"}, {"action": "RIGHT"}]: a list has no final answer."""
    before = objects[: objects.index(answer)]
    if not before or before[-1].action == answer.action:
        return
    if words[before[-1].end : answer.start].strip() == ",":
        raise Unclear("The reply lists several actions; name the one to play now.")


def leads(label: re.Match[str], words: str) -> bool:
    """Whether the words before a label introduce an answer, unlike "Last action:"."""
    if not label.lastgroup:
        return True
    before = re.split(r"[\n.;!?>]", words[max(0, label.start() - 60) : label.start()])[-1]
    if label["word"].isupper():
        return not _NOT_LEADS.search(before)
    return bool(_LEADS.fullmatch(before))


def _from_label(grammar: ReplyGrammar, label: re.Match[str], words: str) -> ParsedPlan | None:
    line = words[label.end() : label.end() + 240].lstrip().partition("\n")[0]
    phrase = grammar.match(line)
    if phrase is None:
        if (label["word"] or "action").lower() != "action":
            return None
        raise grammar.refusal(line) if line else Unclear("The reply ends before its action.")
    if not _settled(phrase, line[phrase.end() :]):
        raise Unclear(f"It is not clear which action {quoted(line)} means.")
    named = grammar.plan(phrase)
    apart = _APART.findall(words) if phrase["n"] is None else []
    if not apart:
        return named
    frames, note = grammar.frames(apart[-1])
    return ParsedPlan(Plan(named.plan.action, frames), note)


def _settled(phrase: re.Match[str], rest: str) -> bool:
    """Whether the rest of an answer's line leaves the answer as it is."""
    listed = phrase["index"] and not phrase["also"] and re.match(r"[.)] *[A-Za-z]", rest)
    idiom = phrase["name"] and not phrase["name"].isupper() and re.match(r" (?:to|as|so)\b", rest)
    frames_later = phrase["n"] is None and re.search(r"[0-9] ?frames?", rest)
    return bool(_MAY_FOLLOW.match(rest)) and not (
        listed or idiom or frames_later or _ANOTHER.match(rest) or re.match(r"[^.!]*[?]", rest)
    )


def _implicit(grammar: ReplyGrammar, words: str, objects: Sequence[Found]) -> ParsedPlan:
    """An answer that nothing announces."""
    if objects:
        raise Unclear('The JSON of the reply has no "action".')
    if UNFINISHED.search(words):
        raise Unclear("The JSON of the reply is incomplete.")
    return alone(grammar, words) or after_colon(grammar, words) or prose(grammar, words)
