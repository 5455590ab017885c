"""Which moments become examples, in the words and tokens of a prompt."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.costs.prompt_tokens import text_tokens
from atari_vlm.learning.examples import FEWEST_TOKENS, BestMoments
from atari_vlm.learning.moments import moments
from atari_vlm.learning.wording import reasoning_in
from atari_vlm.models.hosted.budget import UNLIMITED
from atari_vlm.protocols import Study
from atari_vlm.types import Decision, Frame, Observation, Step, Trajectory


def episode(rewards, lives=None, *, number=0, game="montezuma_revenge", source="parsed", ends=True):
    """An episode with these rewards, and these lives before each decision."""
    lives = lives or [0] * len(rewards)
    steps = tuple(
        Step(
            observation=Observation(
                game=game, frames=(), legal=("NOOP", "UP"), interval=4, step=k, lives=lives[k]
            ),
            decision=Decision("UP" if k % 2 else "NOOP", 4, source=source),
            reward=reward,
            terminated=ends and k == len(rewards) - 1,
        )
        for k, reward in enumerate(rewards)
    )
    return Trajectory(game=game, episode=number, seed=0, policy="x", steps=steps)


def study(said=""):
    def frame(number, step):
        pixels = np.random.default_rng([number, step]).integers(0, 128, (20, 16)).astype(np.uint8)
        return Frame(pixels, number, step)

    rng = np.random.default_rng(0)
    return Study(
        model=None, rng=rng, account=UNLIMITED, frame=frame, said=lambda number, step: said
    )


def examples(learner, *played, said=""):
    return asyncio.run(learner.learn(played, study(said))).examples


def test_a_reward_is_shown_by_the_last_decisions_that_mattered():
    (gain,) = moments([episode([0.0] * 20 + [100.0])])["gain"]
    assert (gain.start, gain.last, gain.end, gain.points) == (10, 19, 20, 100)


def test_a_bonus_that_is_counted_up_is_one_moment_that_ends_with_what_earned_it():
    counted = [0.0] * 20 + [25.0, 0.0, *[100.0] * 3, 0.0, *[100.0] * 4, 0.0, 0.0, 100.0]
    gains = moments([episode(counted)])["gain"]
    assert [(gain.end, gain.points) for gain in gains] == [(22, 725), (32, 100), (20, 25)]
    twice = moments([episode([0.0] * 20 + [100.0] * 2 + [10.0] * 2)])["gain"]
    assert sorted(gain.end for gain in twice) == [20, 21, 22, 23]


def test_a_lost_life_and_a_lost_point_are_warnings_and_so_is_the_end_of_the_game():
    lives = [3] * 20 + [2] * 20
    found = moments([episode([0.0] * 40, lives)])["loss"]
    assert sorted((loss.end, loss.lives) for loss in found) == [(19, 1), (39, 1)]
    (lost,) = moments([episode([0.0] * 20 + [-1.0], game="pong", ends=False)])["loss"]
    assert (lost.points, lost.lives) == (-1, 0)


def test_where_nothing_is_gained_the_longest_stretches_without_a_loss_are_shown():
    """Pong at first: only points lost, one of them late."""
    lost = [*([0.0] * 9 + [-1.0]) * 3, *([0.0] * 49 + [-1.0]), *([0.0] * 9 + [-1.0])]
    worse, better = ([0.0] * 9 + [-1.0]) * 6, lost
    found = moments([episode(worse, game="pong"), episode(better, number=1, game="pong")])
    assert not found["gain"]
    (held,) = found["held"]
    assert (held.trajectory.episode, held.length, held.usual, held.end) == (1, 50, 10, 39)
    shown = examples(BestMoments(3), episode(better, number=1, game="pong"))
    assert shown[0].text.startswith("What went well, from an earlier game of yours (score -5).")
    assert "Nothing was lost for 50 decisions, where 10 are usual in this game." in shown[0].text
    assert "this cost -1" in shown[1].text


def test_episodes_are_ranked_relative_to_one_another_and_not_by_sign():
    rewards = [0.0] * 30 + [1.0] + [0.0] * 30 + [-1.0] * 5
    bad = episode(rewards + [-1.0] * 10, number=0, game="pong")
    good = episode(rewards, number=1, game="pong")
    gains = moments([bad, good])["gain"]
    assert [gain.trajectory.episode for gain in gains] == [1, 0]


def test_no_moment_has_a_fallback():
    played = episode([0.0] * 20 + [100.0])
    steps = list(played.steps)
    steps[14] = replace(steps[14], decision=Decision("NOOP", 4, source="fallback"))
    (gain,) = moments([replace(played, steps=tuple(steps))])["gain"]
    assert gain.start == 15
    assert moments([episode([0.0] * 20 + [100.0], source="fallback")])["gain"] == []


def test_a_third_of_the_examples_are_warnings():
    lives = [3] * 50 + [2] * 50
    played = episode(([0.0] * 24 + [10.0]) * 4, lives)
    kinds = ["A warning" in each.text for each in examples(BestMoments(3), played)]
    assert kinds == [False, False, True]
    assert ["A warning" in e.text for e in examples(BestMoments(2), played)] == [False, False]


def test_examples_quote_the_players_words_up_to_a_length():
    said = '{"reasoning": "' + "The skull rolls. " * 50 + '", "action": "UP"}'
    (shown,) = examples(BestMoments(1), episode([0.0] * 20 + [100.0]), said=said)
    assert 'You said: "The skull rolls.' in shown.text
    assert len(shown.text) < 500
    assert shown.source == "episode 0, decision 10"
    assert [frame.step for frame in shown.frames] == [10, 20]


def test_the_words_before_the_answer_are_quoted_and_not_the_answer():
    assert reasoning_in("I wait.\nACTION: NOOP x4") == "I wait."
    assert reasoning_in("ACTION: NOOP x4") == ""
    assert reasoning_in("") == ""
    assert reasoning_in('{"reasoning": 3, "action": "UP"}') == ""


@pytest.mark.parametrize("tokens", [FEWEST_TOKENS, 600, 2_000])
def test_examples_keep_to_their_tokens_pictures_included(tokens):
    lives = [3] * 50 + [2] * 50
    played = episode(([0.0] * 24 + [10.0]) * 4, lives)
    learner = BestMoments(3, tokens=tokens, picture_tokens=255)
    shown = examples(learner, played, said="Word " * 40)
    spent = sum(text_tokens(each.text) + 255 * len(each.frames) for each in shown)
    assert shown
    assert spent <= tokens
    assert sum(len(each.frames) for each in shown) == {FEWEST_TOKENS: 0, 600: 1, 2_000: 6}[tokens]


def test_without_pictures_examples_are_words():
    (shown,) = examples(BestMoments(1, pictures=False), episode([0.0] * 20 + [100.0]))
    assert shown.frames == ()
    assert "In a row you played" in shown.text


def longest():
    action = "DOWNRIGHTFIRE"
    played = episode([0.0] * 200 + [-1.0] * 2, [3] * 202, game="tetris")
    steps = [
        replace(step, decision=Decision(action if k % 2 else "UPLEFTFIRE", 1 + k % 3))
        for k, step in enumerate(played.steps)
    ]
    return replace(played, steps=tuple(steps))


def test_one_example_fits_into_the_fewest_tokens():
    assert examples(BestMoments(1, tokens=FEWEST_TOKENS, picture_tokens=8_500), longest())
