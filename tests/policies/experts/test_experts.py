"""Scripted experts: their descriptions match the screen, and their plans win."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.experts.base import (
    MAX_DISPLACEMENT,
    Advice,
    describe_motion,
    push_plans,
    reflect,
    sample_plan,
)
from atari_vlm.policies.experts.pong import advise_pong
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.types import Decision, Frame, Observation, Step

FRAME_SKIP = 4


def play(seed, decisions):
    """Pong played by its expert: (emulator, memory one decision ago, advice) each time."""
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=seed)
    rng = np.random.default_rng(seed)
    before = None
    for _ in range(decisions):
        memory = emulator.ram.copy()
        advice = advise_pong(before, memory, FRAME_SKIP)
        yield emulator, before, advice
        action, frames = sample_plan(advice, rng)
        emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory


def observation(memory, game="pong"):
    frame = Frame(np.zeros((210, 160), np.uint8))
    legal = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
    return Observation(game=game, frames=(frame,), legal=legal, interval=FRAME_SKIP, ram=memory)


def test_the_pong_expert_scores_well_above_its_opponent():
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=3)
    rng, before, score = np.random.default_rng(3), None, 0.0
    for _ in range(2_500):
        memory = emulator.ram.copy()
        action, frames = sample_plan(advise_pong(before, memory, FRAME_SKIP), rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory
    assert score >= 4


def rewards(game, decisions, seed=0):
    """Score of a game's expert over some decisions, and the emulator after them."""
    emulator = Emulator(get_game(game))
    emulator.reset(seed=seed)
    rng, before, score = np.random.default_rng(seed), None, 0.0
    for _ in range(decisions):
        memory = emulator.ram.copy()
        action, frames = sample_plan(EXPERTS[game].advise(before, memory, FRAME_SKIP), rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory
    return score, emulator


def test_the_breakout_expert_keeps_the_ball_in_play():
    score, emulator = rewards("breakout", 700)
    assert score >= 20
    assert emulator.lives >= 4


def test_the_freeway_expert_crosses_more_often_than_walking_straight_up():
    score, _ = rewards("freeway", 1_024)
    straight = Emulator(get_game("freeway"))
    straight.reset(seed=0)
    up = straight.legal.index("UP")
    walked = sum(straight.play(up, FRAME_SKIP, FRAME_SKIP) for _ in range(1_024))
    assert score >= walked + 3


def test_the_ball_matches_the_screen():
    seen = 0
    for emulator, _, advice in play(seed=1, decisions=400):
        words = advice.description.replace(",", "").split()
        if words[0] == "ball" and 24 < int(words[1]) < 136:
            x, y = int(words[1]), int(words[2])
            screen = emulator.screen(pooled=False)
            if 36 < y < 190:
                assert screen[y, x] != screen[y, 80 if abs(x - 80) > 8 else 100]
                seen += 1
    assert seen > 100


def test_the_paddle_matches_the_screen():
    checked = 0
    for emulator, _, advice in play(seed=2, decisions=400):
        paddle = int(advice.description.split("paddle ")[1].split(",")[0])
        rows = np.flatnonzero(emulator.screen(pooled=False)[34:194, 141] == 200) + 34
        if 45 < paddle < 180 and len(rows) == 16:
            assert abs(rows.mean() - paddle) <= 1.5  # drawn on even rows
            checked += 1
    assert checked > 100


def test_an_absent_ball_is_not_described():
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=0)
    memory = emulator.ram.copy()
    memory[54] = 0
    assert advise_pong(None, memory, FRAME_SKIP).description.startswith("no ball, paddle")


def test_a_ball_without_a_previous_position_is_new():
    emulator, before, advice = next(itertools.islice(play(seed=1, decisions=200), 199, None))
    assert " moving " in advice.description
    assert " new, " in advise_pong(None, emulator.ram, FRAME_SKIP).description
    assert advise_pong(before, emulator.ram, FRAME_SKIP).description == advice.description


def test_every_piece_of_advice_is_a_distribution_over_legal_plans():
    for emulator, _, advice in play(seed=4, decisions=300):
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert all(a in emulator.legal and 1 <= n <= FRAME_SKIP for a, n in advice.plans)
        assert advice.weight > 0


def test_push_plans_keep_the_mean_of_a_push():
    sign = {"RIGHT": -1, "LEFT": 1, "NOOP": 0}
    for push in (-9.0, -3.3, -0.4, 0.0, 0.25, 2.0, 3.9, 7.0):
        plans = push_plans(push, "RIGHT", "LEFT", FRAME_SKIP)
        mean = sum(sign[action] * frames * chance for (action, frames), chance in plans.items())
        assert mean == pytest.approx(max(-4, min(4, push)))


def test_a_bouncing_ball_is_reflected_between_the_walls():
    assert reflect(50, 32, 195) == 50
    assert reflect(20, 32, 195) == 44
    assert reflect(200, 32, 195) == 190
    assert reflect(200 + 2 * 163, 32, 195) == 190


def test_displacements_have_words_up_to_a_limit():
    assert describe_motion(5, -3) == "moving right 5 up 3"
    assert describe_motion(0, 0) == "moving straight level"
    assert describe_motion(-999, 999) == f"moving left {MAX_DISPLACEMENT} down {MAX_DISPLACEMENT}"


def test_the_expert_is_a_policy_with_a_note_and_privileges():
    emulator, before, advice = next(itertools.islice(play(seed=5, decisions=150), 149, None))
    expert = EXPERTS["pong"]
    last = Decision(action="NOOP", frames=4, source="scripted")
    history = [Step(observation=observation(before), decision=last, reward=0.0)]
    now = observation(emulator.ram)
    first, again = (
        asyncio.run(expert.decide(now, history, np.random.default_rng(1))) for _ in range(2)
    )
    assert (first.action, first.frames) == (again.action, again.frames)
    assert (first.action, first.frames) in advice.plans
    assert first.source == "scripted"
    assert first.reason == advice.description
    assert expert.privileges == {"ram"}


@pytest.mark.parametrize("seen", [observation(None), observation(np.zeros(128, np.uint8), "qbert")])
def test_an_expert_refuses_observations_that_it_cannot_read(seen):
    with pytest.raises(InvalidSetting, match="pong expert needs an observation of pong"):
        asyncio.run(EXPERTS["pong"].decide(seen, [], np.random.default_rng(0)))


def test_a_plan_is_drawn_with_its_probability():
    advice = Advice("", {("LEFT", 1): 0.25, ("LEFT", 2): 0.75})
    rng = np.random.default_rng(0)
    drawn = [sample_plan(advice, rng) for _ in range(2_000)]
    assert drawn.count(("LEFT", 2)) / len(drawn) == pytest.approx(0.75, abs=0.03)
