"""Parse several legal plans of a model's reply, for this decision and the next ones.

The grammar is that of `plan_parser`. Accepted, in this order:

1. a labelled list: a JSON object with "actions", or a line "ACTIONS: LEFT x3, NOOP x4". The last
   one in the reply wins;
2. a single answer that `parse_plan` accepts, as a list of one;
3. a reply that is only a list: "LEFT x3, NOOP x4"; or a list behind "ACTION:".

If one plan of a list is not legal, the whole list is a fault; so is the list of all legal actions
in their order, which only repeats the prompt. A list may be shorter than requested; plans beyond
the requested number are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.contradiction import is_taken_back
from atari_vlm.replies.explanations import explains
from atari_vlm.replies.json_answers import (
    UNFINISHED_JSON,
    JSONAnswer,
    answer_from_dict,
    plan_from_json,
)
from atari_vlm.replies.labels import LABEL, introduces
from atari_vlm.replies.patterns import pattern
from atari_vlm.replies.plan_parser import AnswerText, Reading, fault_of, is_meant, plan_of
from atari_vlm.replies.reply_grammar import (
    ParsedPlan,
    Refused,
    ReplyGrammar,
    UnclearReply,
    grammar_of,
    quoted,
)
from atari_vlm.replies.words import PLURAL_LABELS
from atari_vlm.types import Plan

_MOST_LABELS = 200


@dataclass(frozen=True, slots=True)
class ParsedPlans:
    """The plans of a reply in the order of play, or why it has none."""

    plans: tuple[Plan, ...]
    """At most as many as requested; empty with a fault."""
    fault: str = ""
    """Why there are no plans, as a sentence for the model; empty if there are some."""
    note: str = ""
    """Adjustments for the record: plans shortened or left out."""
    thinking: str = ""
    """The thoughts of the reply, which were not read as its answer."""


def parse_plans(text: str, legal: Sequence[str], longest: int, limit: int) -> ParsedPlans:
    """Parse a reply.

    Args:
        text: the reply, of any length and content.
        legal: legal action names; a number in the reply is an index into them.
        longest: most frames a plan may hold its action. A plan without a duration holds its action
            this long.
        limit: most plans to return.

    >>> parse_plans("ACTIONS: LEFT x2, NOOP", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4, 4).plans
    (Plan(action='LEFT', frames=2), Plan(action='NOOP', frames=4))
    """
    grammar = grammar_of(tuple(legal), longest)
    reading = Reading(text)
    try:
        listed = _plans_of(grammar, reading.answer())
    except UnclearReply as error:
        return ParsedPlans((), fault_of(error), "", reading.thinking)
    notes = [parsed.note for parsed in listed[:limit] if parsed.note]
    if len(listed) > limit:
        notes.append(f"The reply lists {len(listed)} plans; the first {limit} are played.")
    plans = tuple(parsed.plan for parsed in listed[:limit])
    return ParsedPlans(plans, "", " ".join(dict.fromkeys(notes)), reading.thinking)


def _plans_of(grammar: ReplyGrammar, answer: AnswerText) -> list[ParsedPlan]:
    listed = _parse_labelled(grammar, answer)
    if listed is None:
        try:
            return [plan_of(grammar, answer)]
        except Refused:
            raise
        except UnclearReply:
            listed = _parse_bare_list(grammar, answer.text)
            if listed is None:
                raise
    return listed


# --- JSON lists ----------------------------------------------------------------------------------


def _parse_labelled(grammar: ReplyGrammar, answer: AnswerText) -> list[ParsedPlan] | None:
    """The last JSON list or ACTIONS line."""
    text, objects = answer.text, answer.objects
    lists = [
        value for value in objects if isinstance(value.actions, list) and is_meant(value, text)
    ]
    label = _last_label(text)
    last_list = max((value.start for value in lists), default=-1)
    last_label = label.start() if label else -1
    unfinished = max((brace.start() for brace in UNFINISHED_JSON.finditer(text)), default=-1)
    if max(last_list, last_label) < 0:
        return _plans_from_array(grammar, text, objects)
    if unfinished > max(last_list, last_label):
        raise UnclearReply("The JSON of the reply is incomplete: answer in fewer words.")
    if label is None or last_list > last_label:
        plans = _plans_from_json(grammar, lists[-1])
        return _checked(plans, text[lists[-1].end :].lstrip(" }])"))
    return _plans_from_line(grammar, label, text)


def _last_label(text: str) -> re.Match[str] | None:
    """The last label that introduces a list; None if there is none."""
    labels = list(_LABEL.finditer(text))[-_MOST_LABELS:]
    return next((label for label in reversed(labels) if introduces(label, text)), None)


def _checked(plans: list[ParsedPlan], tail: str) -> list[ParsedPlan]:
    """The plans, unless the words behind them take them back."""
    if len(plans) > 1 and is_taken_back(tail, "NOOP" if tail.strip() else ""):
        raise UnclearReply("The reply lists actions and then takes them back.")
    return plans


def _plans_from_array(
    grammar: ReplyGrammar, text: str, objects: Sequence[JSONAnswer]
) -> list[ParsedPlan] | None:
    """The last array of JSON objects: [{"action": "LEFT"}, {"action": "NOOP"}]."""
    array: list[JSONAnswer] = []
    for value in objects:
        joined = array and text[array[-1].end : value.start].strip(" \n,;'") == ""
        array = [*array, value] if joined else [value]
    if len(array) < 2 or any(value.action is None for value in array):
        return None
    if not is_meant(array[0], text):
        return None
    if any(brace.start() > array[0].start for brace in UNFINISHED_JSON.finditer(text)):
        raise UnclearReply("The JSON of the reply is incomplete: answer in fewer words.")
    return _checked([plan_from_json(grammar, value) for value in array], text[array[-1].end :])


def _plans_from_json(grammar: ReplyGrammar, value: JSONAnswer) -> list[ParsedPlan]:
    if not value.actions:
        raise UnclearReply('The "actions" of the JSON are empty; list at least one.')
    if value.frames is not None:
        raise UnclearReply('The JSON gives "frames" outside its "actions"; give each plan its own.')
    plans = [_plan_from_item(grammar, item) for item in value.actions]
    if (
        value.action is not None
        and plan_from_json(grammar, JSONAnswer(0, 0, value.action)) != plans[0]
    ):
        raise UnclearReply('The "action" of the JSON is not the first of its "actions".')
    return _not_the_prompt(grammar, plans)


def _plan_from_item(grammar: ReplyGrammar, item: Any) -> ParsedPlan:
    if not isinstance(item, dict):
        return plan_from_json(grammar, JSONAnswer(0, 0, item))
    if (value := answer_from_dict(item)).action is None:
        raise UnclearReply('An entry of the "actions" of the JSON has no "action".')
    return plan_from_json(grammar, value)


# --- ACTIONS lines -------------------------------------------------------------------------------

_LABEL = pattern(
    rf"""(?<![\w"'])(?P<word>{PLURAL_LABELS})[ ]{{0,2}}(?:[:=]|->|→|[ ]-[ ])""",
    re.IGNORECASE | re.VERBOSE,
)
_PLAN_BELOW = pattern(
    r"(?:here(?:'s| is| are)[ ])?(?:the|my)[ ](?:plan|plans|actions|sequence|moves)[ ]?:[ ]{0,3}",
    re.I,
)
"""A line that introduces a list below it: "Here's the plan:"."""
_SEPARATOR = pattern(r"[,;|\n]|->|→|\b(?:and[ ])?then\b", re.IGNORECASE)
_NUMBERED = pattern(r"(?:step[ ]|decision[ ])?([0-9]{1,3})[.):][ ]{1,3}(?=[A-Za-z])", re.I)


def _plans_from_line(grammar: ReplyGrammar, label: re.Match[str], text: str) -> list[ParsedPlan]:
    window = text[label.end() : label.end() + 4000]
    rest = window.lstrip(" ")
    # The plans follow the label on its line, or on the lines below it.
    below = rest.startswith("\n")
    line = rest.strip("\n").partition("\n\n")[0] if below else rest.partition("\n")[0]
    if not line.strip():
        raise UnclearReply(f"The reply ends before its actions: name some of {grammar.listed}.")
    plans = _plans_from_items(grammar, _split(line))
    return _checked(plans, text[text.index(line, label.end()) + len(line) :])


def _parse_bare_list(grammar: ReplyGrammar, text: str) -> list[ParsedPlan] | None:
    """The plans of a reply that is only a list, or of a list behind ACTION:; else None."""
    text = text.strip()
    if len(text) > 1000:
        return None
    labels = list(LABEL.finditer(text))
    if labels and introduces(labels[-1], text) and "\n" not in text[labels[-1].end() :].strip():
        text = text[labels[-1].end() :]
    above, _, below = text.partition("\n")
    if _PLAN_BELOW.fullmatch(above):
        text = below
    items = _split(text)
    if len(items) < 2 or not all(grammar.match(item) for item in items):
        return None
    return _plans_from_items(grammar, items)


def _split(line: str) -> list[str]:
    """The items of a list, without brackets, dashes and line numbers."""
    line = line.strip()
    line = (line.strip("[]()") if line[:1] in ("[", "(") else line).rstrip(".! ")
    lines = [each for each in line.split("\n") if each.strip()]
    listed = len(lines) > 1 and all(map(_BULLET.match, lines))
    items = lines if listed and all(map(_EXPLAINED.fullmatch, lines)) else _SEPARATOR.split(line)
    items = [item.strip().lstrip("-> ") for item in items]
    items = [_unexplained(item) for item in items if item]
    numbers = [_NUMBERED.match(item) for item in items]
    if [number and int(number[1]) for number in numbers] == list(range(1, len(items) + 1)):
        items = [
            item[number.end() :] for item, number in zip(items, numbers, strict=True) if number
        ]
    return items


_EXPLAINED = pattern(
    r"(?P<answer>[^(,]{1,60}?)(?:(?:[ ]{1,2}-{1,2}|:|,(?=[ ](?:because|since|as|so|to)\b))[ ]"
    r"(?P<said>[^\n]{1,240})|[ ]{1,2}\((?P<aside>[^()\n]{1,240})\))"
)


_BULLET = pattern(r"[ ]{0,4}(?:[-*\u2022]|[0-9]{1,2}[.)])[ ]")


def _unexplained(item: str) -> str:
    """An item without the reason behind it: "LEFT x2 - get below the ball"."""
    found = _EXPLAINED.fullmatch(item) if len(item) < 300 else None
    if found and explains(found["said"] or found["aside"]):
        return found["answer"]
    return item


def _plans_from_items(grammar: ReplyGrammar, items: Sequence[str]) -> list[ParsedPlan]:
    if not items:
        raise UnclearReply(f"The reply ends before its actions: name some of {grammar.listed}.")
    bare = [item for item in items if _names_only_a_number(grammar, item)]
    if bare and len(bare) < len(items):
        raise UnclearReply(
            f"It is not clear whether {bare[0][:12]} is an action or a number of frames."
        )
    plans = []
    for item in items:
        answer = grammar.only(item)
        if answer is None:
            raise _unclear(item) if grammar.match(item) else grammar.illegal(item)
        plans.append(grammar.plan(answer))
    return _not_the_prompt(grammar, plans)


def _names_only_a_number(grammar: ReplyGrammar, item: str) -> bool:
    """Whether an item is "2" or "action 2", which beside "RIGHT" may say the same once more."""
    answer = grammar.only(item)
    return answer is not None and bool(answer.index) and not answer.also


def _not_the_prompt(grammar: ReplyGrammar, plans: list[ParsedPlan]) -> list[ParsedPlan]:
    """The plans, unless they are the list of legal actions."""
    whole = [plan for plan, _ in plans] == [Plan(name, grammar.longest) for name in grammar.legal]
    if whole and len(plans) > 2:
        raise UnclearReply("The reply repeats the list of legal actions: choose among them.")
    return plans


def _unclear(item: str) -> UnclearReply:
    return UnclearReply(f"It is not clear which plan {quoted(item)} means.")
