"""The table of input tokens by strategy and model family."""

from atari_vlm.prompts.strategies import STRATEGIES, PromptSettings
from atari_vlm.prompts.token_table import table


def test_the_table_has_a_row_for_every_strategy():
    head, rule, *rows = [line.strip("| ").split(" | ") for line in table("pong").splitlines()]
    assert head == ["prompt", "words", "openai", "anthropic", "gemini-low"]
    assert set(rule) == {"---"}
    assert [row[0] for row in rows] == list(STRATEGIES)
    for _, words, openai, anthropic, gemini_low in rows:
        frames = [int(total) - int(words) for total in (openai, anthropic, gemini_low)]
        assert frames == [2 * 42, 2 * 48, 2 * 280]
    tokens = {row[0]: int(row[1]) for row in rows}
    assert tokens["embedded"] < tokens["basic"] < tokens["cot"] < tokens["expert"]


def test_half_a_minute_with_a_decision_every_16_frames_takes_less_than_60k_tokens():
    decisions = 30 * 60 // 16
    rows = [line.split(" | ") for line in table("breakout").splitlines()[2:]]
    basic = next(int(row[2]) for row in rows if row[0] == "| basic")
    assert decisions * basic < 60_000
    bigger = table("breakout", settings=PromptSettings(frames=4, image_size=(224, 224)))
    assert bigger != table("breakout")
