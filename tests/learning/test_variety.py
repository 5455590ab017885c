"""Which of the moments that mattered are shown: different ones, found without replaying it all."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from atari_vlm import play
from atari_vlm.learning.example_runs import Played
from atari_vlm.learning.examples import BestMoments
from atari_vlm.learning.moments import moments
from atari_vlm.learning.variety import REPLAYED, apart, distance, varied
from atari_vlm.runs.playback import pictures, trajectories_for_learner
from atari_vlm.runs.run import Run
from atari_vlm.types import Frame
from tests.learning.test_moments import episode, study

BLACK = np.zeros((20, 16), np.uint8)


def test_of_one_serve_and_two_others_not_three_serves_are_shown():
    rewards = [0.0] * 20 + [1.0] + [0.0] * 300
    played = [episode(rewards, number=k) for k in range(6)]
    late = episode([0.0] * 300 + [1.0] + [0.0] * 20, number=9)
    gains = moments([*played, late])["gain"]

    def far(one, other):
        screens = (BLACK + moment.trajectory.episode // 9 for moment in (one, other))
        return distance(one, other, *screens)

    chosen = varied(apart(gains), 2, far)
    assert {moment.trajectory.episode for moment in chosen} == {0, 9}
    assert far(gains[0], gains[1]) == 0
    assert len(varied(apart(gains), 3, far)) == 2  # and no third one, which would be a twin
    assert far(gains[0], chosen[1]) > 0.6


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """The points that random loses in 350 decisions of Pong, and how far two of them are apart."""
    folder = tmp_path_factory.mktemp("pong")
    play("pong", "random", max_decisions=350, run_folder=folder)
    with closing(Run.read(folder)) as run:
        losses = moments(trajectories_for_learner(run, [0]))["loss"]
        played = Played((), pictures(run), run.said)
        screen = {id(each): played.screens(each, 1)[0].pixels for each in reversed(losses)}
    return losses, lambda one, other: distance(one, other, screen[id(one)], screen[id(other)])


def test_of_a_recorded_game_of_pong_not_three_times_the_same_serve_is_shown(lost):
    losses, far = lost

    def nearest(chosen):
        return min(far(one, other) for one, other in combinations(chosen, 2))

    assert len(losses) >= 6
    assert nearest(varied(apart(losses), 3, far)) > 1.5 * nearest(losses[:3])


@pytest.mark.parametrize("episodes", [2, 40])
def test_however_many_episodes_there_are_few_decisions_are_replayed(episodes):
    rewards = ([0.0] * 60 + [1.0] + [0.0] * 60 + [-1.0]) * 6
    played = [episode(rewards, number=k) for k in range(episodes)]
    drawn = []

    def frame(number, step):
        drawn.append((number, step))
        return Frame(BLACK + step % 7, number, step)

    shown = asyncio.run(BestMoments(6).learn(played, replace(study(), frame=frame))).examples
    assert len(shown) == 6
    replayed, at = 0, (-1, 0)
    for number, step in dict.fromkeys(drawn):  # what was drawn is known
        replayed += step - at[1] if number == at[0] and step > at[1] else step
        at = number, step
    assert replayed <= 2 * min(REPLAYED, episodes * len(rewards))
