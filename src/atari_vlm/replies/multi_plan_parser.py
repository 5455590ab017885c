"""Parse several legal plans of a model's reply, for this decision and the next ones.

Accepted, in this order:

1. a labelled list: a JSON object with "actions", or a line "ACTIONS: LEFT x3, NOOP x4". The last
   one in the reply wins;
2. a single answer that `parse_plan` accepts, as a list of one;
3. a reply that is only a list: "LEFT x3, NOOP x4".

If one plan of a list is not legal, the whole list is a fault. A list may be shorter than requested;
plans beyond the requested number are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.json_answers import (
    UNFINISHED_JSON,
    JSONAnswer,
    answer_from_dict,
    blank_json,
    find_json,
    plan_from_json,
)
from atari_vlm.replies.plan_parser import introduces, normalise, parse_plan
from atari_vlm.replies.reply_grammar import ENDS, ParsedPlan, ReplyGrammar, UnclearReply, quoted
from atari_vlm.types import Plan


@dataclass(frozen=True, slots=True)
class ParsedPlans:
    """The plans of a reply in the order of play, or why it has none."""

    plans: tuple[Plan, ...]
    """At most as many as requested; empty with a fault."""
    fault: str = ""
    """Why there are no plans, as a sentence for the model; empty if there are some."""
    note: str = ""
    """Adjustments for the record: plans shortened or left out."""


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
    grammar = ReplyGrammar(legal, longest)
    try:
        normalised = normalise(text)
        listed = _parse_labelled(grammar, normalised)
        if listed is None:
            single = parse_plan(text, legal, longest)
            if single.plan is not None:
                return ParsedPlans((single.plan,), "", single.note)
            listed = _parse_bare_list(grammar, normalised)
            if listed is None:
                return ParsedPlans((), single.fault)
    except UnclearReply as fault:
        return ParsedPlans((), str(fault))
    notes = [parsed.note for parsed in listed[:limit] if parsed.note]
    if len(listed) > limit:
        notes.append(f"The reply lists {len(listed)} plans; the first {limit} are played.")
    plans = tuple(parsed.plan for parsed in listed[:limit])
    return ParsedPlans(plans, "", " ".join(dict.fromkeys(notes)))


# --- JSON lists ----------------------------------------------------------------------------------


def _parse_labelled(grammar: ReplyGrammar, text: str) -> list[ParsedPlan] | None:
    """The last JSON list or ACTIONS line."""
    objects = list(find_json(text))
    text = blank_json(text, objects)
    lists = [value for value in objects if isinstance(value.actions, list)]
    labels = [label for label in _LABEL.finditer(text) if introduces(label, text)]
    last_list = max((value.start for value in lists), default=-1)
    last_label = max((label.start() for label in labels), default=-1)
    unfinished = max((brace.start() for brace in UNFINISHED_JSON.finditer(text)), default=-1)
    if max(last_list, last_label) < 0:
        return _plans_from_array(grammar, text, objects)
    if unfinished > max(last_list, last_label):
        raise UnclearReply("The JSON of the reply is incomplete.")
    if last_list > last_label:
        return _plans_from_json(grammar, lists[-1])
    return _plans_from_line(grammar, labels[-1], text)


def _plans_from_array(
    grammar: ReplyGrammar, text: str, objects: Sequence[JSONAnswer]
) -> list[ParsedPlan] | None:
    """The last array of JSON objects: [{"action": "LEFT"}, {"action": "NOOP"}]."""
    array: list[JSONAnswer] = []
    for value in objects:
        joined = array and text[array[-1].end : value.start].strip() == ","
        array = [*array, value] if joined else [value]
    if len(array) < 2 or any(value.action is None for value in array):
        return None
    if any(brace.start() > array[0].start for brace in UNFINISHED_JSON.finditer(text)):
        raise UnclearReply("The JSON of the reply is incomplete.")
    return [plan_from_json(grammar, value) for value in array]


def _plans_from_json(grammar: ReplyGrammar, value: JSONAnswer) -> list[ParsedPlan]:
    if not value.actions:
        raise UnclearReply('The "actions" of the JSON are empty; list at least one.')
    if value.frames is not None:
        raise UnclearReply('The JSON gives "frames" outside its "actions"; give each plan its own.')
    return [_plan_from_item(grammar, item) for item in value.actions]


def _plan_from_item(grammar: ReplyGrammar, item: Any) -> ParsedPlan:
    if not isinstance(item, dict):
        return plan_from_json(grammar, JSONAnswer(0, 0, item))
    if (value := answer_from_dict(item)).action is None:
        raise UnclearReply('An entry of the "actions" of the JSON has no "action".')
    return plan_from_json(grammar, value)


# --- ACTIONS lines -------------------------------------------------------------------------------

_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>actions|plans|moves|decisions|sequence)[ ]{0,2}(?:[:=]|->|→|[ ]-[ ])""",
    re.IGNORECASE | re.VERBOSE,
)
_SEPARATOR = re.compile(r"[,;|\n]|->|→|\b(?:and[ ])?then\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:step[ ]|decision[ ])?([0-9]{1,3})[.):][ ]{1,3}(?=[A-Za-z])", re.I)
_DIGITS = re.compile(r"[0-9]+")


def _plans_from_line(grammar: ReplyGrammar, label: re.Match[str], text: str) -> list[ParsedPlan]:
    rest = text[label.end() : label.end() + 4000].lstrip(" ")
    # The plans follow the label on its line, or on the lines below it.
    below = rest.startswith("\n")
    line = rest.strip("\n").partition("\n\n")[0] if below else rest.partition("\n")[0]
    if not line.strip():
        raise UnclearReply("The reply ends before its actions.")
    return _plans_from_items(grammar, _split(line))


def _parse_bare_list(grammar: ReplyGrammar, text: str) -> list[ParsedPlan] | None:
    """The plans of a reply that is only a list; None for any other reply."""
    items = _split(text.strip())
    if len(text) > 1000 or len(items) < 2 or not all(grammar.match(item) for item in items):
        return None
    return _plans_from_items(grammar, items)


def _split(line: str) -> list[str]:
    """The items of a list, without brackets, dashes and line numbers."""
    line = line.strip().strip("[]()").rstrip(".! ")
    items = [item.strip().lstrip("-> ") for item in _SEPARATOR.split(line)]
    items = [item for item in items if item]
    numbers = [_NUMBERED.match(item) for item in items]
    if [number and int(number[1]) for number in numbers] == list(range(1, len(items) + 1)):
        items = [
            item[number.end() :] for item, number in zip(items, numbers, strict=True) if number
        ]
    return items


def _plans_from_items(grammar: ReplyGrammar, items: Sequence[str]) -> list[ParsedPlan]:
    bare = [item for item in items if _DIGITS.fullmatch(item)]
    if bare and len(bare) < len(items):
        raise UnclearReply(
            f"It is not clear whether {bare[0][:12]} is an action or a number of frames."
        )
    plans = []
    for item in items:
        answer = grammar.match(item)
        if answer is None or not ENDS.match(item, answer.end()):
            raise grammar.refusal(item) if answer is None else _unclear(item)
        plans.append(grammar.plan(answer))
    return plans


def _unclear(item: str) -> UnclearReply:
    return UnclearReply(f"It is not clear which plan {quoted(item)} means.")
