"""Replies with several plans."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atari_vlm.replies.multi_plan_parser import parse_plans

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")
LEFT_NOOP = (("LEFT", 3), ("NOOP", 4))


@pytest.mark.parametrize(
    ("reply", "plans"),
    [
        ("ACTIONS: LEFT x3, NOOP x4", LEFT_NOOP),
        ("The ball falls to the left.\n**Actions:** left x3, noop.", LEFT_NOOP),
        ("ACTIONS: LEFT for 3 frames, then NOOP", LEFT_NOOP),
        ("ACTIONS:\n1. LEFT x3\n2. NOOP x4\n\nThat will do.", LEFT_NOOP),
        ("LEFT x3; NOOP x4", LEFT_NOOP),
        ("[LEFT x3, NOOP x4]", LEFT_NOOP),
        ('{"actions": [{"action": "LEFT", "frames": 3}, {"action": "NOOP"}]}', LEFT_NOOP),
        ('```json\n{"reasoning": "{}", "actions": ["LEFT x3", "NOOP"]}\n```', LEFT_NOOP),
        ('[{"action": "LEFT", "frames": 3}, {"action": 0}]', LEFT_NOOP),
        ("ACTIONS: RIGHT, RIGHT\nNo: the ball turns.\nACTIONS: LEFT x3, NOOP", LEFT_NOOP),
        ("ACTIONS: 3, 0", (("LEFT", 4), ("NOOP", 4))),
        ("ACTION: LEFT x3", (("LEFT", 3),)),
        ('{"reasoning": "one is enough", "action": "LEFT", "frames": 3}', (("LEFT", 3),)),
        ("So I will press FIRE.", (("FIRE", 4),)),
    ],
)
def test_a_list_of_legal_plans_is_parsed_in_every_usual_form(reply, plans):
    assert parse_plans(reply, LEGAL, 4, 4).plans == plans


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("ACTIONS: LEFT x3, JUMP x2", '"JUMP x2" is not a legal action'),
        ("ACTIONS: LEFT x3, LEFT x0", "no number of frames"),
        ("ACTIONS: LEFT, 3, NOOP, 4", "not clear whether 3 is an action or a number"),
        ("ACTIONS: LEFT x3, NOOP while the ball rises", "not clear which plan"),
        ("ACTIONS:", "ends before its actions"),
        ('{"actions": []}', "empty"),
        ('{"actions": [{"action": "LEFT"}, {"frames": 2}]}', 'has no "action"'),
        ('{"actions": ["LEFT", "UPFIRE"]}', '"UPFIRE" is not a legal action'),
        ('{"actions": ["LEFT", "NOOP"], "frames": 2}', "give each plan its own"),
        ('{"actions": [{"action": "LEFT"}, {"action": "RI', "incomplete"),
        ("LEFT or RIGHT, who knows", "does not say which"),
        ("", "empty"),
    ],
)
def test_a_list_with_one_illegal_plan_is_a_fault(reply, fault):
    parsed = parse_plans(reply, LEGAL, 4, 4)
    assert parsed.plans == ()
    assert fault in parsed.fault


@given(st.text(alphabet='ACTIONS: LEFTx3,[]{}"actionframes\n0129;>-.', max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_legal_plans_or_a_fault(reply):
    parsed = parse_plans(reply, LEGAL, 4, 3)
    assert bool(parsed.plans) != bool(parsed.fault)
    assert len(parsed.plans) <= 3
    assert all(action in LEGAL and 1 <= frames <= 4 for action, frames in parsed.plans)


def test_plans_beyond_the_limit_are_left_out_with_a_note():
    parsed = parse_plans("ACTIONS: LEFT x9, NOOP, FIRE", LEGAL, 4, 2)
    assert parsed.plans == (("LEFT", 4), ("NOOP", 4))
    assert "asked for 9 frames" in parsed.note
    assert "lists 3 plans; the first 2 are played" in parsed.note
