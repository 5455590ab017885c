"""Answers without a label: a bare answer, a last line such as "...: LEFT for 3 frames", prose."""

from __future__ import annotations

import re
from itertools import islice

from atari_vlm.replies.reply_grammar import (
    CHORD,
    DURATION,
    ENDS,
    NUMBERS,
    ParsedPlan,
    ReplyGrammar,
    UnclearReply,
    same_action,
)
from atari_vlm.types import Plan

_CAPITALS = re.compile(rf"(?<![\w+-]){CHORD}(?!_|[-+]?[A-Za-z])")
_DURATION = re.compile(DURATION, re.I | re.VERBOSE)
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
_FRAMES = re.compile(
    rf"\b(?:[0-9]+|{'|'.join(NUMBERS)}|few|some|several|many|more) ?frames?\b", re.I
)
_STOP = re.compile(r"[.!?\n;]")


def parse_bare_answer(grammar: ReplyGrammar, text: str) -> ParsedPlan | None:
    """Parse a reply that is only an answer."""
    text = text.strip()
    answer = grammar.match(text) if len(text) <= 100 else None
    return grammar.plan(answer) if answer and ENDS.match(text, answer.end()) else None


def parse_last_line(grammar: ReplyGrammar, text: str) -> ParsedPlan | None:
    """Parse an answer in capitals with a duration after a colon at the end of the last line."""
    head, colon, tail = text.rstrip()[-400:].rpartition("\n")[2].rpartition(":")
    answer = grammar.match(tail)
    if not (colon and answer and answer["name"] and answer["n"]) or _NOT_NOW.search(head):
        return None
    if not all(same_action(other[0], answer["name"]) for other in _CAPITALS.finditer(text)):
        return None
    final = answer["name"].isupper() and ENDS.match(tail, answer.end())
    return grammar.plan(answer) if final else None


def parse_prose(grammar: ReplyGrammar, text: str) -> ParsedPlan:
    """Parse prose that clearly chooses one action, in capitals. Raises UnclearReply otherwise."""
    mentions = list(islice(_CAPITALS.finditer(text), 21))
    if not mentions:
        raise UnclearReply("The reply names no legal action.")
    name = mentions[0][0]
    if len(mentions) > 20 or not all(same_action(mention[0], name) for mention in mentions):
        listed = ", ".join(dict.fromkeys(mention[0] for mention in mentions[:6]))
        raise UnclearReply(f"The reply names {listed} and does not say which is its final action.")
    action = grammar.named(name)
    if not all(_chosen(text, mention) for mention in mentions):
        raise UnclearReply(f"It is not clear whether the reply chooses {action}.")
    times = {grammar.frames(n) for mention in mentions if (n := _duration(text, mention.end()))}
    if len(times) > 1 or (not times and _FRAMES.search(text)):
        raise UnclearReply(f"It is not clear for how many frames the reply holds {action}.")
    frames, note = times.pop() if times else grammar.frames(None)
    return ParsedPlan(Plan(action, frames), note)


def _chosen(text: str, mention: re.Match[str]) -> bool:
    """Whether the sentence around a name clearly chooses it."""
    before = _STOP.split(text[max(0, mention.start() - 300) : mention.start()])[-1].lstrip(" -#>")
    after = text[mention.end() : mention.end() + 300]
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


def _duration(text: str, start: int) -> str | None:
    """The duration right after a name in prose, if it has a "for", an "x" or a "frames"."""
    found = _DURATION.match(text, start)
    return found["n"] if found and (found["how"] or found["unit"]) else None
