"""Properties of the parser that hold for any reply."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atari_vlm.replies.plan_parser import parse_plan
from tests.replies.legal_actions import BREAKOUT, FREEWAY, FULL, PACMAN, PONG, plan

PIECES = st.sampled_from(
    [
        *FULL,
        *(
            "left",
            "Right",
            "ACTION:",
            "action",
            "Answer:",
            "Decide:",
            "Last",
            "not",
            "or",
            "?",
            ".",
        ),
        *("x2", "x", "for", "3", "frames", "-1", "1.", "9" * 5000, "\n", " ", ",", ":", "(", ")"),
        *(
            "{",
            "}",
            '"',
            "'",
            '{"action": ',
            '"frames": ',
            "[",
            "]",
            "<think>",
            "</think>",
            "*",
            "`",
        ),
        *("\\boxed{", "<action>", "é", "\ud800", "\x00", "\u2013", "I will press ", "the", "_"),
    ]
)
TEXTS = st.text(max_size=200) | st.lists(PIECES, max_size=40).map("".join)
TEXTS |= st.lists(PIECES, max_size=40).map(" ".join)


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.sampled_from([BREAKOUT, PONG, FREEWAY, PACMAN, FULL]), st.integers(1, 20))
def test_any_text_gives_a_legal_plan_or_a_fault(text, legal, longest):
    parsed = parse_plan(text, legal, longest)
    if parsed.plan is None:
        assert parsed.fault
        assert len(parsed.fault) < 300
    else:
        assert parsed.plan.action in legal
        assert 1 <= parsed.plan.frames <= longest
        assert not parsed.fault


PROSE = st.lists(
    st.sampled_from(
        ["the", "ball", "is", "left", "right", "up", "down", "fire", "of", "to", "and", "1.", "3"]
    ),
    min_size=4,
    max_size=30,
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(PROSE)
def test_lower_case_prose_is_never_an_action(text):
    assert plan("The screen shows a game: " + text + ".", FULL) is None


@settings(max_examples=200, deadline=None)
@given(PROSE, st.sampled_from(FULL), st.integers(1, 4))
def test_a_final_action_line_wins_over_the_reasoning_before_it(text, action, frames):
    assert plan(f"{text}\nACTION: {action} x{frames}", FULL) == (action, frames)


@pytest.mark.parametrize(
    "piece",
    [
        *("{", '{"a":', '{"a":[', "{'a': 1, ", '{"', "{}", '{"a": 1}', '{"action": "LEFT"}', '"'),
        *("ACTION: ", "ACTION: LEFT ", "action", "move: x\n", "a action:", "LEFT ", "LEFT", "UP-"),
        *(
            " ",
            "\n",
            ".",
            "?",
            "-",
            "_",
            "*",
            "`",
            "1",
            "9 ",
            "x2 ",
            "(",
            ":",
            ": LEFT x2\n",
            "I ",
            "é",
        ),
        *("<action>", "\\boxed{", "frames: ", "\nframes: ", "I press LEFT. ", "not ", "the ", "aA"),
        *("<think>", "</think>", "{a: ", "{ " + " " * 50, ", action: LEFT", "is "),
    ],
)
def test_a_reply_of_200_kb_is_parsed_in_linear_time(piece):
    """One pattern that backtracks would run for hours here."""
    text = piece * (200_000 // len(piece))
    for reply in (text, "x " + text + " y"):
        parsed = parse_plan(reply, BREAKOUT, 4)
        assert (parsed.plan is not None) != bool(parsed.fault)
        assert parsed.plan is None or parsed.plan.action in BREAKOUT
