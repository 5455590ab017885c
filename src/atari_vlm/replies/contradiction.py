"""Whether the words behind an answer take it back.

"ACTION: FIRE, no: UP", "LEFT. Wait, RIGHT is better." and "ACTION: LEFT. Do not go LEFT!" choose
nothing. "ACTION: LEFT, because RIGHT is blocked" and "ACTION: LEFT. I do not want to miss." do.
"""

from __future__ import annotations

import re

from atari_vlm.replies.characters import folded
from atari_vlm.replies.explanations import HARM, LATER, PREFERS_IT, STATUS
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.reply_grammar import CHORD, same_action
from atari_vlm.replies.words import CORRECTS, NEGATION, PREFERS

NAMES = pattern(rf"(?<![\w+-]){CHORD}(?!_|[-+]?[^\W\d])")
"""Names of actions in capitals, in prose."""

_CLAUSE = pattern(r"[.!?\n;,:(…]|[ ]-[ ]")
_SENTENCE = pattern(r"[.!?\n;…]")
_INSTEAD_OF = pattern(
    r"\b(?:instead of|rather than|better than|not)\b[ ](?:going[ ]|pressing[ ])?$", re.I
)
_CONDITION = pattern(
    r"^[ ,(-]{0,6}(?:but[ ])?(?:(?:only[ ])?(?:if|when)|unless|wenn|falls|si|se|если|如果)\b"
    r"(?! possible)",
    re.I,
)
_OFFERS = pattern(
    r"\b(?:let me know|feel free|tell me|would you (?:like|prefer)|if you(?:'d| would)? (?:want"
    r"|prefer|like|need)|just (?:ask|say)|happy to|considered"
    r"|(?:other|alternative|rejected|discarded) (?:options?|actions?|moves?|choices?))\b",
    re.I,
)
"""What the answer could have been, or could be next, as the reader likes."""
_DESCRIBES = pattern(
    rf"(?:,?[ ](?:(?:and|or|nor)[ ])?{CHORD}){{0,3}}"
    r"[ ](?:would|will|leads?|is|are|was|were|might|could|has|puts?|risks?|goes|runs?|misses"
    r"|brings|takes"
    r"|moves?|means)\b(?![ ](?:the|my)[ ](?:\w+[ ])?(?:move|answer|action|choice|one|way|play)\b)",
    re.I,
)
"""A statement on an action, behind its name."""
_NOT_GOOD = (
    "not (?:an? |the |very |so |really )?(?:good|wise|safe|legal|valid|allowed|right|correct)"
)
_VERDICT = pattern(
    r"""^\W{0,6}(?:(?:this|that|it|which|the)(?:[ ](?:answer|action|move|choice|reply|json|line|plan
        |option|decision|message|one))?(?:'s|[ ](?:is|was|would|will|has|gets|might|may|could))?
        (?:[ ](?:be|been|a|an|the|too|really|clearly|simply|very|just|now)){0,3}[ ]
    |(?:too|really|clearly|very|just|a|an)[ ]|(?=(?:\w+\W*){1,5}$))"""
    + f"(?:{STATUS.pattern}|{HARM.pattern}|{_NOT_GOOD})".replace(" ", "[ ]"),
    re.I | re.VERBOSE,
)
"""A sentence that judges the answer before it: "Rejected.", "That would be fatal"."""
_NO_ANSWER = pattern(
    r"^\W{0,6}(?:that|this|it) was (?:the|my|an?|your) (?:\w+ )?(?:answer|plan|action|move|reply"
    r"|choice|idea|example|guess)\b(?! that| which|,)|^\W{0,6}(?:(?:this|that|it)(?:'s| is"
    r"| was)? )?(?:(?:just|only|merely|as|an?|the|my) ){0,3}"
    r"(?:examples?|placeholder|draft|template|guess|test|joke|sample|demo)\W*$",
    re.I,
)
_SAMPLE = "(?:templates?|examples?|samples?|placeholders?|drafts?|illustrations?|demos?)"
_NOT_MEANT = pattern(
    rf"\b(?:the|this|that|my) (?:\w+ )?(?:(?:above|before it) )?(?:is|was)(?: (?:only|just|merely"
    rf"|simply|the|an?|my|your)){{1,3}} (?:\w+ )?{_SAMPLE}\b|\b(?:above|before it) (?:is|was|are"
    rf"|only"
    rf"|just|merely)\b[^.!?]{{0,30}}\b{_SAMPLE}\b"
    r"|\b(?:above|this|that|it) (?:only|just|merely) (?:shows?|illustrates?|demonstrates?)\b"
    r"|\bmy (?:own|real|actual|true|proper|final) (?:answer|action|choice|move|decision|reply)"
    r" (?:(?:will|is going to) (?:follow|come)|follows|comes|is (?:coming|still))\b"
    + folded(
        r"|\b(?:nur|bloß|lediglich) (?:ein|als) (?:beispiel|muster|platzhalter)\b"
        r"|\b(?:juste|seulement|simplement|qu')[ ]?un (?:exemple|modèle)\b"
        r"|\b(?:solo|soltanto|solamente|apenas|somente|só) (?:es |é |è )?(?:un|um) (?:simple )?"
        r"(?:ejemplo|exemplo|esempio|modelo|modello)\b|\bslechts een voorbeeld\b"
        r"|\btylko przykład\b|\b(?:только|просто|лишь) (?:как )?пример\b"
        r"|(?:只|仅|僅|不过)(?:仅|不过)?是?(?:一?[个個])?(?:示例|例子|范例|範例|样例|模板)"
        r"|(?:以上|上面|上述)[^.!?]{0,8}(?:示例|例子|范例|範例|样例|模板)"
        r"|(?:これ|上記|以上|上)は(?:単なる|ただの|あくまで)?(?:一?例|サンプル|見本)"
        r"|(?:위|이것|이건)[^.!?]{0,8}예[시제]"
    ),
    re.I,
)
"""What says of the answer before it that it only shows the form, or that the answer will follow."""
_OF_SOMETHING_ELSE = pattern(
    r"\b(?:previous\w*|earlier|former\w*|examples?|last|but|prompt)\b|:", re.I
)
_WAITS = pattern(
    r"(?:^|\b(?:and|so|but)[ ])(?:I|we)(?:'ll|[ ]will|[ ]would[ ]rather|[ ]should)?[ ](?:wait"
    r"|do nothing|pass(?! \w)|abstain|stay|stand still|hold still|won't"
    r"|will not)\b(?![ ](?:miss|lose|let|be))",
    re.I,
)
_BAD = pattern(
    r"^[ ]?(?:is|was|would be|isn't|wasn't)[ ](?:\w+[ ]){0,2}"
    r"(?:wrong|bad|a mistake|dangerous|forbidden|not|no|impossible|illegal)\b",
    re.I,
)
_IT = "(?:that|this|it|my|the (?:json|above|answer|action|reply|message|line|move))"
_DEEDS = "(?:do|execute|play|use|send|press|take|follow|run|perform|apply|submit|choose|mean|want)"
_DISAGREES = pattern(
    r"\b(?:I disagree|that (?:is|was|would be) (?:wrong|a mistake|not)"
    rf"|(?:do not|don't|never) {_DEEDS} {_IT}|not sure|(?:disregard|ignore)(?: {_IT}|$|(?=[.!\n]))"
    r"|I (?:hereby )?(?:withdraw|retract|revoke|take (?:it|that|this) back)|I mixed up"
    rf"|I (?:made|invented|guessed|imagined) {_IT}(?: up)?"
    r"|I (?:no longer|(?:do not|don't|won't|will not|would not|wouldn't|am not going to|can't)"
    rf"(?: \w+ly)?) (?:(?:want|wish|intend|plan) to )?(?:stand by|endorse|{_DEEDS} {_IT})"
    rf"|I'm not (?:going to {_DEEDS} {_IT}|doing {_IT})"
    r"|that(?:'s| is| was) what (?!I\b|we\b)\w+)\b",
    re.I,
)
_LABELLED = pattern(r"\w[ ]?[:=][ ]{0,2}['\"(]{0,2}$")
_OF_ANOTHER_TIME = pattern(
    r"\b(?:last|previous|recent|prior|earlier|past|legal|possible|available|next|then|later|after"
    r"|alternatives?|backup|plan b"
    r"|enemy|opponent|ball)\b",
    re.I,
)
_DURATION_WORDS = pattern(r"[\W\d]|x\b|frames?|for")
_MOST_NAMES = 200


def is_taken_back(tail: str, action: str) -> bool:
    """Whether the text behind an answer contradicts it.

    Args:
        tail: all text of the reply behind the answer, without JSON.
        action: the answer.
    """
    if not tail or tail.isspace():
        return False
    if _CONDITION.match(tail) or _DISAGREES.search(tail) or _NOT_MEANT.search(tail):
        return True
    if any(CORRECTS.match(clause) for clause in _CLAUSE.split(tail) if clause.strip()):
        return True
    seen = 0
    for sentence in _SENTENCE.split(tail):
        if action != "NOOP" and _WAITS.search(sentence[:200].strip()):
            return True
        if _judges(sentence[:160]):
            return True
        names = list(NAMES.finditer(sentence))
        seen += len(names)
        if seen > _MOST_NAMES or any(_opposes(sentence, name, action) for name in names):
            return True
    return False


_PUTS_OFF = pattern(
    r"^\W*(?:(?:but|only|play|press|do|use|execute|apply|for|send|run|it|this|that|on|is|to|be"
    r"|played"
    rf"|meant|please|then)[ ]){{0,4}}(?:{LATER.pattern})\W*$",
    re.I | re.VERBOSE,
)
_ONLY_IF = pattern(
    r"^\W*(?:but |only |play (?:it|this|that) )*(?:if|when|once|after|unless|provided)\b"
    r"(?: (?:the|a|an|my))?(?: \w+){0,2}",
    re.I,
)
_MAIN_CLAUSE = pattern(
    r"(?:, ?(?:then )?|\s)(?:I|we|it|they|that|this|the \w+)"
    r"(?:'d|'ll| (?:would|will|could|might|can|go|come|am|\w+s))\b"
    rf"(?![^.!?]*(?:{CHORD}|\b(?:play|press|do|use|choose|execute|send) (?:it|this|that)\b))"
)
"""What goes on behind a condition that is not one of the answer: "If I went UP I'd be hit"."""


_NO_REAL = pattern(
    r"^\W*(?:this is |that is |it's )?not (?:\w+ ){0,3}(?:answer|action|choice|decision|move)\b",
    re.I,
)


def rejects(note: str) -> bool:
    """Whether a note beside an answer rejects it, puts it off or makes it depend on something.

    "do not play this", "next turn", "only if the shark comes"; not "If I went UP I'd be hit".
    """
    note = note[:400]
    if _DISAGREES.search(note) or _NOT_MEANT.search(note) or _PUTS_OFF.match(note):
        return True
    condition = _ONLY_IF.match(note)
    if condition and not _MAIN_CLAUSE.search(note, condition.end()):
        return True
    if _NO_REAL.match(note):
        return True
    return any(
        CORRECTS.match(sentence) or _judges(sentence) for sentence in _SENTENCE.split(note)[:1]
    )


def _judges(sentence: str) -> bool:
    """Whether a sentence behind an answer rejects it as a whole."""
    if _NO_ANSWER.match(sentence):
        return True
    first = re.split(r"[,:]", sentence, maxsplit=1)[0]
    if len(first.split()) < 4 and " but " not in sentence and first.strip().lower() != "error":
        sentence = first  # "Overruled: the shark is there"
    return bool(_VERDICT.match(sentence)) and not _OF_SOMETHING_ELSE.search(sentence)


def _is_wordless(text: str) -> bool:
    """Whether a text around a name says no more than for how long."""
    return not _DURATION_WORDS.sub("", text)


def _opposes(sentence: str, name: re.Match[str], action: str) -> bool:
    """Whether a name in a sentence behind the answer takes it back."""
    before, after = (
        sentence[max(0, name.start() - 120) : name.start()],
        sentence[name.end() : name.end() + 60],
    )
    if same_action(name[0], action):
        clause = re.split(r"[,:(]|\bbut\b", before)[-1]
        return bool(NEGATION.search(clause) or _BAD.match(after))
    if _INSTEAD_OF.search(before):
        return False
    if _OFFERS.search(sentence):
        return False
    if _DESCRIBES.match(after) and not (PREFERS_IT.search(after) or PREFERS_IT.search(before)):
        return False
    if _LABELLED.search(before) and not _OF_ANOTHER_TIME.search(before):
        return True
    around = before + " " + after
    if not _OF_ANOTHER_TIME.search(before) and not NEGATION.search(before):
        clause = before.rpartition(",")[2] + " " + after.partition(",")[0]
        if _is_wordless(clause):
            return True
    return _is_wordless(around) or bool(PREFERS.search(around) and not NEGATION.search(around))
