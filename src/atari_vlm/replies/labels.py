r"""Answers behind a label: ACTION: LEFT x3, <action>LEFT</action>, \boxed{LEFT}."""

from __future__ import annotations

import re

from atari_vlm.replies.contradiction import is_taken_back
from atari_vlm.replies.examples import IN_THE_FORMAT, is_example
from atari_vlm.replies.explanations import explains
from atari_vlm.replies.foreign_clauses import OPPOSED, is_opposed
from atari_vlm.replies.leads import is_conditional
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import (
    CHORD,
    UNIT,
    Answer,
    ParsedPlan,
    ReplyGrammar,
    UnclearReply,
    chord_of,
    quoted,
)
from atari_vlm.replies.words import DOUBT, LABELS
from atari_vlm.types import Plan

LABEL = pattern(
    rf"""(?<![\w"'])(?P<word>{LABELS})
        (?:[ ]to[ ]take|[ _]?(?:id|index|number|name))?[ ]{{0,2}}(?:[:=]|->|→|[ ]-[ ])
    |<(?:action|answer|output|decision|move|choice)>|\\boxed\{{(?:\\text\{{)?""",
    re.IGNORECASE | re.VERBOSE,
)
_ALLOWED_BEFORE = pattern(
    r"(?:[^a-z]|\b(?:so|thus|therefore|hence|my|the|your|final|next|best|chosen|recommended"
    r"|selected"
    r"|optimal|correct|here's|step|immediate|decide|decision|here|is|and|okay|ok|sure|then|now|a"
    r"|this|player"
    r"|meine?|unsere?|ma|mon|mi|minha|il|la|le|el|moj)\b)*",
    re.I,
)
_NOT_THIS = pattern(
    r"\b(?:last|previous|recent|prior|earlier|past|legal|possible|available|option|example|e\.g|not"
    r"|wrong|old|other|player 2|first|opponent|enemy"
    r"|bad|poor|reject\w*|discard\w*|invalid|incorrect|illegal|forbidden|ruled out|avoid\w*|refused"
    r"|vetoed|cancel\w*|hypothetical|placeholder|sample|template|user|human"
    r"|format|suggest\w*|thoughts?|thinking|like|such as"
    r"|letzte\w*"
    r"|derni\w*|ultim\w*|vorherige\w*|precedente?|anterior|posledn\w*|предыдущ\w*|последн\w*"
    r"|상대|이전|지난|직전|прошл|враг|против|السابق|पिछल|敵|相手|敌|对手|上一|之前|前回|例|可用|合法)",
    re.I,
)
_CLAUSE = pattern(r"[\n.;!?>,]")
_BRACKETS = pattern(rf"[ ]{{0,2}}\((?!{CHORD}\))(?P<words>[^()\n]{{1,240}})\)", re.I)
_GOES_ON = pattern(
    r"[ ]{0,2}(?:[,;:]|-{1,2}[ ]|[ ]?(?=(?:because|since|as|so|to|while|until)\b))[ ]{0,2}"
    r"(?P<words>[^.;!?\n]{1,240})",
    re.I,
)
"""What is said of an answer in its sentence, behind a comma or a dash."""
_IDIOM = (r" (?:to|as|so)\b", r",? (?:to|as|so)\b")
"""What makes a name in small letters another word: "right so". The second is of "right, so"."""
_FRAMES_LINE = pattern(
    r"(?:^|\n)[ #>-]{0,4}(?:frames|duration|action[ _]input)[ ]?[:=][ ]{0,3}(\S{1,12})", re.I
)
_MAY_FOLLOW = pattern(
    r"""[ )\]"'}>]{0,6}(?:$|[.,;!(<…]|[ ]?-[ ]|(?:because|since|as|so|to|while|until|weil|car|porque
    |denn|um|puisque|pour|para|perche|omdat|bo|poniewaz|cunku|karena|vi|eftersom|потому|因为|ので)\b|[^\x00-\u02ff])""",
    re.I | re.VERBOSE,
)
_ANOTHER = pattern(
    rf"[\s(,;/|&+>-]{{0,6}}(?:(?:or|and|then|maybe|perhaps|followed|by|otherwise|else)"
    r"[ ,]{1,2}){0,3}"
    rf"(?:(?:go|move|press)[ ])?(?P<other>{CHORD})(?![\w-])"
    r"(?![ ](?:would|is|was|will|leads|does|cannot|can't|has|goes)\b)",
    re.I,
)


def introduces(label: re.Match[str], text: str) -> bool:
    """Whether a label introduces an answer, unlike "Last action:" or "Example: ACTION:".

    Raises:
        UnclearReply: it is negated or left open: "Maybe ACTION: LEFT".
    """
    if label.start() == 0:
        return True
    if is_example(text, label.start()):
        return False
    sentence = _before(label, text)
    line = text[max(0, label.start() - 300) : label.start()].rpartition("\n")[2]
    if line and is_conditional(line):
        raise UnclearReply(f"It is not clear whether the reply chooses {_behind(label, text)}.")
    before = sentence.rpartition(" - ")[2]
    doubted = DOUBT.search(before)
    if not label.lastgroup:
        if doubted:
            raise UnclearReply(f"It is not clear whether the reply chooses {_behind(label, text)}.")
        return True
    if _NOT_THIS.search(sentence):
        return False
    if label["word"].isupper() or not label["word"].isascii():
        if doubted:
            raise UnclearReply(f"It is not clear whether the reply chooses {_behind(label, text)}.")
        return True
    return bool(_ALLOWED_BEFORE.fullmatch(before))


def _before(label: re.Match[str], text: str) -> str:
    """The words before a label in its clause; with the line above, if that ends in a colon."""
    head, _, line = text[max(0, label.start() - 160) : label.start()].rpartition("\n")
    before = _CLAUSE.split(line)[-1]
    above = head.rstrip().rpartition("\n")[2]
    if not line.strip(" #>*-'\"(") and above.endswith((":", ",")):
        lead = _CLAUSE.split(above[:-1])[-1]
        if not head.endswith("\n") or DOUBT.search(lead):
            before = lead + " " + before
    return IN_THE_FORMAT.sub("", before)


def _behind(label: re.Match[str], text: str) -> str:
    return quoted(text[label.end() : label.end() + 60].strip().partition("\n")[0]) or "an action"


def plan_from_line(grammar: ReplyGrammar, label: re.Match[str], text: str) -> ParsedPlan | None:
    """The plan behind a label; None if the label was a mere word.

    Raises:
        UnclearReply: what stands behind it is not one legal plan, or is taken back.
    """
    begin = label.end() + _leading_space(text, label.end())
    line = text[begin : begin + 240].partition("\n")[0]
    answer = grammar.match(line, told=True)
    if answer is None:
        if (label["word"] or "action").lower() not in ("action", "aktion", "accion", "acao"):
            return None
        raise grammar.illegal(line) if line.strip() else _ends_early(grammar)
    echo = line[: answer.end].partition("(")[2]
    if is_opposed(echo) or not _is_complete(answer, line[answer.end :]):
        raise UnclearReply(f"It is not clear which action {quoted(line)} means.")
    parsed = grammar.plan(answer)
    if is_taken_back(text[begin + answer.end :], parsed.plan.action):
        raise UnclearReply(
            f"The reply answers {parsed.plan.action} and then takes it back or doubts it."
        )
    durations = _FRAMES_LINE.findall(text) if not answer.n else []
    if not durations:
        return parsed
    frames, note = grammar.frames(durations[-1])
    return ParsedPlan(Plan(parsed.plan.action, frames), note)


def _leading_space(text: str, at: int) -> int:
    window = text[at : at + 240]
    return len(window) - len(window.lstrip())


def _ends_early(grammar: ReplyGrammar) -> UnclearReply:
    return UnclearReply(f"The reply ends before its action: name one of {grammar.listed}.")


def _is_explained(rest: str) -> bool:
    """Whether what is said of an answer in its sentence explains it."""
    if re.match(r"[ ]?[^\x00-\u02ff]", rest) and OPPOSED.search(re.split(r"[.,!?]", rest)[0]):
        return False
    on = _GOES_ON.match(rest)
    return on is None or _is_echo(on["words"])


def _names_another(answer: Answer, rest: str) -> bool:
    """Whether another answer follows, and no echo of the first: "RIGHT - move right"."""
    other = _ANOTHER.match(rest)
    if other is None or not answer.name:
        return other is not None
    echoed = set(chord_of(other["other"])) <= set(chord_of(answer.name))
    return not (other["other"].islower() and echoed)


def _is_echo(words: str) -> bool:
    return explains(words) and not is_opposed(words)


def _without_explanation(rest: str) -> str:
    """The rest of a line without brackets that explain the answer."""
    while (brackets := _BRACKETS.match(rest)) and _is_echo(brackets["words"]):
        rest = rest[brackets.end() :]
    return rest


def _is_complete(answer: Answer, rest: str) -> bool:
    """Whether the rest of the line does not change the answer."""
    if not rest or rest.isspace():
        return True
    rest = _without_explanation(rest)
    if re.match(r"[ ]{0,2}\(", rest):
        return False
    listed = answer.index and not answer.also and re.match(r"[.)] *[A-Za-z]", rest)
    idiom = (
        answer.name
        and not answer.name.isupper()
        and re.match(_IDIOM[answer.name.lower() == "right"], rest)
    )
    frames_later = not answer.n and re.search(rf"[0-9] ?{UNIT}", rest, re.I)
    return (
        bool(_MAY_FOLLOW.match(rest))
        and _is_explained(rest)
        and not (
            listed
            or idiom
            or frames_later
            or _names_another(answer, rest)
            or re.match(r"[^.!]*[?]", rest)
            or re.match(r"[ ]?(?:-|to|or)[ ]?[0-9]", rest)
        )
    )
