"""Whether what stands before an answer calls it an example, or disowns it.

"For instance, you could answer:" / "ACTION: LEFT" and "I will not call the tool below." above a
call choose nothing, nor does what stands in quotation marks amid other words.
"""

from __future__ import annotations

import re

from atari_vlm.replies.characters import folded
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.words import has_any

_FOR_EXAMPLE = folded(
    r"\b(?:for example|for instance|e\.g|(?:in|dans|im|en|no|nel|in het) (?:the |your |l'|el |o "
    r"|het )?(?:example|prompt|manual|beispiel|exemple|ejemplo|exemplo|esempio|voorbeeld)"
    r"|zum beispiel|beispielsweise|etwa so|par exemple|por ejemplo|por exemplo|(?:ad|per) esempio"
    r"|bijvoorbeeld|na przykład|например|к примеру|наприклад|mesela|örneğin|till exempel"
    r"|for eksempel|esimerkiksi|například|például|de exemplu|παράδειγμα|ví dụ|chẳng hạn"
    r"|misalnya|contohnya)\b"
    r"|(?:例如|比如|譬如|[举舉]个?例|例えば|たとえば|예를 들|예컨대|مثلا|على سبيل المثال|उदाहरण"
    r"|לדוגמה|ตัวอย่าง)"
)
_SAMPLE = (
    "(?:examples?|samples?|templates?|placeholders?|illustrations?|demos?|demonstrations?|drafts?"
    "|dummy|beispiel|muster|exemple|modele|ejemplo|exemplo|modelo|esempio|modello|voorbeeld"
    "|przyklad|пример|шаблон)"
)
_BELOW = (
    r"(?:below|beneath|underneath|following|next (?:line|object|message|block)|folgende\w*|unten"
    r"|suivante?|ci-dessous|siguiente|abajo|seguinte|abaixo|seguente|sotto|volgende|hieronder"
    r"|ponizej|nastepujac\w+|ниже|следующ\w+)"
)
_REPLY = (
    "(?:calls?|tools?|answers?|actions?|lines?|objects?|json|messages?|reply|replies|responses?"
    "|outputs?|moves?|blocks?|code|text|formats?|one|it)"
)
_DISOWNS = pattern(
    rf"\b{_BELOW}\b[^.!?]{{0,60}}\b{_SAMPLE}\b"
    rf"|\b(?:only|just|merely|simply|nur|juste|seulement|solo|apenas|slechts|tylko|только)\b"
    rf"[^.,!?]{{0,24}}\b{_SAMPLE}\b"
    rf"|\b(?:what|how) (?:\w+ ){{0,3}}{_REPLY} (?:\w+ )?(?:looks?|is formatted)\b"
    r"|\bhow (?:I|we|you)(?:'d| would| could| might)? (?:format|structure)\b"
    r"|(?:\b(?:not|never|refuse|without|cannot|ignore|disregard|skip|forget)\b|n't\b)[^.!?]{0,40}"
    rf"\b(?:{_REPLY} below|(?:following|next) {_REPLY})\b"
    rf"|\b{_BELOW}\b[^.!?]{{0,40}}(?:\bnot\b|n't\b)[^.!?]{{0,24}}\b(?:answer|action|choice"
    r"|decision|move|reply|meant|real|play(?:ed)?)\b"
    rf"|\b{_REPLY} {_BELOW}\b[^.!?]{{0,24}}\b(?:copied|quoted|taken|repeated|pasted)\b"
    r"|(?:以下|下面|下列|下方|下述)[^.!?]{0,12}(?:示例|例子|范例|範例|样例|模板)"
    r"|(?:以下|次)は[^.!?]{0,8}(?:例|サンプル|見本)|(?:다음|아래)[^.!?]{0,12}예[시제]",
    re.IGNORECASE,
)
_HEADING = pattern(
    rf"\b(?:{_SAMPLE}|(?:beispiel|muster)\w+|suppos(?:e|ing)|imagine|pretend|hypothetical(?:ly)?)\b"
    r"|示例|例子|范例|範例|样例|[回解]答例|例$|예[시제]",
    re.IGNORECASE,
)
"""A word that, in a short line with a colon, announces an example: "Ejemplo de respuesta:"."""
_LONGEST_HEADING = 8
IN_THE_FORMAT = pattern(
    r"\b(?:in|using|with|following|per|as|to|by|match(?:es|ing)?)[ ](?:(?:the|this|your|a|an|valid"
    r"|strict|required|requested|specified|given|following|desired|correct|right|proper|expected"
    r"|json|output|answer|response|exact|example|sample)[ ]?){0,6}(?:format|json|schema|structure"
    r"|object|form)\b(?:[ ](?:requires|you[ ](?:asked[ ]for|requested|gave"
    r"|want)[ ]?(?:requires)?))?"
    r"|\b(?:following|per|match(?:es|ing)?)[ ](?:the|your|this)[ ](?:\w+[ ])?(?:template|example)\b"
    r"|\bas[ ](?:requested|required|asked|instructed|specified)\b"
    r"|(?<=[a-z])[ ](?:that[ ]|which[ ])?you(?:'ve|[ ]have)?[ ](?:asked[ ]for|requested|wanted"
    r"|need(?:ed)?)\b",
    re.I,
)
"""Words on the form of the answer, which change nothing."""
_HINTS = (
    *("ampl", "empl", "exempel", "instance", "e.g", "prompt", "manual", "ispiel", "etwa so"),
    *("esemp", "eeld", "yklad", "mesela", "ornegin", "eksempel", "esimerkik", "priklad", "peldaul"),
    *("vi du", "chang han", "misalnya", "contohnya", "placehold", "illustrat", "demo", "draft"),
    *("dummy", "muster", "model", "below", "following", "look"),
    *("next", "format", "structure", "suppos", "imagin", "pretend", "hypothet"),
)
"""One of them is in every such announcement without other than Latin letters."""
_EXAMPLE = pattern(_FOR_EXAMPLE, re.IGNORECASE)
_SO = pattern(r"\b(?:therefore|thus|hence|but)\b|[,.] so\b|所以|因此", re.IGNORECASE)
_SENTENCE = pattern(r"[.!?;](?!\w)")
_MARKS = " \t#>*-'\"({["


def is_example(text: str, start: int) -> bool:
    """Whether the words before an answer call it an example, or say that it is not meant.

    Args:
        text: the reply.
        start: of the answer in it.
    """
    window = text[max(0, start - 400) : start]
    if window.isascii() and not has_any(window.lower(), _HINTS):
        return False
    head, _, line = window.rpartition("\n")
    if line.strip(_MARKS):
        return _calls_example(_SENTENCE.split(line)[-1])
    if len(head[len(head.rstrip()) :].partition("\n")[0]) > 2:  # JSON stood there
        return False
    above = head.rstrip().rpartition("\n")[2].rstrip(" *_")
    if above.endswith((":", ",", "...")):
        told = _SENTENCE.split(above.rstrip(".:,"))[-1]
        plain = IN_THE_FORMAT.sub("", told).strip()
        heading = len(plain.split()) <= _LONGEST_HEADING and _HEADING.search(plain)
        return _calls_example(told) or bool(heading or _DISOWNS.search(plain))
    return bool(_DISOWNS.search(above))


def _calls_example(words: str) -> bool:
    """Whether an open sentence calls what follows an example, and draws no conclusion."""
    words = IN_THE_FORMAT.sub("", words)
    found = _EXAMPLE.search(words)
    return found is not None and not _SO.search(words, found.end())


_QUOTED = pattern(
    r"\"(?P<double>[^\"\n]{3,200})\"|(?<![\w'])'(?=\w)(?P<single>(?:[^'\n]"
    r"|(?<=\w)'(?=\w)){3,200})'(?!\w)"
)


def quotations(text: str) -> list[tuple[int, int, str]]:
    """Begin, end and words of what stands in quotation marks."""
    if '"' not in text and "'" not in text:
        return []
    return [
        (each.start(), each.end(), each["double"] or each["single"])
        for each in _QUOTED.finditer(text)
    ]
