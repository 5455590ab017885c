"""What a policy returns, and what is given as a player, is checked before it is recorded."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from atari_vlm import Decision, Run, play
from atari_vlm.errors import IllegalAction, InvalidSetting
from atari_vlm.runs.playback import full_trajectory


class Plays:
    """A policy that returns the same thing at every decision."""

    name = "plays"

    def __init__(self, decision):
        self.decision = decision

    async def decide(self, observation, history, rng):
        return self.decision


BAD = [
    (Decision("JUMP", frames=4), "plays chose 'JUMP'. Choose from: NOOP, FIRE, RIGHT"),
    (Decision(2, frames=4), "plays chose 2. Choose from"),
    (Decision("FIRE", frames=0), "holds FIRE for 0 frames; a decision lasts 1 to 4"),
    (Decision("FIRE", frames=5), "for 5 frames"),
    (Decision("FIRE", frames=2.5), "for 2.5 frames; give an int"),
    (Decision("FIRE", frames=4, queue=(("JUMP", 4),)), "chose 'JUMP'"),
    ("FIRE", "plays returned 'FIRE', which is no Decision"),
    (None, "plays returned None"),
]


@pytest.mark.parametrize(("bad", "words"), BAD)
def test_a_decision_that_cannot_be_played_is_not_recorded(bad, words, tmp_path):
    asks = {"max_decisions": 3, "run_folder": tmp_path, "progress": False}
    with pytest.raises(IllegalAction, match=words):
        play("pong", Plays(bad), **asks)
    with closing(Run.read(tmp_path)) as run:
        assert run.plans(0) == []
    assert play("pong", Plays(Decision("FIRE", frames=4)), **asks).played == 3


def test_frames_of_numpy_are_recorded_as_a_number(tmp_path):
    asks = {"max_decisions": 3, "run_folder": tmp_path, "progress": False}
    play("pong", Plays(Decision("FIRE", frames=np.int64(3), waited=np.int32(0))), **asks)
    with closing(Run.read(tmp_path)) as run:
        assert [type(plan.frames) for plan in run.plans(0)] == [int] * 3
        full_trajectory(run, 0)


@pytest.mark.parametrize(
    ("player", "words"),
    [
        (Plays, r"The policy is the class Plays; give an instance: Plays\(\)"),
        (None, "A game needs a player: a name, a policy or a model"),
        (5, "5 is no policy: it needs name and async decide"),
        (lambda observation: 1, "is no policy"),
    ],
)
def test_what_is_no_player_is_refused_in_a_sentence(player, words):
    with pytest.raises(InvalidSetting, match=words):
        play("pong", player)
