"""The Asteroids expert: it describes the screen, its shots hit, and it beats random play."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.asteroids import ASTEROIDS as SCHEMA
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.table import kinds
from atari_vlm.policies.experts.asteroids import ASTEROIDS, NOSES, left_pixel, rocks, shot
from atari_vlm.policies.experts.base import sample_plan

SHIP = 76
"""Palette index of the ship, and of one of its two shots."""


def fly(seed, decisions, expert=True, sticky=0.25):
    """(emulator, memory before, memory now, advice, reward so far), before each decision."""
    emulator = Emulator(get_game("asteroids"), repeat_action_probability=sticky)
    emulator.reset(seed=seed)
    rng, before, score = np.random.default_rng(seed), None, 0.0
    for _ in range(decisions):
        if emulator.terminated:
            return
        now = emulator.ram.copy()
        advice = ASTEROIDS.advise(before, now, FRAME_SKIP)
        yield emulator, before, now, advice, score
        if expert:
            action, frames = sample_plan(advice, rng)
        else:
            action, frames = str(rng.choice(emulator.legal)), FRAME_SKIP
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = now


def test_rocks_and_targets_match_the_screen():
    seen = wrong = targets = 0
    for emulator, before, now, advice, _ in fly(seed=1, decisions=250):
        screen = emulator.screen()
        for rock in rocks(before, now):
            x, y = round(rock.x), round(rock.y)
            if 20 < y < 190 and 3 < x < 156:
                seen += 1
                wrong += not screen[y - 1 : y + 2, x - 1 : x + 2].any()
        if " target " in advice.description and "no target" not in advice.description:
            x, y = (int(word) for word in advice.description.split()[-2:])
            targets += 20 < y < 190 and screen[y - 1 : y + 2, max(0, x - 1) : x + 2].any()
    assert seen > 500
    assert wrong <= 0.01 * seen
    assert targets > 20


def test_the_ship_is_described_when_it_is_on_the_screen():
    missing = wrong = 0
    for emulator, before, _, advice, _ in fly(seed=5, decisions=300, expert=False):
        drawn = (emulator.screen() == SHIP).sum() > 8  # a shot of that colour has 2 pixels
        missing += not drawn
        wrong += before is not None and drawn == (advice.description == "no ship")
    assert missing > 5
    assert wrong == 0


def test_every_heading_looks_different():
    pictures = {}
    for emulator, _, now, advice, _ in fly(seed=0, decisions=20, sticky=0.0):
        assert advice.description.split()[1].rstrip(",") == NOSES[now[60] & 15]
        x, y = round(left_pixel(int(now[73]))), 2 * int(now[74]) + 18
        pictures[int(now[60]) & 15] = emulator.screen()[y : y + 10, x : x + 9].tobytes()
    assert len(pictures) == 16
    assert len(set(pictures.values())) == 16


def test_shots_fly_where_the_ship_points():
    assert shot(0) == (0, -16)
    assert shot(4) == (-8, 0)
    assert shot(8) == (0, 16)
    assert shot(12) == (8, 0)
    for heading in range(16):
        assert shot(heading) == tuple(-way for way in shot((heading + 8) % 16))


def test_shots_often_hit_their_target():
    shots, start = 0, None
    for _, _, _, advice, score in fly(seed=3, decisions=500):
        shots += next(iter(advice.plans))[0] == "LEFTFIRE"
        start = score
    assert shots > 15
    assert start / shots >= 4  # points a shot


def test_every_sentence_fits_the_grammar_and_every_plan_is_legal():
    words = {kind: "|".join(word.strip() for word in some) for kind, some in kinds(SCHEMA).items()}
    fitting = [
        re.compile(re.sub(r"\{\w+:(\w+)\}", lambda match: f"(?:{words[match[1]]})", answer))
        for answer in SCHEMA.answers
    ]
    every, seen = set(plans(SCHEMA)), set()
    for emulator, _, _, advice, _ in fly(seed=5, decisions=300, expert=False):
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert all(action in emulator.legal for action, _ in advice.plans)
        answer = f"{advice.description}: {plan_words(*next(iter(advice.plans)))}"
        found = {number for number, one in enumerate(fitting) if one.fullmatch(answer)}
        assert found, answer
        seen |= found
    assert seen == {0, 1, 2}


def test_it_scores_far_more_than_random_actions_and_lives_longer():
    *_, (expert, _, _, _, score) = fly(seed=7, decisions=1_000)
    *_, (_, _, _, _, chance) = fly(seed=7, decisions=1_000, expert=False)
    assert score >= 1_500
    assert score >= 1.5 * chance
    assert expert.lives >= 1


def test_a_perturbed_game_continues():
    emulator, rng, before = Emulator(get_game("asteroids")), np.random.default_rng(0), None
    emulator.reset(seed=0)
    headings, score = set(), 0.0
    for number in range(300):
        now = emulator.ram.copy()
        if number % 10 == 9:
            changed = SCHEMA.perturb(now, rng)
            for byte, value in changed.items():
                emulator.set_ram(byte, value)
            headings.add(changed.get(60))
        action, frames = sample_plan(ASTEROIDS.advise(before, now, FRAME_SKIP), rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = now
        if emulator.terminated:
            break
    assert len(headings) > 8
    assert number > 100
    assert score > 0
