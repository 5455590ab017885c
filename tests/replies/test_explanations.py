"""What may stand behind an action, and what else of a reply speaks for or against it."""

import pytest

from atari_vlm.atari.games import GAMES as CATALOGUE
from atari_vlm.replies.explanations import explains
from atari_vlm.replies.plan_parser import parse_plan
from tests.replies.legal_actions import BREAKOUT, FULL, plan


@pytest.mark.parametrize("game", CATALOGUE)
def test_what_the_prompt_says_of_an_action_may_be_said_behind_it(game):
    for action in FULL:
        if meaning := CATALOGUE[game].meaning(action):
            for form in ("ACTION: {} x2 ({})", "ACTION: {} x2 - {}", "ACTION: {}: {} x2"):
                assert plan(form.format(action, meaning), FULL) == (action, 2), meaning


@pytest.mark.parametrize(
    "words",
    [
        *("to catch the ball", "because waiting is too risky", "since staying here would be fatal"),
        *("moving left", "the only safe way", "otherwise the shark would hit me"),
        *("the ball is near", "not RIGHT, because the ball comes from the left", "no ball in play"),
        *("nach links", "vers la gauche", "to avoid losing the ball", "index 3", "best option"),
    ],
)
def test_a_reason_a_deed_a_place_and_praise_explain_an_action(words):
    assert explains(words)


@pytest.mark.parametrize(
    "words",
    [
        *("denied", "too risky", "bad idea", "illegal", "wrong direction", "example", "previous"),
        *("corrected to DOWN", "vetoed", "next turn", "later", "once the shark is gone", "n/a"),
        *("a blunder", "placeholder", "50% sure", "the enemy's move", "see below", "DOWN is safer"),
        *("runs into the shark", "that kills me", "gibberish", "to be confirmed", "hm"),
    ],
)
def test_what_rejects_puts_off_or_says_nothing_does_not(words):
    assert not explains(words)


@pytest.mark.parametrize(
    ("more", "played"),
    [
        *(('"cancelled": true', False), ('"cancelled": false', True), ('"valid": false', False)),
        *(('"valid": true', True), ('"is_not_legal": true', False), ('"confidence": 0', False)),
        *(('"confidence": 0.4', True), ('"status": "vetoed"', False), ('"status": "ok"', True)),
        *(('"ball_in_play": false', True), ('"player_dead": false', True), ('"when": "now"', True)),
        *(
            ('"when": "the ball is near"', False),
            ('"role": "user"', False),
            ('"wibbly": true', False),
        ),
        *(('"role": "assistant"', True), ('"error": null', True), ('"error": "illegal"', False)),
    ],
)
def test_other_keys_of_an_object_may_speak_against_its_action(more, played):
    assert (plan(f'{{"action": "LEFT", {more}}}') is not None) == played
    assert (plan(f'{{"arguments": {{"action": "LEFT", {more}}}}}') is not None) == played


def test_a_key_that_speaks_against_the_action_is_named():
    assert '"legal"' in parse_plan('{"action": "LEFT", "legal": false}', BREAKOUT, 4).fault


def test_only_one_of_several_speakers_answers():
    assert plan("ACTION: LEFT\nUser: the ball fell\nAssistant: I am sorry.") == ("LEFT", 4)
    talk = "ACTION: LEFT\nUser: and now?\nAssistant: ACTION: RIGHT"
    assert "talk of several" in parse_plan(talk, BREAKOUT, 4).fault
