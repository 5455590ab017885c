"""Estimates of text and image tokens."""

import numpy as np
import pytest

from atari_vlm.costs.picture_tokens import (
    FAMILIES,
    MOST,
    at_detail,
    family_of,
    most_tokens,
    rule_for,
)
from atari_vlm.costs.prompt_tokens import TURN_TOKENS, count_tokens, text_tokens
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import MODELS
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
"""Text -> tokens of OpenAI's o200k_base vocabulary, by the tokenizer bpe-openai 0.1.4."""

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
        ("gpt-4o-mini", 8500, 8500),
        ("gpt-4o-mini-low", 2833, 2833),
        ("gpt-4.1-mini", 57, 80),
        ("gpt-4.1-nano", 87, 121),
        ("o4-mini", 61, 85),
        ("gpt-5-mini", 42, 59),
        ("gpt-5-nano", 53, 74),
        ("o-series", 225, 225),
        ("most", 8500, 8500),
    ],
)
def test_image_tokens_follow_the_rules_of_the_vendors(family, native, square):
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
        # Counted by LlavaNextProcessor of transformers 5.23.
        ("llava-next", (512, 512), 2928),
        ("llava-next", (1000, 300), 2182),
        ("llava-next", (300, 1000), 2232),
    ],
)
def test_image_tokens_of_other_sizes(family, size, tokens):
    assert FAMILIES[family](*size) == tokens


def test_the_tokens_of_a_prompt_are_those_of_its_messages_text_and_images():
    frame = Frame(np.zeros((210, 160), np.uint8))
    messages = (Message("system", ("Play well.",)), Message("user", (frame, frame, "Left or up?")))
    prompt = Prompt(messages=messages, legal=("NOOP",), longest=4)
    text = text_tokens("Play well.") + text_tokens("Left or up?")
    assert count_tokens(prompt, "anthropic") == 2 * TURN_TOKENS + text + 2 * 48
    scaled = Prompt(messages=messages, legal=("NOOP",), longest=4, image_size=(224, 224))
    assert count_tokens(scaled, "anthropic") == 2 * TURN_TOKENS + text + 2 * 64


def test_an_unknown_family_suggests_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'gemini'"):
        count_tokens(Prompt(messages=(), legal=("NOOP",), longest=4), "geminy")


ALL_SIZES = [*SIZES, (84, 84), (1, 1), (400, 300), (1024, 1024), (1600, 1600), (3000, 2000)]
IDS = [
    *("gpt-4o", "gpt-4o-2024-11-20", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"),
    *("gpt-5", "gpt-5.1", "gpt-5-mini", "gpt-5-nano", "gpt-5.4-mini", "gpt-6-luna", "gpt-6.2-sol"),
    *("o1", "o3", "o3-mini", "o4-mini", "gpt-7", "claude-opus-5-5", "gemini-2.5-pro", "gemini-4-x"),
]


def provider_of(model_id):
    vendors = {"claude": "anthropic", "gemini": "google"}
    return next((v for start, v in vendors.items() if model_id.startswith(start)), "openai")


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
def test_what_is_reserved_for_a_picture_is_at_least_what_the_models_own_rule_counts(detail):
    for spec in MODELS.values():
        if spec.images:
            family = at_detail(spec.images, detail)
            for size in ALL_SIZES:
                rule = rule_for(spec.provider, spec.model_id, detail)
                assert rule(*size) >= FAMILIES[family](*size), (spec.name, size)
    for model_id in IDS:
        family = family_of(provider_of(model_id), model_id, detail)
        for size in ALL_SIZES:
            assert rule_for(provider_of(model_id), model_id, detail)(*size) >= FAMILIES[family](
                *size
            )
            assert most_tokens(*size) >= FAMILIES[family](*size)


def test_the_rule_of_an_unknown_model_is_the_most_expensive_known_one():
    for model_id in ("gpt-99", "gpt-5.4-mini", "o3-mini", "gpt-7-nano"):
        assert family_of("openai", model_id) == MOST
    assert family_of("openai-compatible", "anything") == MOST
    assert family_of("google", "lamda") == MOST
