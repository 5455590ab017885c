"""Reviews: which moments they show, how answers are read, and how lessons are kept few."""

from __future__ import annotations

import json

import pytest

from atari_vlm.learning.reflection.merging import merged
from atari_vlm.learning.reflection.moments import events, key_moments, table
from atari_vlm.learning.reflection.reading import read_review
from atari_vlm.learning.reflection.words import cleaned, illegal_actions
from atari_vlm.replies.likeness import alike
from atari_vlm.types import Decision, Observation, Step, Trajectory


def played(rewards, lives=None):
    lives = lives or [3] * len(rewards)
    steps = [
        Step(
            observation=Observation(
                game="pong", frames=(), legal=("NOOP", "RIGHT"), interval=4, step=k, lives=left
            ),
            decision=Decision(action="RIGHT" if k % 2 else "NOOP", frames=4),
            reward=reward,
            terminated=k == len(rewards) - 1,
        )
        for k, (reward, left) in enumerate(zip(rewards, lives, strict=True))
    ]
    return Trajectory(game="pong", episode=0, seed=0, policy="p", steps=tuple(steps))


def test_key_moments_are_the_opening_the_end_and_both_kinds_of_events_apart_from_each_other():
    rewards = [0.0] * 400
    for k in (30, 32, 34, 36, 38, 40):  # the same serve, again and again
        rewards[k] = -1.0
    rewards[200] = rewards[300] = 1.0
    lives = [3] * 350 + [2] * 50
    chosen = key_moments(played(rewards, lives), 6)
    assert [step for step, _ in chosen] == [0, 32, 192, 292, 341, 399]
    assert chosen[0][1] == "The opening"
    assert chosen[-1][1] == "The end"
    assert chosen[4][1] == "Half a second before a life lost"
    assert chosen[2][1] == "Half a second before +1"
    assert len(key_moments(played(rewards, lives), 3)) == 3
    assert key_moments(played(rewards, lives), 0) == []
    assert key_moments(played([0.0]), 6) == [(0, "The opening")]


def test_the_table_of_an_episode_is_in_words_and_bounded():
    rewards = [(-1.0 if k % 20 == 19 else 0.0) for k in range(1000)]
    words = table(played(rewards))
    assert words.startswith("Earned and lost: -1 (50 times).")
    assert words.count("\n- at ") == 12
    assert "- at 1.3 s: -1, after " in words
    assert "(38 more like these are left out.)" in words
    assert "Earned and lost: +3 (twice); a life lost (once)." in table(
        played([3.0, 3.0, 0.0, 0.0], [2, 2, 2, 1])
    )
    assert table(played([0.0, 0.0])) == "Nothing was earned or lost."
    assert [each.lives for each in events(played([0.0] * 3, [3, 3, 1]))] == [2]


LESSON = "Wait below the ball."


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"worked": "x", "lessons": [LESSON]}),
        f"Here you are:\n```json\n{{'worked': 'a', 'lessons': ['{LESSON}'],}}\n```",
        json.dumps({"review": {"key insights": [{"insight": LESSON, "why": "it worked"}]}}),
        json.dumps({"lessons": {"1": LESSON}}),
        json.dumps({"lessons": f"1. {LESSON}\n"}),
        f'{{"worked": "well", "lessons": ["{LESSON}", "Never go to the lef',
        f"1. What worked: serving.\n\n**Key insights**\n\n- {LESSON}",
        f"<think>{{}}</think>\n* {LESSON}",
    ],
)
def test_an_answer_is_read_in_many_forms(text):
    assert read_review(text).lessons == (LESSON,)


def test_what_cannot_be_read_has_a_fault_and_a_refusal_is_not_asked_again():
    for text in ("", "I played quite well.", "{" * 5000, '{"lessons": 3}'):
        assert read_review(text).fault
    refused = read_review("I'm sorry, but I can't help with that.")
    assert refused.refused
    assert read_review('{"lessons": [], "drop": [1, "2", "x", {}]}').drop == (1, 2)
    assert read_review('{"lessons": []}').fault == ""


def test_a_lesson_is_one_line_of_plain_text_and_bounded():
    assert cleaned("  - \x1b[31mStay\u202e low\n\x00 now.", 200) == "[31mStay low now."
    long = cleaned("Stay low and wait. " * 50, 60)
    assert len(long) <= 60
    assert long.endswith("wait. Stay…") or long.endswith("…")


def test_an_action_that_the_game_lacks_is_found_however_it_is_said():
    legal = ("NOOP", "UP", "DOWN")
    assert illegal_actions("Press FIRE first.", legal) == ["FIRE"]
    assert illegal_actions("Use upfire to jump; press the fire button.", legal) == [
        "UPFIRE",
        "FIRE",
    ]
    for fine in ("Cars on the left are slow.", "Go UP.", "Under fire, go back.", "GO UP AND FIRE"):
        assert illegal_actions(fine, legal) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Stay near the middle of the screen.", "Always stay near the screen's middle!", True),
        ("Never fire at the ghosts.", "Do not fire at ghosts.", True),
        ("Move UP when the ball is above you.", "Move DOWN when the ball is below you.", False),
        ("Always serve at once.", "Never serve at once.", False),
        ("Leave after 3 seconds.", "Leave after 9 seconds.", False),
        ("Wait below the ball.", "Eat the ghosts after a power pill.", False),
        ("待在球的下方等待", "待在球的下方等待。", True),
    ],
)
def test_two_lessons_are_alike_if_they_say_the_same(one, other, same):
    assert alike(one, other) is same
    assert alike(other, one) is same


def test_lessons_are_merged_by_a_rule_and_kept_few():
    before = ("Wait below the ball.", "Serve at once.", "Watch the score.")
    made = merged(before, ["Always wait below the ball!", "Aim for corners."], most=3)
    assert made.advice == ("Watch the score.", "Wait below the ball.", "Aim for corners.")
    assert (made.added, made.again) == (("Aim for corners.",), ("Wait below the ball.",))
    assert made.dropped == ("Serve at once.",)
    kept = merged(before, ["Aim for corners."], [1, 2, 9], most=3, written=before[:1])
    assert kept.advice == ("Wait below the ball.", "Watch the score.", "Aim for corners.")
    full = merged(before, ["Aim for corners."], most=3, written=before)
    assert full.advice == before
