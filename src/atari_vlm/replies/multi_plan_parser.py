"""A reply to several legal plans, the first for now and the rest for the decisions after it.

Read, in this order:

1. explicit lists: a JSON object with "actions", or a line "ACTIONS: LEFT x3, NOOP x4"; the last one
   in the reply wins;
2. a single answer, wherever `actions.read` finds one: a list of one;
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
    plain,
    read,
)
from atari_vlm.replies.reply_grammar import ENDS, Phrases, Plan, Unclear, quoted


@dataclass(frozen=True, slots=True)
class Listing:
    """What a reply says to play, in order, or why it says nothing that can be played."""

    plans: tuple[tuple[str, int], ...]
    """(legal action, frames to hold it), at most as many as were asked for; empty with a fault."""
    fault: str = ""
    """Why there is none, as a sentence for the model."""
    note: str = ""
    """What was adjusted, for the record."""


def read_plans(text: str, legal: Sequence[str], longest: int, most: int) -> Listing:
    """Read a reply.

    Args:
        text: the model's words, of any length and content.
        legal: legal action names.
        longest: most frames a plan may hold its action, and what a plan without a duration means.
        most: how many plans were asked for.

    >>> read_plans("ACTIONS: LEFT x2, NOOP", ["NOOP", "FIRE", "RIGHT", "LEFT"], 4, 4).plans
    (('LEFT', 2), ('NOOP', 4))
    """
    phrases = Phrases(legal, longest)
    try:
        words = plain(text)
        listed = _explicit(phrases, words)
        if listed is None:
            single = read(text, legal, longest)
            if single.action is not None:
                return Listing(((single.action, single.frames),), "", single.note)
            listed = _nothing_else(phrases, words)
            if listed is None:
                return Listing((), single.fault)
    except Unclear as fault:
        return Listing((), str(fault))
    notes = [note for _, _, note in listed[:most] if note]
    if len(listed) > most:
        notes.append(f"The reply lists {len(listed)} plans; the first {most} are played.")
    return Listing(tuple(plan[:2] for plan in listed[:most]), "", " ".join(dict.fromkeys(notes)))


# --- JSON ----------------------------------------------------------------------------------------


def _explicit(phrases: Phrases, words: str) -> list[Plan] | None:
    """The last JSON list or ACTIONS line."""
    objects = list(objects_in(words))
    words = blanked(words, objects)
    lists = [found for found in objects if isinstance(found.listed, list)]
    labels = [label for label in _LABEL.finditer(words) if leads(label, words)]
    at = max((found.start for found in lists), default=-1)
    line = max((label.start() for label in labels), default=-1)
    unfinished = max((found.start() for found in UNFINISHED.finditer(words)), default=-1)
    if max(at, line) < 0:
        return _bare(phrases, words, objects)
    if unfinished > max(at, line):
        raise Unclear("The JSON of the reply is incomplete.")
    return _from_list(phrases, lists[-1]) if at > line else _from_line(phrases, labels[-1], words)


def _bare(phrases: Phrases, words: str, objects: Sequence[Found]) -> list[Plan] | None:
    """A list of JSON objects that no object holds: [{"action": "LEFT"}, {"action": "NOOP"}]."""
    chain: list[Found] = []
    for found in objects:
        joined = chain and words[chain[-1].end : found.start].strip() == ","
        chain = [*chain, found] if joined else [found]
    if len(chain) < 2 or any(found.action is None for found in chain):
        return None
    if any(found.start() > chain[0].start for found in UNFINISHED.finditer(words)):
        raise Unclear("The JSON of the reply is incomplete.")
    return [from_object(phrases, found) for found in chain]


def _from_list(phrases: Phrases, found: Found) -> list[Plan]:
    if not found.listed:
        raise Unclear('The "actions" of the JSON are empty; list at least one.')
    if found.frames is not None:
        raise Unclear('The JSON gives "frames" outside its "actions"; give each plan its own.')
    return [_item(phrases, item) for item in found.listed]


def _item(phrases: Phrases, item: Any) -> Plan:
    if not isinstance(item, dict):
        return from_object(phrases, Found(0, 0, item))
    if (found := found_in(item)).action is None:
        raise Unclear('An entry of the "actions" of the JSON has no "action".')
    return from_object(phrases, found)


# --- ACTIONS lines -------------------------------------------------------------------------------

_LABEL = re.compile(
    r"""(?<![\w"'])(?P<word>actions|plans|moves|decisions|sequence)[ ]{0,2}(?:[:=]|->|→|[ ]-[ ])""",
    re.IGNORECASE | re.VERBOSE,
)
_APART = re.compile(r"[,;|\n]|->|→|\b(?:and[ ])?then\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:step[ ]|decision[ ])?([0-9]{1,3})[.):][ ]{1,3}(?=[A-Za-z])", re.I)
_DIGITS = re.compile(r"[0-9]+")


def _from_line(phrases: Phrases, label: re.Match[str], words: str) -> list[Plan]:
    rest = words[label.end() : label.end() + 4000].lstrip(" ")
    # The plans stand behind the label, or in the lines below it.
    below = rest.startswith("\n")
    line = rest.strip("\n").partition("\n\n")[0] if below else rest.partition("\n")[0]
    if not line.strip():
        raise Unclear("The reply ends before its actions.")
    return _plans(phrases, _items(line))


def _nothing_else(phrases: Phrases, words: str) -> list[Plan] | None:
    """The plans of a reply that is a list without a label; None for any other reply."""
    items = _items(words.strip())
    if len(words) > 1000 or len(items) < 2 or not all(phrases.match(item) for item in items):
        return None
    return _plans(phrases, items)


def _items(line: str) -> list[str]:
    """The parts of a list, without brackets, dashes and the numbers of its lines."""
    line = line.strip().strip("[]()").rstrip(".! ")
    items = [item.strip().lstrip("-> ") for item in _APART.split(line)]
    items = [item for item in items if item]
    numbers = [_NUMBERED.match(item) for item in items]
    if [found and int(found[1]) for found in numbers] == list(range(1, len(items) + 1)):
        items = [item[found.end() :] for item, found in zip(items, numbers, strict=True) if found]
    return items


def _plans(phrases: Phrases, items: Sequence[str]) -> list[Plan]:
    bare = [item for item in items if _DIGITS.fullmatch(item)]
    if bare and len(bare) < len(items):
        raise Unclear(f"It is not clear whether {bare[0][:12]} is an action or a number of frames.")
    plans = []
    for item in items:
        phrase = phrases.match(item)
        if phrase is None or not ENDS.match(item, phrase.end()):
            raise phrases.refusal(item) if phrase is None else _unclear(item)
        plans.append(phrases.plan(phrase))
    return plans


def _unclear(item: str) -> Unclear:
    return Unclear(f"It is not clear which plan {quoted(item)} means.")
