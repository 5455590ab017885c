"""Replies are parsed tolerantly and without guessing."""

import pytest

from atari_vlm.replies.plan_parser import ParsedReply, parse_plan
from atari_vlm.types import Plan
from tests.replies.legal_actions import BREAKOUT, FREEWAY, FULL, PACMAN, PONG, plan

THOUGHTS = """1. Observe: the ball is to the left of the paddle and falls.
2. Analyse: it will land near x = 40; at LEFT x2 I would overshoot.
3. Plan: meet it. If I pressed RIGHT I would lose it.
4. Decide: one small step.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"action": "LEFT", "frames": 3}', ("LEFT", 3)),
        ('{"reasoning": "ball falls", "action": "left", "frames": 1}', ("LEFT", 1)),
        ('{"action": 3}', ("LEFT", 4)),
        ('{"action": "3", "frames": "2"}', ("LEFT", 2)),
        ('{"action": 3.0, "frames": 2.0}', ("LEFT", 2)),
        ('{"Action": "Right", "Duration": 2}', ("RIGHT", 2)),
        ('{"action": "LEFT x3"}', ("LEFT", 3)),
        ('{"action": "LEFT", "frames": null}', ("LEFT", 4)),
        ('{"action": {"name": "LEFT", "frames": 3}}', ("LEFT", 3)),
        ('```json\n{"action": "FIRE", "frames": 2}\n```', ("FIRE", 2)),
        ('Here you go:\n```\n{"action": "FIRE"}\n```\nGood luck!', ("FIRE", 4)),
        ('I could say {"action": "LEFT"} but now {"action": "RIGHT"}', ("RIGHT", 4)),
        ('{"state": {"ball": {"x": 3}}, "action": "LEFT", "frames": 1}', ("LEFT", 1)),
        ('{"action": "LEFT", "other": {"action": "RIGHT"}}', ("LEFT", 4)),
        ('{"reasoning": "go {left} now. ACTION: RIGHT is bad", "action": "LEFT"}', ("LEFT", 4)),
        ('{"reasoning": "two\nlines", "action": "LEFT"}', ("LEFT", 4)),
        ("{'action': 'LEFT', 'frames': 3}", ("LEFT", 3)),
        ('{"action": "LEFT", "frames": 3,}', ("LEFT", 3)),
        ("{action: LEFT, frames: 3}", ("LEFT", 3)),
        ('{"reasoning": "the "ball" falls", "action": "LEFT", "frames": 2}', ("LEFT", 2)),
        ('a set {1, 2} and {x}, then {"action": "LEFT"}', ("LEFT", 4)),
    ],
)
def test_json_is_parsed_in_every_usual_form(text, expected):
    assert plan(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ACTION: 3", ("LEFT", 4)),
        ("Action: left", ("LEFT", 4)),
        ("ACTION: LEFT x2", ("LEFT", 2)),
        ("ACTION: LEFT X2.", ("LEFT", 2)),
        ("ACTION: LEFT \u00d7 2", ("LEFT", 2)),
        ("ACTION: LEFTx2", ("LEFT", 2)),
        ("ACTION: <LEFT> x<2>", ("LEFT", 2)),
        ("ACTION: [LEFT] x2", ("LEFT", 2)),
        ("ACTION: LEFT*2", ("LEFT", 2)),
        ("ACTION: LEFT, 2", ("LEFT", 2)),
        ("ACTION: LEFT (2 frames)", ("LEFT", 2)),
        ("ACTION: LEFT for two frames", ("LEFT", 2)),
        ("ACTION: 3 x2", ("LEFT", 2)),
        ("ACTION: 3 (LEFT)", ("LEFT", 4)),
        ("ACTION: 3: LEFT x2", ("LEFT", 2)),
        ("ACTION: LEFT\nFRAMES: 2", ("LEFT", 2)),
        ("FRAMES: 2\nACTION: LEFT", ("LEFT", 2)),
        ("ACTION: LEFT, FRAMES: 2", ("LEFT", 2)),
        ("ACTION:\n\nLEFT x2\n", ("LEFT", 2)),
        ("**ACTION:** `FIRE`", ("FIRE", 4)),
        ("**Action: FIRE**", ("FIRE", 4)),
        ("### Final Action: FIRE", ("FIRE", 4)),
        ("action = FIRE", ("FIRE", 4)),
        ("Action → FIRE", ("FIRE", 4)),
        ("ACTION\uff1aFIRE", ("FIRE", 4)),
        ("4. Decide: LEFT x1", ("LEFT", 1)),
        ("<action>LEFT</action>", ("LEFT", 4)),
        ("<answer>LEFT x2</answer>", ("LEFT", 2)),
        ("So the answer is $\\boxed{\\text{LEFT}}$.", ("LEFT", 4)),
        ("The answer is \\boxed{3}", ("LEFT", 4)),
        ("ACTION: LEFT because RIGHT is blocked", ("LEFT", 4)),
        ("ACTION: LEFT (the ball is close)", ("LEFT", 4)),
        ("First FIRE. ACTION: RIGHT", ("RIGHT", 4)),
        ("ACTION: LEFT\nNo, wait.\nACTION: RIGHT x1", ("RIGHT", 1)),
        (THOUGHTS + "ACTION: LEFT x1", ("LEFT", 1)),
        ('Draft: {"action": "RIGHT"}\nACTION: LEFT', ("LEFT", 4)),
        ('ACTION: LEFT\n{"action": "RIGHT", "frames": 1}', ("RIGHT", 1)),
        ("Last action: RIGHT (+0)\nACTION: LEFT", ("LEFT", 4)),
        ("<think>ACTION: RIGHT? Hmm, LEFT or FIRE.</think>ACTION: FIRE", ("FIRE", 4)),
    ],
)
def test_the_last_action_line_is_parsed(text, expected):
    assert plan(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RIGHT", ("RIGHT", 4)),
        ("right.", ("RIGHT", 4)),
        ("  `Right`\n", ("RIGHT", 4)),
        ('"RIGHT"', ("RIGHT", 4)),
        ("3", ("LEFT", 4)),
        ("#3.", ("LEFT", 4)),
        ("3 LEFT", ("LEFT", 4)),
        ("Action 3", ("LEFT", 4)),
        ("LEFT for 3 frames", ("LEFT", 3)),
        ("LEFT x 2", ("LEFT", 2)),
        ("LEFT3", ("LEFT", 3)),
        ("(LEFT, 3)", ("LEFT", 3)),
        ("[LEFT, 3]", ("LEFT", 3)),
        ("I will go left.", ("LEFT", 4)),
        ("move right for 2 frames", ("RIGHT", 2)),
        ("Press FIRE!", ("FIRE", 4)),
        ("no-op", ("NOOP", 4)),
    ],
)
def test_a_reply_that_is_only_an_answer_is_parsed(text, expected):
    assert plan(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ball 45 30 moving right down, paddle 52, aim 60: LEFT for 3 frames", ("LEFT", 3)),
        ("ball 45 30 moving right down, paddle 52: LEFT for 3 frames", ("LEFT", 3)),
        ("no ball, enemy 40, paddle 52: FIRE for 1 frame", ("FIRE", 1)),
        ("The ball is close, so I will press FIRE.", ("FIRE", 4)),
        ("The best action is LEFT for 2 frames. It meets the ball.", ("LEFT", 2)),
        ("LEFT x2, to meet the ball.", ("LEFT", 2)),
        ("The ball drops to the left of my paddle.\n\nLEFT x2", ("LEFT", 2)),
        ("I should move LEFT now!", ("LEFT", 4)),
        ("I will press LEFT; 2 frames should do.", ("LEFT", 2)),
        ("Move LEFT to catch the ball.", ("LEFT", 4)),
        ("I think the best choice here is LEFT.", ("LEFT", 4)),
        ("My next move is LEFT.", ("LEFT", 4)),
        ("The best action is to move LEFT.", ("LEFT", 4)),
        ("In the last frame nothing moved. I choose FIRE", ("FIRE", 4)),
    ],
)
def test_prose_that_clearly_chooses_one_action_is_parsed(text, expected):
    assert plan(text) == expected


@pytest.mark.parametrize("joined", ["UPRIGHT", "UP_RIGHT", "up-right", "Up Right", "UP + RIGHT"])
@pytest.mark.parametrize("form", ["{}", "ACTION: {} x2", '{{"action": "{}"}}', "move {}"])
def test_the_parts_of_a_name_may_be_joined_in_any_way(joined, form):
    assert parse_plan(form.format(joined), PACMAN, 4).plan.action == "UPRIGHT"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("ACTION: UPRIGHTFIRE", "UPRIGHTFIRE"),
        ("ACTION: UP-RIGHT-FIRE", "UPRIGHTFIRE"),
        ("ACTION: FIRE UP RIGHT", "UPRIGHTFIRE"),
        ("ACTION: LEFT + FIRE", "LEFTFIRE"),
        ("I will press FIRE-LEFT.", "LEFTFIRE"),
        ("ACTION: UP", "UP"),
    ],
)
def test_the_parts_of_a_name_may_come_in_any_order(text, action):
    assert parse_plan(text, FULL, 4).plan.action == action


@pytest.mark.parametrize(
    "text",
    [
        "1. Observe the ball. 2. Analyse its path. 3. Plan.",
        "1. Observe",
        "ACTION: 1. Observe the ball",
        "Action:\n1. Observe the ball\n2. Plan",
        "3 frames",
        "ACTION: 3 frames",
        "ACTION: 0.5",
        "There are 3 bricks left.",
        "x = 3",
    ],
)
def test_a_number_that_is_no_answer_is_a_fault(text):
    assert plan(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "The ball is to the left of the paddle.",
        "The ball moves right and down; the paddle is left of it.",
        "You're right, the fire button matters.",
        "Up to now nothing was left.",
        "Action: up to you",
        "Action: right now the ball is far away",
        "Action: left of the paddle there is a ball",
        "The ball is on the LEFT.",
        "The ball is moving LEFT.",
        "The enemy will move LEFT.",
        "LEFT is where the ball goes.",
        "THE BALL IS ON THE LEFT",
        'The screen says "PRESS FIRE".',
        "A BALL ON FIRE",
    ],
)
def test_a_direction_in_prose_is_a_fault(text):
    assert plan(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "LEFT or RIGHT?",
        "LEFT?",
        "Should I press FIRE?",
        "ACTION: LEFT?",
        "ACTION: LEFT or RIGHT",
        "ACTION: LEFT/RIGHT",
        "ACTION: LEFT, RIGHT",
        "Action: left, then fire",
        "ACTION: LEFT and then FIRE",
        "ACTION: LEFT (or RIGHT)",
        "I will press LEFT. Or better: I will press RIGHT.",
        "LEFT, RIGHT",
        "LEFT\nRIGHT",
        "Maybe I should press FIRE.",
        '[{"action": "LEFT"}, {"action": "RIGHT"}]',
        '{"action": ["LEFT", "RIGHT"]}',
        '{"action": "LEFT or RIGHT"}',
        '{"action": "LEFT", "action": "RIGHT"}',
        "ACTION: 2 (LEFT)",
        "ACTION: LEFT (3)",
        "3, 2",
    ],
)
def test_two_answers_or_a_question_are_a_fault(text):
    assert plan(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Do not press FIRE.",
        "Don't press FIRE",
        "I would never press FIRE now.",
        "Avoid FIRE.",
        "Anything rather than press FIRE.",
        "I pressed FIRE.",
        "Last time I had to press FIRE.",
        "If the ball is lost, press FIRE.",
        "No FIRE",
        "Last action: FIRE",
        "MY LAST ACTION: FIRE",
        "The opponent may press FIRE.",
        "The enemy's plan: LEFT for 3 frames",
        "For example: LEFT for 3 frames",
        "Do not play: LEFT for 3 frames",
        "Example: ACTION: LEFT x3",
        "Option 1 - ACTION: LEFT x3",
    ],
)
def test_a_negated_or_past_action_is_a_fault(text):
    assert plan(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("I'm sorry, but I can't help with that.", "refused to answer"),
        ("As an AI model I cannot see pictures.", "refused to answer"),
        ("<think>The ball is falling, so LEFT", "breaks off while thinking"),
        ('{"reasoning": "the ball is falling and', "JSON of the reply is incomplete"),
        ('{"reasoning": "x", "action": "LEFT", "fra', "JSON of the reply is incomplete"),
        ('{"action": "LEFT x1', "JSON of the reply is incomplete"),
        ('{"action": "LEFT"} hm, rather {"action": "RI', "JSON of the reply is incomplete"),
        ('{"reasoning": "no idea"}', 'has no "action"'),
        ('{"action": true}', "must be the name or number"),
        ('{"action": 2.5}', "must be the name or number"),
        ("ACTION:", "ends before its action"),
        ("ACTION: 4", "no action number 4: numbers go from 0 to 3"),
        ("ACTION: -1", "no action number -1"),
        ('{"action": 17}', "no action number 17"),
        ("ACTION: DOWN", '"DOWN" is not a legal action here; choose from NOOP, FIRE, RIGHT, LEFT'),
        ("ACTION: UPRIGHT", '"UPRIGHT" is not a legal action here; the nearest is RIGHT'),
        ("I will press DOWN.", '"DOWN" is not a legal action here'),
        ('{"action": "JUMP"}', '"JUMP" is not a legal action here'),
        ("ACTION: LEFT or RIGHT", "not clear which action"),
        ("I press LEFT, then I press RIGHT.", "names LEFT, RIGHT and does not say"),
        ("ACTION: LEFT x0", '"0" is no number of frames: frames must be a whole number from 1'),
        ("ACTION: LEFT x-2", "no number of frames"),
        ("ACTION: LEFT x2.5", "no number of frames"),
        ('{"action": "LEFT", "frames": "many"}', '"many" is no number of frames'),
        ('{"action": "LEFT", "frames": [3]}', "no number of frames"),
        ('{"action": "LEFT", "frames": true}', "no number of frames"),
        ('{"action": "LEFT", "frames": NaN}', "no number of frames"),
        ('{"action": "LEFT x2", "frames": 3}', "two different numbers of frames"),
        ("ACTION: LEFT for 2 seconds", "not clear which action"),
        ("ACTION: LEFT for several frames", "not clear which action"),
        ("Two frames will do, that is 2 frames: I will press LEFT.", "for how many frames"),
        ("{" * 600 + '{"action": "LEFT"}', "too many braces"),
    ],
)
def test_a_fault_states_its_reason(text, fault):
    parsed = parse_plan(text, BREAKOUT, 4)
    assert parsed.plan is None
    assert fault in parsed.fault
    assert parsed.fault.endswith(".")


def test_a_plan_longer_than_the_interval_is_shortened_with_a_note():
    note = "The reply asked for 9 frames; 4 is the most."
    shortened = ParsedReply(Plan("LEFT", 4), "", note)
    assert parse_plan("LEFT x9", BREAKOUT, 4) == shortened
    assert parse_plan('{"action": "LEFT", "frames": 9}', BREAKOUT, 4) == shortened
    assert parse_plan("LEFT x4", BREAKOUT, 4).note == ""


def test_a_reply_without_a_duration_holds_its_action_for_the_interval():
    held = [parse_plan("LEFT", BREAKOUT, longest).plan.frames for longest in (1, 4, 16)]
    assert held == [1, 4, 16]


@pytest.mark.parametrize("legal", [BREAKOUT, PONG, FREEWAY, PACMAN, FULL], ids=len)
def test_every_legal_action_is_parsed_in_every_format(legal):
    for index, name in enumerate(legal):
        for text in (
            f'{{"action": "{name}", "frames": 2}}',
            f'{{"action": {index}, "frames": 2}}',
            f"ACTION: {name} x2",
            f"ACTION: {index} x2",
            f"action: {name.lower()} for 2 frames",
            f"{name} for 2 frames",
            f"({name}, 2)",
            f"ball 1 2 moving left up, paddle 3: {name} for 2 frames",
            f"I will press {name} for 2 frames.",
        ):
            assert plan(text, legal) == (name, 2), text
