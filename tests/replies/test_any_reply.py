"""Properties of the parsers that hold for any reply."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atari_vlm.replies.characters import LONGEST
from atari_vlm.replies.multi_plan_parser import parse_plans
from atari_vlm.replies.plan_parser import parse_plan, thoughts_of
from tests.fuzzing import fuzzed
from tests.replies.corpus import cases
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
        *("{", "}", '"', "'", '{"action": ', '"frames": ', "[", "]", "*", "`", "```", "~~", "|"),
        *("<think>", "</think>", "[THINK]", "<|channel|>analysis", "### Thought\n", "<!--", "-->"),
        *("\\boxed{", "<action>", "é", "\ud800", "\x00", "\u2013", "\ufdfa", "\u0338", "⬅️", "不"),
        *("I will press ", "the", "_", "wait,", "never mind", "sorry", "I can't help", "ACTIONS:"),
        *("&lt;", "\\", "\\n", '\\"', "{{", "NaN", "null", "//", "/*", "|---|", "play("),
    ]
)
TEXTS = st.text(max_size=200) | st.lists(PIECES, max_size=40).map("".join)
TEXTS |= st.lists(PIECES, max_size=40).map(" ".join)
TEXTS |= st.text(alphabet='ACTIONS: LEFTx3,[]{}"actionframes\n0129;>-.', max_size=80)
GAMES = st.sampled_from([BREAKOUT, PONG, FREEWAY, PACMAN, FULL])


def check(parsed, plans, legal, longest):
    assert bool(plans) != bool(parsed.fault)
    assert len(parsed.fault) < 400
    assert parsed.fault.isprintable()
    assert all(action in legal and 1 <= frames <= longest for action, frames in plans)


@fuzzed(600)
@given(TEXTS, GAMES, st.integers(1, 20))
def test_any_text_gives_legal_plans_or_a_fault(text, legal, longest):
    one = parse_plan(text, legal, longest)
    check(one, (one.plan,) if one.plan else (), legal, longest)
    several = parse_plans(text, legal, longest, 3)
    check(several, several.plans, legal, longest)
    assert len(several.plans) <= 3


PROSE = st.lists(
    st.sampled_from(
        ["the", "ball", "is", "left", "right", "up", "down", "fire", "of", "to", "and", "1.", "3"]
    ),
    min_size=4,
    max_size=30,
).map(" ".join)


@fuzzed(200)
@given(PROSE)
def test_lower_case_prose_is_never_an_action(text):
    assert plan("The screen shows a game: " + text + ".", FULL) is None


@fuzzed(150)
@given(PROSE, st.sampled_from(FULL), st.integers(1, 4))
def test_a_final_action_line_wins_over_the_reasoning_before_it(text, action, frames):
    assert plan(f"{text}\nACTION: {action} x{frames}", FULL) == (action, frames)


# --- thoughts ------------------------------------------------------------------------------------

TAGS = [
    *((f"<{name}>", f"</{name}>") for name in ("think", "THINKING", "Thought", "reasoning")),
    *((f"<{name}>", f"</{name}>") for name in ("reflection", "scratchpad", "seed:think", "思考")),
    *(("[THINK]", "[/THINK]"), ("[thinking]", "[/thinking]"), ("◁think▷", "◁/think▷")),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("```thinking\n", "\n```\n"),
    ("<!--", "-->"),
    ("&lt;think&gt;", "&lt;/think&gt;"),
    ("<details><summary>Thinking</summary>", "</details>"),
]
GOOD = [case for case in cases() if case.plans and not case.thinking and case.group != "strange"]
ASIDE = st.lists(
    st.sampled_from(
        ["ACTION: FIRE", "LEFT", "{", '{"action": "UP"}', "Hold fire!", '"', "I can't help", "\n"]
    ),
    max_size=6,
).map(" ".join)


@fuzzed(400)
@given(
    st.sampled_from(GOOD), st.lists(st.tuples(st.sampled_from(TAGS), ASIDE), min_size=1, max_size=3)
)
def test_a_good_reply_behind_closed_thoughts_means_what_it_meant_alone(case, thoughts):
    before = "".join(f"{begin}{aside}{end}\n" for (begin, end), aside in thoughts)
    parsed = parse_plans(before + case.reply, case.legal, 4, 4)
    assert parsed.plans == case.plans, parsed.fault
    assert all(aside.strip() in parsed.thinking for _, aside in thoughts)


@fuzzed(400)
@given(st.sampled_from(GOOD), st.lists(st.sampled_from(TAGS), min_size=1, max_size=3))
def test_a_good_reply_within_thoughts_is_none(case, tags):
    inside = case.reply.replace("```", "")  # a fence within a fence ends it
    for begin, end in tags:
        inside = begin + inside + end
    assert parse_plans(inside, case.legal, 4, 4).plans == ()
    assert parse_plan(inside, case.legal, 4).plan is None


@fuzzed(200)
@given(st.sampled_from(GOOD), st.sampled_from(TAGS))
def test_a_thought_that_does_not_end_is_a_fault(case, tag):
    parsed = parse_plan(tag[0] + case.reply.replace("<", "").replace("```", ""), case.legal, 4)
    assert parsed.plan is None
    assert "breaks off while thinking" in parsed.fault
    assert parsed.thinking


# --- length and work -----------------------------------------------------------------------------

REPEATED = [
    *("{", '{"a":', '{"a":[', "{'a': 1, ", '{"', "{}", '{"a": 1}', '{"action": "LEFT"}', '"', "{{"),
    *("ACTION: ", "ACTION: LEFT ", "action", "move: x\n", "a action:", "LEFT ", "LEFT", "UP-", "["),
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
    *(
        "<action>",
        "\\boxed{",
        "frames: ",
        "\nframes: ",
        "I press LEFT. ",
        "not ",
        "the ",
        "aA",
        "<",
    ),
    *(
        "<think>",
        "</think>",
        "{a: ",
        "{ " + " " * 50,
        ", action: LEFT",
        "is ",
        "\ufdfa",
        "|",
        "| a ",
    ),
    *("[THINK]", "[/THINK]", "~~", "```", "```think\n", "<!--", "# Thought\n", "**a**\n", "\u0301"),
    *("I can't ", "sorry ", "wait, ", "no, ", "but ", "I will ", "press LEFT ", "not LEFT. ", "不"),
    *("ACTIONS: LEFT, ", "LEFT, ", "<|channel|>analysis", "&lt;", "\\", '\\"', "(thinking", "кадр"),
    *("kann ", "je ne peux pas ", "\ud800", "\x00", "\u200b", "\u202e", "3 ", "play(", "LEFT\n"),
]


def parse(reply):
    return parse_plans(reply, BREAKOUT, 4, 4)


def seconds(read):
    """CPU time in seconds, the least of three."""
    from time import thread_time

    def once():
        start = thread_time()
        read()
        return thread_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("piece", REPEATED)
def test_a_reply_eight_times_as_long_takes_about_eight_times_as_long(piece):
    """One pattern that backtracks over the whole reply would take 64 times as long, or more."""
    begin, end = (("", ""), ("x ", " y"), ("ACTION: LEFT", "."))[REPEATED.index(piece) % 3]
    short, long = (begin + piece * (length // len(piece)) + end for length in (4_000, 32_000))
    brief, lasting = seconds(lambda: parse(short)), seconds(lambda: parse(long))
    assert lasting < 30 * max(brief, 0.0005)


def test_a_reply_has_a_longest_length():
    longest = "x " * (LONGEST // 2 - 10) + "\nACTION: LEFT"
    assert plan(longest) == ("LEFT", 4)
    for piece in ("x", "{", "\ufdfa", "<think>", "ACTION: LEFT\n"):
        parsed = parse_plan(piece * (1_000_000 // len(piece)), BREAKOUT, 4)
        assert "999,9" in parsed.fault.replace("1,000,000", "999,9")
        assert "characters long, and at most 262,144 are read" in parsed.fault


def test_deep_json_is_a_fault_and_no_recursion():
    depth = sys.getrecursionlimit() * 3
    for deep in (
        '{"a":' * depth,
        "[" * depth + "]" * depth,
        "{'a':[" * depth,
        '{"action":' * depth,
    ):
        assert plan(deep) is None


def test_thoughts_are_told_from_any_text():
    assert thoughts_of("<THINK>first</THINK>LEFT<think>second") == "first\n\nsecond"
    assert thoughts_of("LEFT") == ""
    assert thoughts_of("") == ""
    assert thoughts_of("x" * 1_000_000) == ""
