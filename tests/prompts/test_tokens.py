"""Token counts are known before a prompt is sent."""

import numpy as np
import pytest

from atari_vlm.costs.picture_tokens import FAMILIES
from atari_vlm.costs.prompt_tokens import TURN_TOKENS, count_tokens, text_tokens
from atari_vlm.errors import UnknownName
from atari_vlm.prompts.strategies import STRATEGIES, PromptSettings
from atari_vlm.prompts.token_table import table
from atari_vlm.types import Frame, Message, Prompt

MEASURED = {
    "You slide a paddle to keep a ball bouncing into six rows of bricks, worth 1 (lower two rows), "
    "4 (middle) and 7 points (upper); each ball missed is lost, and the game ends after five.": 48,
    "Actions: 0 NOOP, 1 FIRE, 2 UP, 3 RIGHT, 4 LEFT, 5 DOWN, 6 UPRIGHT, 7 UPLEFT, 8 DOWNRIGHT, "
    "9 DOWNLEFT, 10 UPFIRE, 11 RIGHTFIRE, 12 LEFTFIRE, 13 DOWNFIRE, 14 UPRIGHTFIRE, "
    "15 UPLEFTFIRE, 16 DOWNRIGHTFIRE, 17 DOWNLEFTFIRE": 100,
    "Recent actions (oldest first, x frames held, points earned): LEFT x2 (+0), LEFT x4 (+1), "
    "FIRE x1 (-1, life lost), NOOP x4 (+0, answer not understood)": 46,
    'Answer with one JSON object only: {"reasoning": "<at most 50 words>", "action": "<name>", '
    '"frames": <1 to 4>}': 33,
    "- Draw the ball's line through its last two positions, fold it at the top and bottom walls, "
    "and put the paddle where it crosses your column.\n- While the ball flies away from you, drift "
    "back towards the middle of the screen.": 49,
}
"""Tokens by OpenAI's o200k_base vocabulary, counted with the tokenizer bpe-openai 0.1.4."""

SIZES = ((160, 210), (224, 224))


@pytest.mark.parametrize(("text", "tokens"), MEASURED.items(), ids=MEASURED.values())
def test_text_is_estimated_within_a_tenth_of_a_real_tokenizer(text, tokens):
    assert text_tokens(text) == pytest.approx(tokens, rel=0.1)


@pytest.mark.parametrize(
    ("family", "native", "square"),
    [
        ("openai", 42, 59),
        ("gpt-4o", 255, 255),
        ("gpt-5", 210, 210),
        ("anthropic", 48, 64),
        ("gemini", 1120, 1120),
        ("gemini-low", 280, 280),
        ("gemini-2", 258, 258),
        ("qwen2-vl", 48, 64),
        ("qwen3-vl", 70, 64),
        ("gpt-4o-low", 85, 85),
        ("llava-next", 1032, 1176),
        ("cogvlm2", 2306, 2306),
        ("video-llava", 256, 256),
        ("idefics2", 64, 64),
    ],
)
def test_frames_cost_what_the_vendors_say(family, native, square):
    assert [FAMILIES[family](*size) for size in SIZES] == [native, square]


@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        ("openai", (256, 256), 77),
        ("openai", (512, 512), 308),
        ("openai", (1024, 1024), 1229),
        ("gpt-4o", (1024, 1024), 85 + 4 * 170),
        ("gpt-4o", (4096, 2048), 85 + 6 * 170),
        ("gemini-2", (1536, 768), 2 * 258),
        ("qwen2-vl", (84, 84), 9),
        ("qwen2-vl", (320, 420), 165),
        ("qwen3-vl", (84, 84), 64),
        ("qwen3-vl", (320, 420), 130),
        # As LlavaNextProcessor of transformers 5.23 counts them.
        ("llava-next", (512, 512), 2928),
        ("llava-next", (1000, 300), 2182),
        ("llava-next", (300, 1000), 2232),
    ],
)
def test_other_sizes_follow_the_same_rules(family, size, tokens):
    assert FAMILIES[family](*size) == tokens


def test_a_prompt_costs_its_turns_words_and_frames():
    frame = Frame(np.zeros((210, 160), np.uint8))
    messages = (Message("system", ("Play well.",)), Message("user", (frame, frame, "Left or up?")))
    prompt = Prompt(messages=messages, legal=("NOOP",), longest=4)
    words = text_tokens("Play well.") + text_tokens("Left or up?")
    assert count_tokens(prompt, "anthropic") == 2 * TURN_TOKENS + words + 2 * 48
    scaled = Prompt(messages=messages, legal=("NOOP",), longest=4, image_size=(224, 224))
    assert count_tokens(scaled, "anthropic") == 2 * TURN_TOKENS + words + 2 * 64


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'gemini'"):
        count_tokens(Prompt(messages=(), legal=("NOOP",), longest=4), "geminy")


def test_the_table_has_a_row_for_every_strategy_and_adds_up():
    head, rule, *rows = [line.strip("| ").split(" | ") for line in table("pong").splitlines()]
    assert head == ["prompt", "words", "openai", "anthropic", "gemini-low"]
    assert set(rule) == {"---"}
    assert [row[0] for row in rows] == list(STRATEGIES)
    for _, words, openai, anthropic, gemini_low in rows:
        frames = [int(total) - int(words) for total in (openai, anthropic, gemini_low)]
        assert frames == [2 * 42, 2 * 48, 2 * 280]
    tokens = {row[0]: int(row[1]) for row in rows}
    assert tokens["embedded"] < tokens["basic"] < tokens["cot"] < tokens["expert"]


def test_four_decisions_a_second_for_half_a_minute_cost_less_than_60k_tokens():
    """With the memory a prompt has by default; the action is held for 16 frames."""
    decisions = 30 * 60 // 16
    rows = [line.split(" | ") for line in table("breakout").splitlines()[2:]]
    basic = next(int(row[2]) for row in rows if row[0] == "| basic")
    assert decisions * basic < 60_000
    bigger = table("breakout", settings=PromptSettings(frames=4, image_size=(224, 224)))
    assert bigger != table("breakout")
