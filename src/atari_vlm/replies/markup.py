"""Take the markup off a reply: Markdown, HTML, special tokens, tables, fences, calls."""

from __future__ import annotations

import json
import re

from atari_vlm.replies.patterns import pattern

_STRUCK = pattern(r"~~[^~\n]{0,400}~~|<(?:del|strike)>[^<\n]{0,400}</(?:del|strike)>", re.I)
_FENCE = pattern(r"^[ ]{0,3}(?:`{3,}|~{3,})[ ]{0,2}[\w+-]{0,20}[ ]{0,3}$", re.M)
_TOKEN = pattern(
    r"<\|[^<>|\n]{0,40}\|?>|</?s>|</?(?:start_of_turn|end_of_turn|end_of_utterance|eos|bos|pad|unk)>"
    r"|\[/?(?:INST|EOS|BOS|TOOL_CALLS?)\]|functools(?=\[)",
    re.I,
)
_ROLE = pattern(r"\A\s{0,20}(?:assistant|model|json|text)[ ]{0,3}:?[ ]{0,3}\n", re.I)
_LINES = pattern(r"</?(?:br|p|div|li|ul|ol|tr|h[1-6]|pre)\b[^<>\n]{0,80}>", re.I)
_INLINE = pattern(
    r"</?(?:b|i|u|em|strong|code|span|center|mark|small|kbd|tt|font|html|body|table|td|th|tbody|thead"
    r"|response|result|final|final_answer|solution|tool_call|function_call|json|text)\b[^<>\n]{0,80}>",
    re.I,
)
_FRAMES_TAG = pattern(r"<(?:frames|duration)>([^<>\n]{1,20})(?:</\w{1,12}>)?", re.I)
_ATTRIBUTES = pattern(
    r"<(?:action|answer|output|decision|move|choice|play"
    r"|press)(?P<told>(?:[ ]{1,3}[\w-]{1,20}[ ]?=[ ]?"
    r"(?:\"[^\"<>\n]{0,80}\"|'[^'<>\n]{0,80}'|[\w+-]{1,40})){1,6})[ ]{0,3}(?P<empty>/?)>"
    r"(?:(?P<name>[^<>\n]{0,40})(?=</|$))?",
    re.I | re.M,
)
_ATTRIBUTE = pattern(
    r"([\w-]{1,20})[ ]?=[ ]?[\"']?([^\"'<>\n]{0,80}?)[\"']?(?=[ ]{1,3}[\w-]{1,20}[ ]?=|[ ]*$)"
)
_CLOSED = pattern(r"</(?:action|answer|output|decision|move|choice)>", re.I)
_CALL = pattern(
    r"""^[ ]{0,8}(?:print\(|\[)?(?:\w{1,12}\.)?
    (?:\w{1,30}(?:\.call)?(?=\([ ]?action[ ]?[=:])
        |play|act|action|move|press|step|choose|choose_action|take_action|select|select_action
        |perform|execute|do_action|play_action|send_action)
    \([ ]?(?:action[ ]?[=:][ ]?)?["']?(?P<name>[A-Za-z_+ -]{1,24}|[0-9]{1,3})["']?
    (?:[ ]?,[ ]?(?:(?:frames|duration
        |n)[ ]?[=:][ ]?)?["']?(?P<n>[0-9]{1,6})["']?)?[ ]?\)[\]);\x20]{0,3}$""",
    re.I | re.M | re.VERBOSE,
)
_DICT = pattern(r"\A\s{0,9}dict\((?=[^(){}]{1,400}\)\s{0,9}\Z)")
_ROW = pattern(r"^[ ]{0,3}\|[^\n]{1,400}\|[ ]{0,3}$", re.M)
_RULE = pattern(r"^[ |:-]{3,}$")
_LATEX = pattern(r"\\(?:text|textbf|texttt|mathrm|mathbf)\{([^{}\n]{0,80})\}")
_QUOTES = str.maketrans("`$", "' ")


_DIALECT = pattern(r"<\|?\w{0,12}\|?(?:parameter|arg|arg_key|argument|param)\b", re.I)
_CALLED = pattern(
    r"</?\|?\w{0,12}\|?(?:[\w-]{1,20}:)?(?:function_calls|tool_calls?|function|invoke|tool_use|call)\b[^<>\n]{0,80}>",
    re.I,
)
"""The beginning or end of a call in XML: Qwen, Claude, MiniMax, DeepSeek, GLM."""
_ARGUMENT = pattern(
    r"""<\|?\w{0,12}\|?(?:parameter|argument|param|arg)(?:=
        |[ ]name=)["']?(?P<key>\w{1,30})["']?[^<>\n]{0,40}>
        \s{0,9}(?P<value>[^<>]{0,4000}?)\s{0,9}</\|?\w{0,12}\|?(?:parameter|argument|param|arg)>
    |<arg_key>\s{0,9}(?P<glm_key>\w{1,30})\s{0,9}</arg_key>
        \s{0,9}<arg_value>\s{0,9}(?P<glm_value>[^<>]{0,4000}?)\s{0,9}</arg_value>""",
    re.I | re.VERBOSE,
)


def _without_calls(text: str) -> str:
    """The text with JSON in place of calls in XML: {"action": "LEFT", "frames": "2"}."""
    parts = []
    at = 0
    for part in (*_CALLED.finditer(text), None):
        end = part.start() if part else len(text)
        inside = text[at:end]
        found = [
            (each["key"] or each["glm_key"], each["value"] or each["glm_value"] or "")
            for each in _ARGUMENT.finditer(inside)
        ]
        rest = _ARGUMENT.sub(" ", inside) if found else inside
        if _DIALECT.search(rest):  # an argument that does not end: JSON that does not either
            rest = _DIALECT.sub('{"action": "', rest)
        told = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found)
        parts += [f"\n{{{told}}}\n" if told else "", rest]
        at = part.end() if part else end
    return "\n".join(parts)


def unwrapped(text: str) -> str:
    """The text of a reply that is one JSON string or stands in quotation marks as a whole."""
    if text.lstrip().startswith("<|"):
        text = _TOKEN.sub("\n", text)
    for _ in range(2):
        bare = text.strip()
        if len(bare) < 3 or bare[0] not in "\"'" or bare[-1] != bare[0]:
            break
        inner = bare[1:-1]
        if bare[0] == '"' and "\\" in inner:
            try:
                inner = json.loads(bare, strict=False)
            except (ValueError, RecursionError):
                break
        elif bare[0] in inner:
            break
        text = inner
    return text


def without_markup(text: str) -> str:
    """The words of a reply as a person reads them on a rendered page.

    A table becomes lines "action: LEFT"; a call such as play("LEFT", 3) becomes an ACTION line.
    """
    if "<" in text and _DIALECT.search(text):
        text = _without_calls(text)
    if "~~" in text or "<" in text or "[" in text:
        text = _STRUCK.sub(" ", text)
        text = _TOKEN.sub("\n", text)
        text = _ATTRIBUTES.sub(_told_by_attributes, text)
        text = _FRAMES_TAG.sub(r"\nframes: \1\n", _CLOSED.sub("\n", text))
        text = _INLINE.sub("", _LINES.sub("\n", text))
    if "e.g." in text:
        text = text.replace("e.g.", "for example")
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("", text)
    if "\n" in text:
        text = _ROLE.sub("", text)
    if "(" in text:
        text = _CALL.sub(_called, text)
        if _DICT.match(text):
            text = "{" + text.strip()[5:-1] + "}"
    if "|" in text:
        text = _without_tables(text)
    text = _without_latex(text).translate(_QUOTES)
    if "*" in text:
        text = re.sub(r"(?<=\w) ?\*(?!\*) ?(?=[0-9])", " x ", text).replace("*", "")
    return re.sub(r"(?<![A-Za-z])_+|_+(?![A-Za-z])", " ", text) if "_" in text else text


def _told_by_attributes(tag: re.Match[str]) -> str:
    """A tag with attributes as JSON: <action frames="3">LEFT</action>, <action name="LEFT"/>."""
    told = {key.lower(): value for key, value in _ATTRIBUTE.findall(tag["told"])}
    inside = (tag["name"] or "").strip()
    if inside:
        told["action"] = inside
    elif "action" not in told:
        named = next((key for key in ("name", "value", "type", "id", "button") if key in told), "")
        if not named:
            return tag[0]
        told["action"] = told.pop(named)
    return f"\n{json.dumps(told)}\n"


def _without_latex(text: str) -> str:
    r"""The words of what is set in LaTeX: \text{LEFT} \times 3."""
    return _LATEX.sub(r"\1", text).replace("\\times", "x") if "\\" in text else text


def _called(call: re.Match[str]) -> str:
    held = f" x{call['n']}" if call["n"] else ""
    return f"\nACTION: {call['name']}{held}"


def _without_tables(text: str) -> str:
    rows = list(_ROW.finditer(text))
    if not rows:
        return text
    cells = [[cell.strip(" *_`") for cell in row[0].strip(" |").split("|")] for row in rows]
    told = [pair for row, pair in zip(rows, cells, strict=True) if not _RULE.match(row[0])]
    lines = _told_in_pairs(told) or _told_in_columns(told)
    if not lines:
        return text
    return text[: rows[0].start()] + "\n".join(lines) + "\n" + text[rows[-1].end() :]


def _told_in_pairs(rows: list[list[str]]) -> list[str]:
    """Of | action | LEFT |, with a row for each field."""
    fields = [row for row in rows if len(row) == 2 and row[0].lower() in ("action", "frames")]
    paired = fields and fields[0][1].lower() not in ("frames", "duration", "value", "reason")
    return [f"{name}: {value}" for name, value in fields] if paired else []


def _told_in_columns(rows: list[list[str]]) -> list[str]:
    """Of | action | frames | with one row below it."""
    if len(rows) != 2 or len(rows[0]) != len(rows[1]):
        return []
    names = [name.lower() for name in rows[0]]
    return [
        f"{name}: {value}"
        for name, value in zip(names, rows[1], strict=True)
        if name in ("action", "frames", "duration")
    ]
