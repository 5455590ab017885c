"""Answers without a label: a bare answer, a line that is one, "...: LEFT for 3 frames", prose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Literal

from atari_vlm.replies.contradiction import NAMES, is_taken_back
from atari_vlm.replies.english_clauses import (
    DEED,
    IT_SHOULD,
    LOWER,
    chooses,
    is_weighed,
    leads_up,
    leaves_open,
    prefers,
)
from atari_vlm.replies.examples import is_example, quotations
from atari_vlm.replies.foreign_clauses import choice_in_clause, tells_what_to_do
from atari_vlm.replies.leads import is_conditional
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import (
    DURATION,
    NUMBERS,
    UNIT,
    Answer,
    ParsedPlan,
    ReplyGrammar,
    UnclearReply,
    chord_of,
    same_action,
)
from atari_vlm.replies.words import (
    ENGLISH_HEDGE,
    ENGLISH_NEGATION,
    LABELS,
    LATER,
    NEGATION,
)
from atari_vlm.types import Plan

_DURATION = pattern(DURATION, re.I | re.VERBOSE)
_NOT_NOW = pattern(
    r"\b(?:last|previous\w*|earlier|recent|avoid|never|not|cannot|if|or|example|enemy's|opponent's"
    r"|like|such as|want me|write|option|watch|beware|thoughts?|thinking|maybe|perhaps"
    r"|format)\b|n't\b",
    re.I,
)
_PRESS = r"(?:choose|press|pick|select|play|push|tap)"
_DOUBT = pattern(
    r"""\b(?:against|wrong|mistake|bad|last|previous\w*|earlier|was|were|pressed|chose|tried|refuse
    |examples?|legal|possible|recent|prior|format|suggest\w*|wants?[ ]me
    |(?<!with[ ])(?<!choose[ ])(?<!pick[ ])(?<!select[ ])(?<!take[ ])(?<!play[ ])(?<!is[ ])
     (?<!for[ ])option[ ][0-9A-Z]|says?
    |thoughts?(?=:)|thinking(?=:)|such[ ]as|reads?|message|displays?|shown|manual
    |guidelines?|harm\w*)\b""",
    re.I | re.VERBOSE,
)
_LABELLED = pattern(rf"(?<!\w)(?:{LABELS})[ ]{{0,2}}[:=][ \"'(]{{0,4}}$", re.I)
_OF_OTHERS = pattern(
    r"\b(?:opponents?|enem(?:y|ies)|computer|cpu|someone|somebody|anyone|others?|they|he|she|who)\b"
    r"(?:(?!\b(?:I|I'll|we|so)\b)[^,;:]){0,40}$",
    re.I,
)
_DOUBT_BEFORE = pattern(
    rf"\b(?:[Nn]o(?: more)?|[A-Z]{{2,}}(?<!ACTION)(?<!ANSWER)"
    rf"|(?:opponents?|enem(?:y|ies)|players?|computer)(?: (?!should|must)\w+)?"
    rf" {_PRESS})[ ,:]*[\"'(]*$"
)
_DOUBT_AFTER = pattern(
    r"[ ]?(?:(?:(?:now|here|again)[ ])?(?:is|was|are|side|of|edge|wall|half|corner|paddle|will"
    r"|would|seems|looks|has)\b"
    r"|[A-Z]{2,}\b|:)"
)
_ALONE = pattern(
    r"""[ ]{0,2}(?:$|[!.…]|,?[ ](?:it[ ]is(?=[.!]|$)|because|since|as
    |so[ ](?:that|I|the)|in[ ]order[ ]to
    |weil|car
        |porque|потому|to[ ](?!(?:now|date|you|this|the|there|here|me|us|it|my|your)\b)
        [a-z])
    |[ ]?-[ ](?:the|to|I|because|this|ball)\b)""",
    re.I | re.VERBOSE,
)
"""What follows a name that begins a sentence, if the sentence chooses it."""
_OPENING = pattern(
    r"^(?:(?:okay|ok|sure|alright|yes|well|now|definitely|certainly|clearly)[,!: ]{1,2})?"
    r"[\"'(\[]{0,2}$",
    re.I,
)
_MAIN = pattern(r"[ ]*(?:I|we|I'll|I'd|let's|my|the (?:best|next|right))\b", re.I)
_MY = pattern(r"\b(?:I|we|please|under|never)\b", re.I)
_SO = pattern(
    r"(?:[,;]|\band)[ ]{1,2}(?:so|therefore|thus|hence|(?P<then>then))\b|\b(?:therefore"
    r"|hence)\b",
    re.I,
)
_REASON = pattern(
    r",|\b(?:because|since|as(?! (?:soon|long) as)|so(?! long as)|to|car|weil|porque|потому)\b"
    r"|因为|因為",
    re.I,
)
_FRAMES = pattern(rf"\b(?:[0-9]+|{'|'.join(NUMBERS)}|few|some|several|many|more) ?{UNIT}", re.I)
_STOP = pattern(r"[.?\n…]|;(?! then\b)|!(?![^\W\d])")
_OF_ACTION = pattern(
    rf"\b(?:action|do|move|press|play|choose|choice|take|next|answer|so|final|{LABELS})\b|动|答|行",
    re.I,
)
_BULLET = pattern(r"^(?:[\s>#•]|-(?=\s)){1,12}")

_Meaning = Literal["chosen", "doubtful", "mentioned"]


def parse_bare_answer(grammar: ReplyGrammar, text: str) -> ParsedPlan | None:
    """Parse a reply that is only an answer."""
    text = _BULLET.sub("", text.strip()) if len(text) < 2_000 else ""
    answer = grammar.only(text) if 0 < len(text) <= 100 else None
    return grammar.plan(answer) if answer else None


def parse_last_line(grammar: ReplyGrammar, text: str) -> ParsedPlan | None:
    """Parse an answer in capitals with a duration after a colon at the end of the last line."""
    head, colon, tail = text.rstrip()[-400:].rpartition("\n")[2].rpartition(":")
    if not colon:
        return None
    answer = grammar.only(tail)
    if not (answer and answer.name) or _NOT_NOW.search(head):
        return None
    if _LABELLED.search(head + ":"):  # a label that introduces no answer: "Enemy action: LEFT x2"
        return None
    told = _STOP.split(head)[-1]
    does = DEED.match(told) and not LATER.search(told)
    if not answer.n and ("\n" in text.strip() or not (does or tells_what_to_do(told))):
        return None
    if not all(same_action(other[0], answer.name) for other in NAMES.finditer(text)):
        return None
    return grammar.plan(answer) if answer.name.isupper() else None


def parse_line(grammar: ReplyGrammar, text: str) -> ParsedPlan | None:
    """Parse a first or last line that is only an answer. Raises UnclearReply if it is doubtful."""
    lines = [line for line in text.split("\n") if line.strip()]
    bare = {at: answer for at, line in enumerate(lines) if (answer := _bare(grammar, line))}
    if not bare or len({_key(answer) for answer in bare.values()}) > 1:
        return None
    last = len(lines) - 1
    if last in bare:
        astray = last and _is_led_astray(lines[last - 1])
        if astray or is_example(text, text.rindex(lines[last])):
            raise UnclearReply(f"It is not clear whether the reply chooses {bare[last].name}.")
        return grammar.plan(bare[last])
    if 0 in bare and bare[0].name.lower() != "right":
        parsed = grammar.plan(bare[0])
        if not is_taken_back("\n".join(lines[1:]), parsed.plan.action):
            return parsed
    return None


def _bare(grammar: ReplyGrammar, line: str) -> Answer | None:
    line = _BULLET.sub("", line.strip())
    answer = grammar.only(line) if len(line) <= 80 else None
    return answer if answer and answer.name else None


def _key(answer: Answer) -> tuple[str, str]:
    return "".join(answer.name.upper().split()), answer.n


def _is_led_astray(line: str) -> bool:
    """Whether the line above an answer makes it something else than a choice."""
    line = line.strip()
    if line.endswith(("?", ":")):
        return not _OF_ACTION.search(line) or bool(_NOT_NOW.search(line) or NEGATION.search(line))
    return line.endswith((",", "not", "never")) and bool(NEGATION.search(line))


def parse_prose(grammar: ReplyGrammar, text: str) -> ParsedPlan:
    """Parse prose that clearly chooses one action. Raises UnclearReply otherwise."""
    text = IT_SHOULD.sub(_named_again, text)
    mentions = list(islice(NAMES.finditer(text), 21))
    if not mentions:
        return _parse_lower_case(grammar, text)
    if len(mentions) <= 20 and len({chord_of(each[0]) for each in mentions}) > 1:
        mentions = [
            each for each in mentions if not is_weighed(*_around(text, each.start(), each.end()))
        ] or mentions
    name = mentions[0][0]
    if len(mentions) > 20 or not all(same_action(mention[0], name) for mention in mentions):
        listed = ", ".join(dict.fromkeys(mention[0] for mention in mentions[:6]))
        raise UnclearReply(f"The reply names {listed} and does not say which is its final action.")
    action = grammar.named(name)
    _check_numbers(grammar, text, mentions, action)
    quotes = _quotes(grammar, text)
    meanings: list[_Meaning] = [
        "mentioned" if _is_quoted(mention, quotes) else _meaning(text, mention)
        for mention in mentions
    ]
    if "doubtful" in meanings or "chosen" not in meanings:
        raise UnclearReply(f"It is not clear whether the reply chooses {action}.")
    chosen = mentions[len(meanings) - 1 - meanings[::-1].index("chosen")]
    _check_tail(text[chosen.end() :], action)
    times = {grammar.frames(n) for mention in mentions if (n := _duration(text, mention.end()))}
    if len(times) > 1 or (not times and _FRAMES.search(text)):
        raise UnclearReply(f"It is not clear for how many frames the reply holds {action}.")
    frames, note = times.pop() if times else grammar.frames(None)
    return ParsedPlan(Plan(action, frames), note)


def _named_again(found: re.Match[str]) -> str:
    return f"{found['subject']}the {'player' if found['own'] else 'opponent'}"


def _parse_lower_case(grammar: ReplyGrammar, text: str) -> ParsedPlan:
    """Parse "I need to move left to catch the ball."."""
    chosen = list(islice(LOWER.finditer(text), 5))
    names = {
        "".join(
            (found["name"] or found["told"] or found["fire"] or found["should"]).lower().split()
        )
        for found in chosen
    }
    if len(names) != 1:
        raise UnclearReply(
            f"The reply names no legal action: choose one of {grammar.listed}, in capitals."
        )
    action = grammar.named(names.pop())
    quotes = _quotes(grammar, text)
    for found in chosen:
        before, after = _around(text, found.start(), found.end())
        quoted = _is_quoted(found, quotes)
        if (
            quoted
            or _OR_ANOTHER.search(after)
            or _is_doubted(before + found[0], after)
            or not leads_up(before)
        ):
            raise UnclearReply(f"It is not clear whether the reply chooses {action}.")
    _check_tail(text[chosen[-1].end() :], action)
    times = {n for found in chosen if (n := _duration(text, found.end()))}
    if len(times) > 1 or (not times and _FRAMES.search(text)):
        raise UnclearReply(f"It is not clear for how many frames the reply holds {action}.")
    frames, note = grammar.frames(times.pop() if times else None)
    return ParsedPlan(Plan(action, frames), note)


_OR_ANOTHER = pattern(
    r"\b(?:or|then|else|otherwise)\b[^.!?]{0,30}\b(?:left|right|up|down|fire)\b", re.I
)


def _quotes(grammar: ReplyGrammar, text: str) -> list[tuple[int, int]]:
    """Where something stands in quotation marks that is more than an answer."""
    return [(start, end) for start, end, words in quotations(text) if not grammar.only(words)]


def _is_quoted(found: re.Match[str], quotes: Sequence[tuple[int, int]]) -> bool:
    return any(start < found.start() < end for start, end in quotes)


_NUMBERED = pattern(
    r"(?:(?:option|action|number|button|choice|\#)[ ]{0,2}(?P<told>[0-9]{1,2})[ ]?[-:=.,]?"
    r"|(?<![\w.-])(?P<index>[0-9]{1,2})[ ]?[-:=.]?(?=[ ]?[\"'(]))[ ]?[\"'(]{0,2}$",
    re.I,
)


def _check_numbers(
    grammar: ReplyGrammar, text: str, mentions: Sequence[re.Match[str]], action: str
) -> None:
    """Raise UnclearReply if the number before a name is another action's: "2 (LEFT)"."""
    for mention in mentions:
        number = _NUMBERED.search(text[max(0, mention.start() - 16) : mention.start()])
        index = number and (number["told"] or number["index"])
        if index and grammar.numbered(int(index)) != action:
            raise UnclearReply(f"Number {index} is not {action}.")


def _check_tail(tail: str, action: str) -> None:
    if is_taken_back(tail, action):
        raise UnclearReply(f"The reply chooses {action} and then takes it back or doubts it.")


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """The words of the sentence before and after a place."""
    # With the character at the start: in "!FIRE" the mark belongs to the name.
    before = _STOP.split(text[max(0, start - 300) : start + 1])[-1][:-1]
    before = _BULLET.sub("", before)
    after = text[end : end + 300]
    stop = _STOP.search(after)
    if stop is None:
        return before, after
    return before, after[: stop.end() + (after[stop.end() : stop.end() + 1] == "?")]


def _meaning(text: str, mention: re.Match[str]) -> _Meaning:
    """What the sentence around a name says about it."""
    before, after = _around(text, mention.start(), mention.end())
    follows = after[_held(after) :]
    if not before.isascii() and (foreign := choice_in_clause(before, follows)):
        return foreign
    english = _meaning_in_english(text, mention, before, after, follows)
    return english if english == "chosen" else choice_in_clause(before, follows) or english


def _meaning_in_english(
    text: str, mention: re.Match[str], before: str, after: str, follows: str
) -> _Meaning:
    if _is_doubted(before, after):
        return "doubtful"
    if prefers(before, after):
        return "chosen"
    if _OPENING.match(before):
        asked = text[max(0, mention.start() - 160) : mention.start()].rstrip(" \n\"'(")
        if asked.endswith("?") and not _OF_ACTION.search(_STOP.split(asked[:-1])[-1]):
            return "mentioned"
        return "chosen" if _ALONE.match(follows) else "mentioned"
    if re.search(r"\bhold[ ](?:the[ ])?$", before, re.I) and mention[0] == "FIRE":
        return "chosen" if _DURATION.match(after) else "mentioned"
    if _LABELLED.search(before):  # a label that introduces no answer: "Enemy action: LEFT"
        return "mentioned"
    if _DOUBT_AFTER.match(after) or _DOUBT_BEFORE.search(before) or _OF_OTHERS.search(before):
        return "mentioned"
    if not chooses(before):
        return "mentioned"
    return "doubtful" if leaves_open(before, follows) else "chosen"


def _is_doubted(before: str, after: str) -> bool:
    """Whether a sentence negates a name, leaves it open, or reports it."""
    negation, hedge = ENGLISH_NEGATION, ENGLISH_HEDGE
    if is_conditional(before):
        return True
    conclusion = _SO.search(before)
    if conclusion and not (conclusion["then"] and LATER.search(before[: conclusion.start()])):
        # "I cannot see the ball, so I press FIRE"
        before = before[conclusion.start() :]
    head, _, clause = before.rpartition(",")
    if _MAIN.match(clause) and not (hedge.search(head) or LATER.search(head) or _MY.search(head)):
        before = clause  # "Since the ball has not been served, I press FIRE"
    near, *rest = _REASON.split(after, maxsplit=1)
    doubted = any(
        word.search(part) for word in (negation, hedge, LATER, _DOUBT) for part in (before, near)
    )
    contrast = any(
        re.search(r"\b(?:but|not|or)\b", part, re.I) and negation.search(part) for part in rest
    )
    return doubted or after.endswith("?") or (contrast and " but " in after)


_ECHO = pattern(r" ?\([^()\n]{1,80}\)")
"""What an action does, in brackets behind its name."""


def _duration(text: str, start: int) -> str | None:
    """The duration right after a name in prose, if it has a "for", an "x" or a "frames"."""
    found = _time(text, start)
    told = found and (found["how"] or found["unit"] or found["n"].lower() in ("once", "twice"))
    return found["n"] if found and told else None


def _time(text: str, start: int) -> re.Match[str] | None:
    found = _DURATION.match(text, start)
    if found is None and (echo := _ECHO.match(text, start)):
        found = _DURATION.match(text, echo.end())
    return found


def _held(after: str) -> int:
    """Where the words behind a name go on after its duration."""
    found = _time(after, 0)
    return found.end() if found else 0
