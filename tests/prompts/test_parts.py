"""The parts of a prompt: what each shows, and that each can be left out."""

import re
from dataclasses import replace

import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.prompts.parts import LONGEST_MEMORY
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.types import Lessons
from tests.prompts.observations import moment, observe


def recent_actions(history_shown, game="breakout", **settings):
    prompt = get_strategy("basic", PromptSettings(history=history_shown, **settings))(*moment(game))
    lines = [line for line in prompt.text.splitlines() if line.startswith("Recent actions")]
    assert len(lines) <= 1
    return lines[0].partition("): ")[2] if lines else ""


def test_recent_actions_show_frames_points_lives_and_faults():
    assert recent_actions(5) == (
        "FIRE x1 (+0), RIGHT x2 (+4), RIGHT x4 (-1, life lost), "
        "NOOP x4 (+0, answer not understood), LEFT x4 (+1)"
    )
    assert recent_actions(2) == "NOOP x4 (+0, answer not understood), LEFT x4 (+1)"
    assert recent_actions(99) == recent_actions(5)
    assert recent_actions(0) == ""
    assert recent_actions(1, plans=False) == "LEFT (+1)"


def test_a_life_lost_by_the_last_action_is_shown():
    observation, history, lessons = moment("breakout")
    prompt = get_strategy("basic")(replace(observation, lives=1), history, lessons)
    assert "LEFT x4 (+1, life lost)" in prompt.text


def test_the_first_prompt_shows_no_history():
    prompt = get_strategy("cot")(observe("breakout", 0, lives=5), [], Lessons())
    assert "Recent actions" not in prompt.text
    assert "Your note" not in prompt.text
    assert "Example" not in prompt.text
    assert "Lessons" not in prompt.text
    assert "Score: 0. Lives: 5." in prompt.text


@pytest.mark.parametrize(
    ("step", "shown", "labels"),
    [
        (0, 4, [0]),
        (1, 4, [4, 0]),
        (9, 4, [12, 8, 4, 0]),
        (9, 2, [4, 0]),
        (9, 1, [0]),
        (9, 30, [12, 8, 4, 0]),
    ],
)
def test_screens_are_oldest_first_without_repeats(step, shown, labels):
    prompt = get_strategy("basic", PromptSettings(frames=shown))(
        observe("pong", step), [], Lessons()
    )
    assert [(step - frame.step) * 4 for frame in prompt.frames] == labels
    labelled = re.findall(r"Screen (?:(\d+) frames ago|now):\n<frame>", prompt.text)
    assert [int(age or 0) for age in labelled] == labels


def test_examples_come_with_their_frames():
    observation, history, lessons = moment("pong")
    prompt = get_strategy("basic")(observation, history, lessons)
    user = prompt.messages[1].parts
    assert user[0] == f"Example 1: {lessons.examples[0].text}"
    assert user[1] is lessons.examples[0].frame
    assert user[2] == f"Example 2: {lessons.examples[1].text}"


def test_each_part_can_be_left_out():
    everything = get_strategy("cot")(*moment("breakout")).text
    for words, without in [
        ("Rules:", {"rules": False}),
        ("Example 1:", {"examples": False}),
        ("Lessons from earlier games:", {"lessons": False}),
        ("Score:", {"status": False}),
        ("Recent actions", {"history": 0}),
        ("Your note to yourself:", {"memory": False}),
        ('"frames"', {"plans": False}),
        ("Screen 4 frames ago:", {"frames": 1}),
    ]:
        assert words in everything
        assert words not in get_strategy("cot", PromptSettings(**without))(*moment("breakout")).text


def test_a_long_note_is_cut_to_one_line():
    observation, history, lessons = moment("pong")
    decision = replace(history[-1].decision, memory="word\n" * 1000)
    history[-1] = replace(history[-1], decision=decision)
    text = get_strategy("basic")(observation, history, lessons).text
    note = next(line for line in text.splitlines() if line.startswith("Your note to yourself:"))
    assert len(note) == len("Your note to yourself: ") + LONGEST_MEMORY
    assert note.endswith("…")


def test_the_image_size_is_part_of_the_prompt():
    prompt = get_strategy("cot", PromptSettings(image_size=(224, 224)))(*moment("pong"))
    assert prompt.image_size == (224, 224)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frames": 0}, "frames_in_prompt must be at least 1, not 0"),
        ({"history": -1}, "history must be at least 0, not -1"),
        ({"image_size": (0, 0)}, "each 1 to 4096"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(InvalidSetting, match=words):
        PromptSettings(**settings)
