"""Tell a reply's thoughts from its answer.

A thought is what stands between tags of that meaning, in any of their spellings and languages
(`<think>`, `[THINK]`, `<|channel|>analysis`, a fence or a heading called "Thought"), and everything
before a closing tag that was not opened: chat templates open it in the prompt. It is stored and
never played. A thought that does not end makes the reply a fault.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from atari_vlm.replies.characters import folded
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.words import has_any

_MOST_JSON = 50
"""Braces that are tried as the beginning of a JSON object, in which tags are only text."""


@dataclass(frozen=True, slots=True)
class Separated:
    """The parts of a reply."""

    answer: str
    """All that is no thought; where a thought stood, a new line."""
    thinking: str = ""
    """The thoughts, a paragraph each."""
    cut_off: bool = False
    """Whether the last thought does not end."""


_STEM = folded(
    r"think|thought|reason|refle[ckx]|scratch|analy[sz]|monolog|delibera|rational|chain.of|ponder"
    r"|introspect|brainstorm|critique|observ|\bplan|\bcot\b|\bdetails\b|unused94|denk|gedank|uberleg"
    r"|pensee|pensam|pensier|penser|razon|raciocin|raison|ragiona|nadenk|redener|rozumow|dusun|사고|추론|推論|تفكير|सोच|réflexion|мысл|размышл|рассужд|思|推理|考え|생각"
)
_THOUGHT = pattern(_STEM, re.IGNORECASE)
_END = pattern(r"(?:^|[_\W])end(?:$|[_\W])|end_of|unused95", re.IGNORECASE)
_MARK = pattern(
    r"""(?P<comment><!--)|(?P<comment_end>-->)
    |<\|channel\|?>\s{0,3}(?P<channel>\w{1,20})|<\|im_start\|>\s{0,3}(?P<role>\w{1,20})
    |(?P<turn><channel\|>|<\|(?:end|im_end|start|return)\|?>|<unused95>)
    |<\|?[ ]{0,2}(?P<slash>[/\\]{0,2})[ ]{0,2}(?P<name>[^\W\d_][\w:.-]{0,40})
        (?P<more>[^<>\n]{0,80}?)(?P<empty>/?)\|?(?:>|(?=\n))
    |\[[ ]?(?P<bracket_slash>[/\\]?)[ ]?(?P<bracket>[^\W\d_][\w ]{0,20})\]
    |(?:^|\n)[ ]{0,3}(?P<fence>`{3,}|~{3,})[ ]{0,2}(?P<info>\w{0,30})
    |(?P<done>\.\.\.[ ]?done[ ]thinking\.?)
    |\{\{[ ]?(?P<curly_slash>[/]?)[ ]?(?P<curly>\w[\w ]{0,20})\}\}
    |(?P<brace>\{)""",
    re.IGNORECASE | re.VERBOSE,
)
_FIRST = pattern(
    rf"(?:<[|/\\ ]{{0,5}}|\[[/\\ ]{{0,3}})[^<>\n\[\]]{{0,60}}?(?:{_STEM})"
    rf"|(?:`{{3}}|~{{3}})[ ]{{0,2}}\w{{0,20}}?(?:{_STEM})"
    r"|<!--|\{\{|<\|?channel|<\|im_start|\.\.\.[ ]?done|unused9[45]",
    re.IGNORECASE,
)
_BEGINNINGS = ("<", "[", "```", "~~~", "{{", "...", "nused9", "NUSED9")
"""One of them is in every text in which `_FIRST` is found."""
_MAY_MARK = pattern(r"[<\[`~*#(_]|\{\{|-->|\.\.\.")
"""A character of a mark or a heading; most replies have none."""
_ASIDE = pattern(
    r"\((?:thinking|thoughts?|thinks|reasoning)\b[^()]{0,20000}\)"
    r"|(?<!\*)\*(?:thinking|thoughts?|thinks|reasoning)\b[^*\n]{0,2000}\*(?!\*)",
    re.IGNORECASE,
)
_TOKEN = pattern(r"<\|[^<>|\n]{0,40}\|?>")


def separate(text: str) -> Separated:
    """Tell thoughts from the answer.

    Args:
        text: a reply; of the characters that `characters.legible` returns.
    """
    parts = Separated(text)
    if not _MAY_MARK.search(text) and not text.lstrip().startswith("analysis"):
        return parts
    if glued := _GLUED.match(text):
        before, mark, after = text[glued.end() :].rpartition("assistantfinal")
        parts = Separated(after, before) if mark else Separated("", text[glued.end() :], True)
    elif has_any(text, _BEGINNINGS) and _FIRST.search(text):
        parts = _by_marks(text)
    if not parts.cut_off and (asides := _ASIDE.findall(parts.answer)):
        answer = _ASIDE.sub("\n", parts.answer)
        parts = Separated(answer, "\n\n".join((parts.thinking, *asides)).strip())
    return parts if parts.cut_off else _by_headings(parts)


_GLUED = pattern(r"\s{0,9}analysis(?=[A-Z])")
"""The marks of gpt-oss without their brackets: analysisThe ball...assistantfinalLEFT."""


class _Marks:
    """Follows the marks of a text from its first to its last."""

    def __init__(self, text: str) -> None:
        self.text, self.begin = text, 0
        self.answer: list[str] = []
        self.thoughts: list[str] = []
        self.open: list[str] = []
        """What has to be closed, the innermost last."""
        self.fenced, self.fences = False, 0
        """Whether a fence of thoughts was closed, and the bare fences after it."""

    def opens(self, key: str, mark: re.Match[str]) -> None:
        if not self.open:
            self.answer.append(self.text[self.begin : mark.start()])
            self.begin = mark.end()
        if not self.open or self.open[-1] != key:
            self.open.append(key)

    def closes(self, key: str, mark: re.Match[str]) -> None:
        if not self.open:  # opened in the prompt, or the mark of an outer thought
            self.thoughts += [*self.answer, self.text[self.begin : mark.start()]]
            self.answer, self.begin = [], mark.end()
        elif key in self.open:
            del self.open[self.open.index(key) :]
            if not self.open:
                self.thoughts.append(self.text[self.begin : mark.start()])
                self.begin = mark.end()

    def closes_all(self, mark: re.Match[str]) -> None:
        del self.open[1:]
        self.closes(self.open[0] if self.open else "", mark)

    def ended(self) -> Separated:
        rest = self.text[self.begin :]
        # A bare fence inside a fence of thoughts: the last mark closes the thoughts, not the first.
        nested = self.fenced and self.fences % 2 == 1 and rest.rstrip().endswith(("```", "~~~"))
        (self.thoughts if self.open else self.answer).append(rest)
        thoughts = (_TOKEN.sub(" ", thought).strip() for thought in self.thoughts)
        return Separated(
            "\n".join(self.answer),
            "\n\n".join(thought for thought in thoughts if thought),
            bool(self.open) or nested,
        )


def _by_marks(text: str) -> Separated:
    marks = _Marks(text)
    decode = json.JSONDecoder(strict=False).raw_decode
    at = tried = 0
    while mark := _MARK.search(text, at):
        at = max(mark.end(), at + 1)
        if mark["brace"]:
            if not marks.open and tried < _MOST_JSON:
                try:
                    at = decode(text, mark.start())[1]
                except (ValueError, RecursionError):
                    tried += 1
        else:
            _follow(marks, mark)
    return marks.ended()


def _follow(marks: _Marks, mark: re.Match[str]) -> None:
    if mark["comment"]:
        marks.opens("comment", mark)
    elif mark["comment_end"]:
        if "comment" in marks.open:
            marks.closes("comment", mark)
    elif mark["done"]:
        marks.closes_all(mark)
    elif mark["fence"]:
        _follow_fence(marks, mark)
    elif mark["channel"] or mark["role"] or mark["turn"]:
        _follow_turn(marks, mark)
    else:
        _follow_tag(marks, mark)


def _follow_turn(marks: _Marks, mark: re.Match[str]) -> None:
    """Channels and roles: <|channel|>analysis ... <|end|>."""
    if mark["turn"]:
        for key in ("channel", "unused94"):
            if marks.open:
                marks.closes(key, mark)
    elif mark["role"]:
        if _THOUGHT.search(mark["role"]):
            marks.opens("channel", mark)
    elif mark["channel"].lower() in ("final", "response", "answer") or _is_call(marks.text, mark):
        marks.closes_all(mark)
    else:
        marks.opens("channel", mark)


_CALL = pattern(r"\bto=(?:functions|tools?)\.\w")


def _is_call(text: str, mark: re.Match[str]) -> bool:
    """Whether a channel holds a call: <|channel|>commentary to=functions.play."""
    around = text[max(0, mark.start() - 60) : mark.end() + 60]
    return mark["channel"].lower() == "commentary" and bool(_CALL.search(around))


def _follow_fence(marks: _Marks, mark: re.Match[str]) -> None:
    key = mark["fence"][:3]
    if key in marks.open and not mark["info"]:
        marks.closes(key, mark)
        marks.fenced, marks.fences = True, 0
    elif _THOUGHT.search(mark["info"]):
        marks.opens(key, mark)
    else:
        marks.fences += 1


def _follow_tag(marks: _Marks, mark: re.Match[str]) -> None:
    name = (mark["name"] or mark["bracket"] or mark["curly"]).lower()
    stem = _THOUGHT.search(name)
    if stem is None and mark["name"]:
        if name in marks.open:  # <div class="thinking"> ... </div>
            marks.closes(name, mark) if mark["slash"] else None
            return
        if (stem := _THOUGHT.search(mark["more"])) and "=" in mark["more"]:
            marks.opens(name, mark)
            return
    if stem is None:
        return
    key = stem[0]
    if mark["slash"] or mark["bracket_slash"] or mark["curly_slash"] or _END.search(name):
        marks.closes(key, mark)
    elif not mark["empty"]:
        marks.opens(key, mark)
    elif key in marks.open:  # <think> ... <think/>
        marks.closes(key, mark)


# --- headings ------------------------------------------------------------------------------------

_HEADING = pattern(
    r"^[ ]{0,3}(?:\#{1,6}[ ]{0,3}[*_]{0,3}|[*_]{2,3})"
    r"(?P<title>[^\n*_#:]{1,60}):?[*_]{0,3}:?[ ]{0,3}$"
)
_ANSWER_LINE = pattern(
    r"^\W{0,6}(?:(?:my|the|final|next)[ ]){0,3}(?:actions?|answer|decision|choice)[*_ ]{0,4}[:=]",
    re.I,
)
_ANY_HEADING = pattern(
    rf"^[ ]{{0,3}}(?:\#{{1,6}}|[*_]{{2,3}})[^\n]{{0,60}}?(?:{_STEM})", re.I | re.M
)


def _by_headings(parts: Separated) -> Separated:
    """Without the sections whose heading calls them thoughts.

    Such a section ends at the next heading, or at a last line "ACTION: ..." behind other words.
    """
    if not has_any(parts.answer, ("#", "**", "__", "*_", "_*")):
        return parts
    if not _ANY_HEADING.search(parts.answer):
        return parts
    lines = parts.answer.rstrip().split("\n")
    answer: list[str] = []
    thoughts: list[str] = []
    thinking = said = False
    for number, line in enumerate(lines):
        heading = _HEADING.match(line)
        if heading:
            thinking, said = bool(_THOUGHT.search(heading["title"])), False
        elif thinking and number == len(lines) - 1 and said and _ANSWER_LINE.match(line):
            thinking = False
        if not thinking:
            answer.append(line)
        elif line.strip() and not heading:
            thoughts.append(line.strip())
            said = True
    thinking_text = "\n\n".join(text for text in (parts.thinking, "\n".join(thoughts)) if text)
    return Separated("\n".join(answer), thinking_text)
