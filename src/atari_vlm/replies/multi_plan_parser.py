"""A reply to several legal plans, the first for now and the rest for the decisions after it.

Read, in this order:

1. explicit lists: a JSON object with "actions", or a line "ACTIONS: LEFT x3, NOOP x4"; the last one
   in the reply wins;
2. a single answer, wherever `parse_plan` finds one: a list of one;
3. a reply that is nothing but a list: "LEFT x3, NOOP x4".

A list with one plan that cannot be played is a fault as a whole: nothing of it is played. Fewer
plans than were asked for are taken as they are; of more, the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.replies.plan_parser import (
    UNFINISHED,
    Found,
    blanked,
    found_in,
    from_object,
    leads,
    objects_in,
    parse_plan,
    plain,
)
from atari_vlm.replies.reply_grammar import ENDS, ParsedPlan, ReplyGrammar, Unclear, quoted
from atari_vlm.types import Plan


@dataclass(frozen=True, slots=True)
class ParsedPlans:
    """What a reply says to play, in order, or why it says nothing that can be played."""

    plans: tuple[Plan, ...]
    """At most as many as were asked for; empty with a fault."""
    fault: str = ""
    """Why there is none, as a sentence for the model."""
    note: str = ""
    """What was adjusted, for the record."""


def parse_plans(text: str, legal: Sequence[str], longest: int, most: int) -> ParsedPlans:
    """Read a reply.

    Args:
        text: the model's words, of any length and content.
        legal: legal action names.
        longest: most frames a plan may hold its action, and what a plan without a duration means.
        most: how many plans were asked for.

    >>> parse_plans("ACTIONS: LEFT x2, NOOP", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4, 4).plans
    (Plan(action='LEFT', frames=2), Plan(action='NOOP', frames=4))
    """
    grammar = ReplyGrammar(legal, longest)
    try:
        words = plain(text)
        listed = _explicit(grammar, words)
        if listed is None:
            single = parse_plan(text, legal, longest)
            if single.plan is not None:
                return ParsedPlans((single.plan,), "", single.note)
            listed = _nothing_else(grammar, words)
            if listed is None:
                return ParsedPlans((), single.fault)
    except Unclear as fault:
        return ParsedPlans((), str(fault))
    notes = [parsed.note for parsed in listed[:most] if parsed.note]
    if len(listed) > most:
        notes.append(f"The reply lists {len(listed)} plans; the first {most} are played.")
    plans = tuple(parsed.plan for parsed in listed[:most])
    return ParsedPlans(plans, "", " ".join(dict.fromkeys(notes)))


# --- JSON ----------------------------------------------------------------------------------------


def _explicit(grammar: ReplyGrammar, words: str) -> list[ParsedPlan] | None:
    """The last JSON list or ACTIONS line."""
    objects = list(objects_in(words))
    words = blanked(words, objects)
    lists = [found for found in objects if isinstance(found.listed, list)]
    labels = [label for label in _LABEL.finditer(words) if leads(label, words)]
    at = max((found.start for found in lists), default=-1)
    line = max((label.start() for label in labels), default=-1)
    unfinished = max((found.start() for found in UNFINISHED.finditer(words)), default=-1)
    if max(at, line) < 0:
        return _bare(grammar, words, objects)
    if unfinished > max(at, line):
        raise Unclear("The JSON of the reply is incomplete.")
    return _from_list(grammar, lists[-1]) if at > line else _from_line(grammar, labels[-1], words)


def _bare(grammar: ReplyGrammar, words: str, objects: Sequence[Found]) -> list[ParsedPlan] | None:
    """A list of JSON objects that no object holds: [{"action": "LEFT"}, {"action": "NOOP"}]."""
    chain: list[Found] = []
    for found in objects:
        joined = chain and words[chain[-1].end : found.start].strip() == ","
        chain = [*chain, found] if joined else [found]
    if len(chain) < 2 or any(found.action is None for found in chain):
        return None
    if any(found.start() > chain[0].start for found in UNFINISHED.finditer(words)):
        raise Unclear("The JSON of the reply is incomplete.")
    return [from_object(grammar, found) for found in chain]


def _from_list(grammar: ReplyGrammar, found: Found) -> list[ParsedPlan]:
    if not found.listed:
        raise Unclear('The "actions" of the JSON are empty; list at least one.')
    if found.frames is not None:
        raise Unclear('The JSON gives "frames" outside its "actions"; give each plan its own.')
    return [_item(grammar, item) for item in found.listed]


def _item(grammar: ReplyGrammar, item: Any) -> ParsedPlan:
    if not isinstance(item, dict):
        return from_object(grammar, Found(0, 0, item))
    if (found := found_in(item)).action is None:
        raise Unclear('An entry of the "actions" of the JSON has no "action".')
    return from_object(grammar, found)


# --- ACTIONS lines -------------------------------------------------------------------------------

_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>actions|plans|moves|decisions|sequence)[ ]{0,2}(?:[:=]|->|→|[ ]-[ ])""",
    re.IGNORECASE | re.VERBOSE,
)
_APART = re.compile(r"[,;|\n]|->|→|\b(?:and[ ])?then\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:step[ ]|decision[ ])?([0-9]{1,3})[.):][ ]{1,3}(?=[A-Za-z])", re.I)
_DIGITS = re.compile(r"[0-9]+")


def _from_line(grammar: ReplyGrammar, label: re.Match[str], words: str) -> list[ParsedPlan]:
    rest = words[label.end() : label.end() + 4000].lstrip(" ")
    # The plans stand behind the label, or in the lines below it.
    below = rest.startswith("\n")
    line = rest.strip("\n").partition("\n\n")[0] if below else rest.partition("\n")[0]
    if not line.strip():
        raise Unclear("The reply ends before its actions.")
    return _plans(grammar, _items(line))


def _nothing_else(grammar: ReplyGrammar, words: str) -> list[ParsedPlan] | None:
    """The plans of a reply that is a list without a label; None for any other reply."""
    items = _items(words.strip())
    if len(words) > 1000 or len(items) < 2 or not all(grammar.match(item) for item in items):
        return None
    return _plans(grammar, items)


def _items(line: str) -> list[str]:
    """The parts of a list, without brackets, dashes and the numbers of its lines."""
    line = line.strip().strip("[]()").rstrip(".! ")
    items = [item.strip().lstrip("-> ") for item in _APART.split(line)]
    items = [item for item in items if item]
    numbers = [_NUMBERED.match(item) for item in items]
    if [found and int(found[1]) for found in numbers] == list(range(1, len(items) + 1)):
        items = [item[found.end() :] for item, found in zip(items, numbers, strict=True) if found]
    return items


def _plans(grammar: ReplyGrammar, items: Sequence[str]) -> list[ParsedPlan]:
    bare = [item for item in items if _DIGITS.fullmatch(item)]
    if bare and len(bare) < len(items):
        raise Unclear(f"It is not clear whether {bare[0][:12]} is an action or a number of frames.")
    plans = []
    for item in items:
        phrase = grammar.match(item)
        if phrase is None or not ENDS.match(item, phrase.end()):
            raise grammar.refusal(item) if phrase is None else _unclear(item)
        plans.append(grammar.plan(phrase))
    return plans


def _unclear(item: str) -> Unclear:
    return Unclear(f"It is not clear which plan {quoted(item)} means.")
