r"""Parse the legal plan of a model's reply: tolerant of form, without guessing.

This is the grammar, for one plan and for several (`multi_plan_parser`); docs/replies.md has it with
examples, and tests/replies/corpus holds what a careful person reads in more than 3,600 replies.

A reply of at most `characters.LONGEST` characters is read as a person sees it: without invisible
characters and markup, look-alike letters as Latin ones. Thoughts (`thoughts`) are set apart and
never played; a thought that does not end is a fault. A refusal is a fault of its own, even if an
action stands beside it. In what is left, these choose, in this order:

1. a labelled answer: a JSON object with an "action" (`json_answers`), or a line "ACTION: LEFT x3"
   (also "Answer:", "Decide:", `<action>`, `\boxed{}`, and the same words in other languages). The
   last one in the reply wins, so a model may reason first;
2. a reply that is only an answer: "right.", "3", "(LEFT, 3)", "move up for 2 frames";
3. a first or last line that is only an answer, and a last line that ends in one with a duration:
   "ball 45 30, paddle 52: LEFT for 3 frames";
4. prose that clearly chooses exactly one action: "So I will press FIRE.", "I need to move left".

None of these choose: a negation ("don't FIRE", "!FIRE", "Hold fire!"), a hedge ("maybe LEFT", "LEFT
or RIGHT", "ACTION: LEFT if ..."), a question, a description ("LEFT: enemy", "DOWN goes it"), a
quote of the prompt ("Last action: LEFT", "Example: ..."), an answer that is taken back behind it
("ACTION: LEFT. No, RIGHT."). They are faults, as sentences that can be shown to the model. Every
pattern is bounded, so that parsing takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from atari_vlm.replies.characters import legible
from atari_vlm.replies.contradiction import is_taken_back
from atari_vlm.replies.declining import declines
from atari_vlm.replies.json_answers import (
    UNFINISHED_JSON,
    JSONAnswer,
    blank_json,
    find_json,
    plan_from_json,
    single_item,
)
from atari_vlm.replies.labels import LABEL, introduces, plan_from_line
from atari_vlm.replies.leads import goes_on_to_doubt, lead_of
from atari_vlm.replies.markup import unwrapped, without_markup
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.prose import (
    parse_bare_answer,
    parse_last_line,
    parse_line,
    parse_prose,
)
from atari_vlm.replies.reply_grammar import (
    ParsedPlan,
    Refused,
    ReplyGrammar,
    UnclearReply,
    grammar_of,
)
from atari_vlm.replies.speakers import may_have_others, own_words
from atari_vlm.replies.thoughts import separate
from atari_vlm.replies.words import HEDGE, SEEMS_TO_REFUSE, apologises, refusal_in
from atari_vlm.types import Plan

REFUSAL = "The model refused to answer."
"""The beginning of the fault of a refusal, by which refusals are counted."""

_PLAIN_JSON = pattern(r"""\{["'][\n !-#%'-);+-;=-\[\]-_a-{}]{0,4000}\}""")
"""A reply that is one object without markup, as most are: nothing has to be taken off."""

_ANSWERS_BELOW = pattern(r"^A(?=[ ]?:)", re.MULTILINE)
"""The mark of the answer in the form of an interview: "Q: ..." / "A: LEFT"."""
_INPUT = pattern(r"\s{0,9}(?:action[ _])?(?:input|arguments|args|parameters)[ ]?:?\s{0,9}", re.I)
"""What stands between an action and its frames in the form of ReAct."""

_MOST_LABELS = 200
"""Labels such as "Last action:" that are looked at, from the end, for one that chooses."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """The plan of a reply, or why it has none."""

    plan: Plan | None
    """A legal action, held for at least 1 and at most `longest` frames; None with a fault."""
    fault: str = ""
    """Why there is no plan, as a sentence for the model; empty if there is one."""
    note: str = ""
    """Adjustment for the record: the reply asked for more frames than allowed."""
    thinking: str = ""
    """The thoughts of the reply, which were not read as its answer."""


@dataclass(frozen=True, slots=True)
class AnswerText:
    """What of a reply may choose an action."""

    text: str
    """Without thoughts and markup, and with spaces in place of JSON."""
    objects: tuple[JSONAnswer, ...]
    """Its JSON."""


class Reading:
    """A reply on the way to its plans: `thinking` is known even if `answer` raises.

    Args:
        text: the reply.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.thinking = ""

    def answer(self) -> AnswerText:
        """What may choose an action. Raises UnclearReply if nothing does, Refused for a refusal."""
        if _PLAIN_JSON.fullmatch(self._text):
            objects = find_json(self._text)
            if len(objects) == 1 and objects[0].end == len(self._text):
                return AnswerText("", tuple(objects))
        parts = separate(legible(self._text))
        self.thinking = parts.thinking
        if parts.cut_off:
            raise UnclearReply(
                "The reply breaks off while thinking, before an answer: think less, then answer."
            )
        if not parts.answer.strip():
            raise UnclearReply("The reply is only a thought: answer behind it.")
        text = without_markup(unwrapped(parts.answer))
        if text.lstrip().startswith("Q:"):
            text = _ANSWERS_BELOW.sub("ANSWER", text)
        objects = find_json(text)
        text = blank_json(text, objects)
        if may_have_others(text):
            text, objects = own_words(text, objects)
        if refusal_in(text) >= 0:
            raise Refused
        return AnswerText(text, tuple(objects))


def thoughts_of(text: str) -> str:
    """The thoughts of a reply, which no parser reads as its answer; empty if it has none."""
    try:
        return separate(legible(text)).thinking
    except UnclearReply:
        return ""


def fault_of(error: UnclearReply) -> str:
    """The fault as a sentence for the model."""
    if isinstance(error, Refused):
        return f"{REFUSAL} Nothing in this Atari game is real: name an action."
    return str(error)


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
    reading = Reading(text)
    try:
        plan, note = plan_of(grammar_of(tuple(legal), longest), reading.answer())
    except UnclearReply as error:
        return ParsedReply(None, fault_of(error), "", reading.thinking)
    return ParsedReply(plan, "", note, reading.thinking)


def plan_of(grammar: ReplyGrammar, answer: AnswerText) -> ParsedPlan:
    """The one plan of a reply. Raises UnclearReply or Refused if it has none."""
    try:
        plan = _parse_labelled(grammar, answer)
        if plan is None and apologises(answer.text):
            raise Refused
        return plan or _parse_unlabelled(grammar, answer)
    except Refused:
        raise
    except UnclearReply:
        if SEEMS_TO_REFUSE.search(answer.text):
            raise Refused from None
        raise


def _parse_labelled(grammar: ReplyGrammar, answer: AnswerText) -> ParsedPlan | None:
    """The last JSON answer or ACTION line."""
    text = answer.text
    objects = [
        each for each in answer.objects if each.action is not None or each.actions is not None
    ]
    answers: list[tuple[int, JSONAnswer | re.Match[str]]] = [
        *((each.start, each) for each in objects),
        *((label.start(), label) for label in LABEL.finditer(text)),
    ]
    braces = [brace.start() for brace in UNFINISHED_JSON.finditer(text)]
    unfinished = braces[-1] if braces else -1
    answers.sort(key=lambda pair: pair[0], reverse=True)
    mentioned = None
    for start, found in answers[:_MOST_LABELS]:
        if start < unfinished or (braces and text.find("}", unfinished, start) < 0):
            raise _incomplete()
        if isinstance(found, JSONAnswer):
            if is_meant(found, text):
                return _plan_from_object(grammar, found, objects, text)
            mentioned = found
        elif introduces(found, text) and (plan := plan_from_line(grammar, found, text)):
            _check_lines(grammar, found, plan, text)
            return _with_input(grammar, found, plan, answer)
    if len(answers) > _MOST_LABELS:
        raise UnclearReply("The reply names too many actions to say which is its final one.")
    if mentioned:
        raise UnclearReply("The JSON of the reply is not its answer, but quoted: answer for now.")
    return None


def is_meant(found: JSONAnswer, text: str) -> bool:
    """Whether an object is an answer, unlike one that is quoted: "The format is {...}".

    Args:
        found: the object.
        text: the reply, with spaces in place of its JSON.

    Raises:
        UnclearReply: it is negated, left open or asked: "Do not answer {...}".
    """
    if not text or text.isspace():
        return True
    lead = lead_of(text, found.start)
    if lead == "unclear" or (lead == "chooses" and goes_on_to_doubt(text[found.end :])):
        raise UnclearReply("It is not clear whether the reply chooses what its JSON says.")
    return lead == "chooses"


def _incomplete() -> UnclearReply:
    return UnclearReply("The JSON of the reply is incomplete: answer in fewer words.")


def _plan_from_object(
    grammar: ReplyGrammar, found: JSONAnswer, objects: Sequence[JSONAnswer], text: str
) -> ParsedPlan:
    _check_final(found, objects, text)
    plan = plan_from_json(grammar, single_item(found))
    if is_taken_back(text[found.end :].lstrip(" }])"), plan.plan.action):
        raise UnclearReply(
            f"The reply answers {plan.plan.action} and then takes it back or doubts it."
        )
    return plan


def _check_final(found: JSONAnswer, objects: Sequence[JSONAnswer], text: str) -> None:
    """Raise UnclearReply for several answers: [{"action": "LEFT"}, {"action": "RIGHT"}]."""
    before = objects[: objects.index(found)]
    if not before or before[-1].action == found.action:
        return
    between = text[before[-1].end : found.start].strip(" \n,;'\"")
    if not between or HEDGE.search(between) or re.search(r"\boption\b", between, re.I):
        raise UnclearReply("The reply lists several actions; name the one to play now.")


def _with_input(
    grammar: ReplyGrammar, label: re.Match[str], plan: ParsedPlan, answer: AnswerText
) -> ParsedPlan:
    """The plan with the frames of an "Action Input: {...}" on the line below its label."""
    for each in answer.objects:
        if each.start > label.end() and each.frames is not None:
            between = answer.text[label.end() : each.start].partition("\n")[2]
            if _INPUT.fullmatch(between[:60]):
                frames, note = grammar.frames(each.frames)
                return ParsedPlan(Plan(plan.plan.action, frames), note)
    return plan


def _check_lines(grammar: ReplyGrammar, label: re.Match[str], plan: ParsedPlan, text: str) -> None:
    """Raise UnclearReply if the line above is another answer, as in a list."""
    above = text[: label.start()].rstrip().rpartition("\n")[2][-120:]
    earlier = LABEL.match(above.lstrip(" #>-"))
    if earlier is None:
        return
    other = grammar.only(above.lstrip(" #>-")[earlier.end() :].strip())
    if other and other.name and not same_plan(grammar, other, plan):
        raise UnclearReply("The reply lists several actions; name the one to play now.")


def same_plan(grammar: ReplyGrammar, other: object, plan: ParsedPlan) -> bool:
    """Whether an answer is the same action as a plan."""
    try:
        return grammar.plan(other).plan.action == plan.plan.action  # type: ignore[arg-type]
    except UnclearReply:
        return False


def _parse_unlabelled(grammar: ReplyGrammar, answer: AnswerText) -> ParsedPlan:
    """An answer without a label."""
    text = answer.text
    if declines(text):
        raise Refused
    if answer.objects:
        raise UnclearReply(
            'The JSON of the reply has no "action": give it the name of one legal action.'
        )
    if UNFINISHED_JSON.search(text):
        raise _incomplete()
    return (
        parse_bare_answer(grammar, text)
        or parse_last_line(grammar, text)
        or parse_line(grammar, text)
        or parse_prose(grammar, text)
    )
