"""What leads to a JSON answer and what follows it in its sentence: "Here is my answer: {...}".

An object is an answer if the clause that leads to it says so, or says nothing: "Do not answer
{...}", "For example, {...}" and "If the shark comes, {...}" choose nothing. What may stand there is
listed; of all else it is not clear what it makes of the object.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from atari_vlm.replies.examples import IN_THE_FORMAT, is_example
from atari_vlm.replies.explanations import CONDITION, HARM, LATER, STATUS, explains
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.words import DOUBT, LABELS

Lead = Literal["chooses", "mentions", "unclear"]

_LABELLED = pattern(rf"(?<!\w)(?:{LABELS})(?!\w)|行|答|动|動|選|选|선택", re.I)
_SENTENCE = pattern(r"(?<![0-9])[.](?=[\s'\")]|$)|[!…;]|[?](?=\s|$)|\n")
_MARKS = " \t\n'\"([{<>*-•#|`=]}):,"
_NUMBERING = pattern(r"^(?:(?:step|part)[ ]{0,2})?[0-9]{1,2}[.):]?[ ]{0,2}[-:.]?[ ]{0,2}", re.I)
_TAG = pattern(r"</?[\w:=| -]{1,40}>")
_MENTIONS = pattern(
    r"""\b(?:like[ ](?:this|so|that)|such[ ]as|something[ ]like|format|schema|templates?|samples?
    |wrong|bad|poor|bogus|old|last|past|prior|recent|first[ ](?:idea|thought|guess|draft)
    |opponents?|enem(?:y|ies)|rival|someone|somebody|others?|they|he|she|player[ ]2
    |(?:you|user|human|prompt|instructions?|manual|system)(?:[ ](?:have|had|just))?[ ](?:said|say
    |says|told|tells|answered|asked|ask|asks|gave|wrote
       |suggested|suggest|want(?:ed)?|sent|shows?|showed|mentioned)
    |user's|your[ ](?:example|answer|suggestion|reply)|candidates?|considered|alternatives?
    |options?(?![ ](?:is|I|here|now|chosen)\b)
    |mistakes?|avoid(?:ed|ing|s)?|suggestions?|thoughts?|was|were|had|did|used[ ]to|e\.g|i\.e
    |beispiel|exemple|ejemplo|exemplo|esempio|voorbeeld|przyklad|zuletzt|letzte\w*|vorherige\w*
    |derni\w*|anterior|ultim\w*)\b
    |例|上一|之前|前回|пример|предыдущ|последн""",
    re.I | re.VERBOSE,
)
"""A quote, another time, another speaker, another judgement."""
_SO = pattern(
    r"\b(?:so|therefore|thus|hence|consequently|accordingly|but[ ]now|also|darum|deshalb|donc"
    r"|por[ ]lo[ ]tanto"
    r"|portanto|quindi|dus|then)\b",
    re.I,
)
_CONCLUDES = pattern(r"[,;][ ](?:and[ ])?(?:so|therefore|thus|hence)\b", re.I)
"""The same behind a condition: "If I stay I am hit, so I play"; not "If it comes, then"."""
_WEIGHS = pattern(r"\b(?:if|whether|in case|had|were)\b", re.I)
_NOUN = (
    "answers?|actions?|choices?|decisions?|moves?|outputs?|response|reply|command|conclusion"
    "|verdict|result|json|object|plan|input|arguments?|args|parameters?|solution|instruction"
    "|selection|pick|call|tool|function|control|button|step|play|strategy"
)
_WORD = pattern(r"[^\W_]+(?:'[a-z]+)?")
_INTRODUCES = frozenset(
    _WORD.findall(
        f"""{_NOUN.replace("s?", "")} answers actions choices decisions moves outputs
    so thus therefore hence here here's now then is go take choose select give follows below
    conclude finally right good sure okay ok yes certainly alright great well you submit send
    return do correction corrected revised updated"""
    )
)
_FILLS = _INTRODUCES | frozenset(
    _WORD.findall(
        """my the our your a an this that its it are would will be as following in to for of with at
    and but final next best chosen selected recommended optimal correct safest safe
    immediate current first only valid legal single one these screen screens frame frames
    state moment time turn decide summary short i i'll i'd i'm we we'll let's let me gives
    respond going provide make act say decided on have has made recommend suggest raw
    formatted requested proper required ready model agent player assistant ai bot submarine
    paddle ship game atari based analysis reasoning above all everything considered
    considering given happy case print get there that's it's"""
    )
)
"""Words of a clause that does no more than introduce an answer; it needs one of the first set."""
_DO = (
    "(?:choos|pick|select|play|go|mov|answer|respond|reply|decid|press|tak|hold|output|return|giv"
    "|send|submit|prefer|recommend|suggest|conclud|do|fir|shoot|stay|keep|serv|chas|follow|dodg"
    "|avoid|ris|div|launch|steer|shift|turn|wait|drop|surfac|swim|intercept|catch|start|us|opt|say"
    "|settl|commit|propos|act|proceed|continu|head|reposition|position|mak|perform|execut|try|get"
    "|return|retreat|cross|climb|jump|run|attack|defend|collect|rescue|let|set|run|vot|stick)(?:e"
    "|ing|ming|ping|ting|ning)?"
)
"""What somebody who decides does."""
_PRAISED = (
    "(?:best|optimal|right|correct|safest|recommended|next|final|only|most|logical|appropriate"
    "|sensible|suitable|ideal|good|wise|better|chosen|selected|safe|reasonable|immediate)"
)
_DECIDES = pattern(
    rf"""^(?:(?:and|but|so|then|now|okay|first|therefore|thus)[ ])?(?:
      (?:I|we)(?:'ll|'m|'d|[ ](?:will|would|should|must|shall|am|have|need|want|think|believe|now
        |decided|chosen|also|still|therefore|thus|then|here|simply|just|best|better|going|it|is|to|I
        |the|my|{_PRAISED}|\w+ly)){{0,7}}[ ]{_DO}\b
     |(?:I|we)[ ](?:have|'ve)[ ](?:chosen|decided|picked|selected|settled)\b
     |(?:let's|let[ ]me|time[ ]to|it(?:'s|[ ]is)[ ](?:best|better|time|safe|safer|wise|necessary
     |good)
        [ ]to|i[ ](?:think|believe)[ ](?:it|we|the|i)\b.{{0,40}})[ ](?:just[ ]|now[ ])?{_DO}\b
     |(?:the|my|our)[ ](?:\w+[ ]){{1,3}}(?:should|must|needs?[ ]to|has[ ]to|can|will
        |is[ ]going[ ]to)(?:[ ]\w+)?[ ]{_DO}\b
     |(?:this|here|that)(?:'s|[ ]is)[ ]what[ ]I(?:'d|'ll|[ ](?:will|would|choose|do|play|pick))\b
     |(?:the|my|our)[ ](?:{_PRAISED}[ ]){{1,3}}\w+
     |(?:the|my|our)[ ](?:{_NOUN})\b
     |{_DO}\b
    )""",
    re.I | re.VERBOSE,
)
"""The beginning of a clause by which somebody decides."""
_ARROW = pattern(r"(?:[-=]>|\u2192)\s*$")
"""What leads from what was seen to an answer: "No car is near -> {...}"."""
_LOSES = pattern(
    rf"(?<!avoid )(?<!not )\b(?:los(?:e|es|ing)|die|dies|dying|fail\w*|tempt\w*|regret\w*"
    rf"|doubts?)\b"
    rf"|{HARM.pattern}",
    re.I,
)
"""A word for what nobody chooses, in the clause that leads to an object."""
_CODE = pattern(r"[\w.$:<>=-]{1,40}[ ]?[(=:]?[ ]?")
_GOES_ON = pattern(
    r"""[ ]{0,2}(?:(?:because|since|as|so|to|while|for|and[ ]that)\b|is[ ](?:my|the
        |our)[ ](?:(?:final|best|chosen|next|right
    |correct|optimal|safest)[ ]){0,2}(?:answer|action|choice|decision|move|response|output|option
    |play|plan)(?=[ ]*(?:$|[.,!;(]|(?:because|since|as|to|here|now|for)\b))
    |which[ ](?:\w+s)\b|it[ ]is(?=[.!]|$)|please\b)""",
    re.I | re.VERBOSE,
)


def lead_of(text: str, start: int) -> Lead:
    """What the words before an object make of it.

    Args:
        text: the reply, with spaces in place of its JSON.
        start: of the object in it.
    """
    if is_example(text, start):
        return "mentions"
    window = text[max(0, start - 400) : start].rstrip(" '\"([{<`*")
    if arrow := _ARROW.search(window):
        seen = _SENTENCE.split(window[: arrow.start()])[-1]
        return "unclear" if _IF.match(seen) else _heading(seen)
    window = window.rstrip(" '\"([{<>`*")
    if not window.strip():
        return "chooses"
    if not window.endswith("\n"):
        line = window.rpartition("\n")[2]
        return _meaning(_SENTENCE.split(line)[-1]) if line.strip(_MARKS) else "chooses"
    line = window.rstrip().rpartition("\n")[2]
    if line.endswith("?"):
        return _asked(line)
    sentence = _SENTENCE.split(line)[-1]
    if line.rstrip("* _`'\"").endswith((":", ",")):
        return _meaning(sentence)
    return _heading(sentence)


def _heading(line: str) -> Lead:
    """What a line without a mark at its end makes of an object below it, e.g. "Example"."""
    if len(line.split()) > 5:
        return "chooses"
    if _MENTIONS.search(IN_THE_FORMAT.sub("", line)) or STATUS.search(line):
        return "mentions"
    return "unclear" if DOUBT.search(line) else "chooses"


def _asked(line: str) -> Lead:
    """What a question on the line above makes of an object."""
    question = _SENTENCE.split(line[:-1])[-1].strip(_MARKS)
    wondering = re.match(r"(?:and |so |now )?(?:what|which|where|how|why|who)\b", question, re.I)
    return "chooses" if wondering and not _MENTIONS.search(question) else "unclear"


@lru_cache(maxsize=1_024)
def _meaning(sentence: str) -> Lead:
    """What the words of an open sentence make of the object behind them."""
    sentence = _NUMBERING.sub("", _TAG.sub(" ", sentence).strip(_MARKS))
    sentence = IN_THE_FORMAT.sub("", sentence).strip(_MARKS)
    if not sentence:
        return "chooses"
    if "?" in sentence:
        return "unclear"
    conclusion = _last(_CONCLUDES if _WEIGHS.search(sentence) else _SO, sentence)
    if conclusion:
        sentence = sentence[conclusion.start() :]
    head, _, clause = sentence.rpartition(",")
    head, clause = head.strip(_MARKS), clause.strip(_MARKS)
    if ":" in clause:  # "Decision: the best action is"
        clause = clause.rpartition(":")[2].strip(_MARKS) or clause
    if _MENTIONS.search(clause) or STATUS.search(clause):
        return "mentions"
    doubted = _IF.match(head) or CONDITION.match(head) or DOUBT.search(clause if clause else head)
    if doubted or _LOSES.search(clause) or LATER.search(clause) or CONDITION.search(clause):
        return "unclear"
    return "chooses" if _is_lead(clause) else "unclear"


def _is_lead(clause: str) -> bool:
    """Whether a clause is one of those that may lead to an answer."""
    if not clause.isascii() or _introduces(clause) or _DECIDES.match(clause):
        return True
    if _LABELLED.search(clause) and len(clause.split()) < 5:
        return True
    return "_" in clause and bool(_CODE.fullmatch(clause))


def _introduces(clause: str) -> bool:
    """Whether a clause has no other words than those that introduce an answer."""
    words = [word for word in _WORD.findall(clause.lower()) if not word.isdigit()]
    return _FILLS.issuperset(words) and not _INTRODUCES.isdisjoint(words)


def _last(wanted: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in wanted.finditer(text):  # noqa: B007
        pass
    return found


_IF = pattern(
    r"[\W\d]{0,6}(?:(?:and|but|then|only|except)[ ])?(?:if|unless|once|when(?:ever)?|suppos(?:e"
    r"|ing)|had[ ](?:I|we|the|it|there)|were[ ](?:I|we|the|it)|should[ ](?:the|it|an?|there)"
    r"|as[ ]soon[ ]as|in[ ]case"
    r"|provided|assuming|until|wenn|sobald|falls|cuando|si|quand|quando|se)\b",
    re.I,
)


def is_conditional(before: str) -> bool:
    """Whether the words before an answer begin its sentence with a condition.

    "If the shark comes, ..."; not "If I stay, I am hit, so ...".
    """
    if before[-1:] in ("", "\n"):
        return False
    sentence = _SENTENCE.split(before)[-1]
    return bool(_IF.match(sentence)) and not _SO.search(sentence)


def goes_on_to_doubt(rest: str) -> bool:
    """Whether the sentence of an object goes on behind it and no longer chooses it.

    Args:
        rest: of the reply, behind the object.
    """
    rest = rest[:300].lstrip("}])'\"` ")
    line = rest.partition("\n")[0].rstrip()
    if not line or line[0] in ".!;…" or not re.search(r"\w|[?]", line):
        return False
    if line[0] == "?" or re.match(r"[^.!]{0,200}[?]", line):
        return True
    if line[0] in "(-,:":
        clause = _SENTENCE.split(line.lstrip("(-,: "))[0]
        return not explains(clause.rstrip(") "))
    if not line[0].islower() or not line[0].isascii():
        return False
    return not _GOES_ON.match(line)
