r"""Parse the legal plan of a model's reply: tolerant of form, without guessing.

Accepted, in this order:

1. a labelled answer: a JSON object with an "action", or a line "ACTION: LEFT x3" (also "Answer:",
   "Decide:", `<action>`, `\boxed{}`). The last one in the reply wins, so a model may reason first;
2. a reply that is only an answer: "right.", "3", "(LEFT, 3)", "move up for 2 frames";
3. a last line that ends in an answer with a duration: "ball 45 30, paddle 52: LEFT for 3 frames";
4. prose that clearly chooses exactly one action, in capitals: "So I will press FIRE."

Anything else is a fault, as a sentence that can be shown to the model: directions in lower-case
prose, questions, negations, the numbers of a list, two answers of which none is final. Every
pattern is bounded, so that parsing takes linear time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from atari_vlm.replies.json_answers import (
    UNFINISHED_JSON,
    JSONAnswer,
    blank_json,
    find_json,
    plan_from_json,
)
from atari_vlm.replies.prose import parse_bare_answer, parse_last_line, parse_prose
from atari_vlm.replies.reply_grammar import (
    CHORD,
    ParsedPlan,
    ReplyGrammar,
    UnclearReply,
    quoted,
)
from atari_vlm.types import Plan


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """The plan of a reply, or why it has none."""

    plan: Plan | None
    """A legal action, held for at least 1 and at most `longest` frames; None with a fault."""
    fault: str = ""
    """Why there is no plan, as a sentence for the model; empty if there is one."""
    note: str = ""
    """Adjustment for the record: the reply asked for more frames than allowed."""


def parse_plan(text: str, legal: Sequence[str], longest: int) -> ParsedReply:
    """Parse a reply.

    Args:
        text: the reply, of any length and content.
        legal: legal action names; a number in the reply is an index into them.
        longest: most frames a plan may hold its action. A plan without a duration holds its action
            this long; one that asks for more is shortened, with a note.

    >>> parse_plan("The ball falls. ACTION: LEFT x2", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4).plan
    Plan(action='LEFT', frames=2)
    """
    grammar = ReplyGrammar(legal, longest)
    try:
        text = normalise(text)
        objects = list(find_json(text))
        text = blank_json(text, objects)
        plan, note = _parse_labelled(grammar, text, objects) or _parse_unlabelled(
            grammar, text, objects
        )
    except UnclearReply as fault:
        return ParsedReply(None, str(fault))
    return ParsedReply(plan, "", note)


_SUBSTITUTES = str.maketrans(
    "\u00d7\u2715\u2716\u2010\u2011\u2013\u2014\u2212\u2018\u2019\u201c\u201d`$", "xxx-----''''  "
)


def normalise(text: str) -> str:
    """The text after any <think> block, without Markdown and typographic characters."""
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        raise UnclearReply("The reply breaks off while thinking, before an answer.")
    text = unicodedata.normalize("NFKC", text).translate(_SUBSTITUTES)
    text = re.sub(r"(?<=\w) ?\*(?!\*) ?(?=[0-9])", " x ", text).replace("*", "")
    text = re.sub(r"(?<![A-Za-z])_+|_+(?![A-Za-z])", " ", text)
    if not text.strip():
        raise UnclearReply("The reply is empty.")
    return text


# --- ACTION lines --------------------------------------------------------------------------------

_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>action|answer|choice|decision|decide|move|output)
        [ ]{0,2}(?:[:=]|->|→|[ ]-[ ])
    |<(?:action|answer)>|\\boxed\{(?:\\text\{)?""",
    re.IGNORECASE | re.VERBOSE,
)
_BEFORE_LABEL = re.compile(
    r"(?:[^a-z]|\b(?:so|thus|therefore|hence|my|the|your|final|next|best|chosen|recommended|selected"
    r"|optimal|step|immediate|decide|decision|here|is|and)\b)*",
    re.I,
)
_NOT_BEFORE_LABEL = re.compile(
    r"\b(?:last|previous|recent|prior|earlier|past|legal|possible|available|option|example|not|wrong|old"
    r"|first|opponent|enemy)\b",
    re.I,
)
_FRAMES_LINE = re.compile(r"(?:^|\n)[ #>-]{0,4}(?:frames|duration)[ ]?[:=][ ]{0,3}(\S{1,12})", re.I)
_MAY_FOLLOW = re.compile(
    r"""[ )\]"'}>]{0,6}(?:$|[.,;!(<]|[ ]?-[ ]|(?:because|since|as|so|to|while|until)\b)""", re.I
)
_ANOTHER = re.compile(
    rf"[\s(,;/|&+>-]{{0,6}}(?:(?:or|and|then|maybe|perhaps|followed|by)[ ,]{{1,2}}){{0,3}}"
    rf"(?:(?:go|move|press)[ ])?{CHORD}(?![\w-])",
    re.I,
)


def _parse_labelled(
    grammar: ReplyGrammar, text: str, objects: Sequence[JSONAnswer]
) -> ParsedPlan | None:
    """The last JSON answer or ACTION line."""
    answers: list[tuple[int, JSONAnswer | re.Match[str]]] = [
        *((value.start, value) for value in objects if value.action is not None),
        *((label.start(), label) for label in _LABEL.finditer(text) if introduces(label, text)),
    ]
    unfinished = max((brace.start() for brace in UNFINISHED_JSON.finditer(text)), default=-1)
    for start, answer in sorted(answers, key=lambda pair: pair[0], reverse=True):
        if start < unfinished:
            raise UnclearReply("The JSON of the reply is incomplete.")
        if isinstance(answer, JSONAnswer):
            _check_final(answer, objects, text)
            return plan_from_json(grammar, answer)
        plan = _plan_from_line(grammar, answer, text)
        if plan is not None:
            return plan
    return None


def _check_final(answer: JSONAnswer, objects: Sequence[JSONAnswer], text: str) -> None:
    """Raise UnclearReply for an array: [{"action": "LEFT"}, {"action": "RIGHT"}]."""
    before = objects[: objects.index(answer)]
    if not before or before[-1].action == answer.action:
        return
    if text[before[-1].end : answer.start].strip() == ",":
        raise UnclearReply("The reply lists several actions; name the one to play now.")


def introduces(label: re.Match[str], text: str) -> bool:
    """Whether the text before a label introduces an answer, unlike "Last action:"."""
    if not label.lastgroup:
        return True
    before = re.split(r"[\n.;!?>]", text[max(0, label.start() - 60) : label.start()])[-1]
    if label["word"].isupper():
        return not _NOT_BEFORE_LABEL.search(before)
    return bool(_BEFORE_LABEL.fullmatch(before))


def _plan_from_line(grammar: ReplyGrammar, label: re.Match[str], text: str) -> ParsedPlan | None:
    line = text[label.end() : label.end() + 240].lstrip().partition("\n")[0]
    answer = grammar.match(line)
    if answer is None:
        if (label["word"] or "action").lower() != "action":
            return None
        raise grammar.refusal(line) if line else UnclearReply("The reply ends before its action.")
    if not _is_complete(answer, line[answer.end() :]):
        raise UnclearReply(f"It is not clear which action {quoted(line)} means.")
    parsed = grammar.plan(answer)
    durations = _FRAMES_LINE.findall(text) if answer["n"] is None else []
    if not durations:
        return parsed
    frames, note = grammar.frames(durations[-1])
    return ParsedPlan(Plan(parsed.plan.action, frames), note)


def _is_complete(answer: re.Match[str], rest: str) -> bool:
    """Whether the rest of the line does not change the answer."""
    listed = answer["index"] and not answer["also"] and re.match(r"[.)] *[A-Za-z]", rest)
    idiom = answer["name"] and not answer["name"].isupper() and re.match(r" (?:to|as|so)\b", rest)
    frames_later = answer["n"] is None and re.search(r"[0-9] ?frames?", rest)
    return bool(_MAY_FOLLOW.match(rest)) and not (
        listed or idiom or frames_later or _ANOTHER.match(rest) or re.match(r"[^.!]*[?]", rest)
    )


def _parse_unlabelled(
    grammar: ReplyGrammar, text: str, objects: Sequence[JSONAnswer]
) -> ParsedPlan:
    """An answer without a label."""
    if objects:
        raise UnclearReply('The JSON of the reply has no "action".')
    if UNFINISHED_JSON.search(text):
        raise UnclearReply("The JSON of the reply is incomplete.")
    return (
        parse_bare_answer(grammar, text)
        or parse_last_line(grammar, text)
        or parse_prose(grammar, text)
    )
