"""The Enduro expert: it describes the screen at every hour, and it overtakes many cars."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.enduro import ENDURO as SCHEMA
from atari_vlm.learning.distill.answer_schemas.table import kinds
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.enduro import ENDURO, cars, racer_x, racer_y, road

CLOCK = 49
NOON, SNOW, DUSK, NIGHT, FOG = 255, 243, 235, 226, 205


def drive(seed, decisions, hour=None, expert=True):
    """(emulator, memory before, memory now, advice, reward so far), before each decision."""
    emulator = Emulator(get_game("enduro"))
    emulator.reset(seed=seed)
    rng, before, score = np.random.default_rng(seed), None, 0.0
    every = plans(SCHEMA)
    for number in range(decisions):
        if hour is not None and number == 40:
            emulator.set_ram(CLOCK, hour)
        now = emulator.ram.copy()
        advice = ENDURO.advise(before, now, FRAME_SKIP)
        yield emulator, before, now, advice, score
        action, frames = sample_plan(advice, rng) if expert else every[rng.integers(len(every))]
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = now


@pytest.mark.parametrize("hour", [NOON, SNOW, DUSK, NIGHT, FOG])
def test_cars_match_the_screen(hour):
    right = wrong = 0
    for emulator, before, now, _, _ in drive(seed=hour, decisions=150, hour=hour):
        if emulator.frame < 50 * FRAME_SKIP:
            continue
        colours = [int(colour) & 254 for colour in now[27:34] if colour]
        for car in cars(before, now)[:2]:
            reach = 9 if car.y > 110 else 6 if car.y > 80 else 4
            x = int(car.x)
            box = emulator.screen()[car.y - 1 : min(155, car.y + 13), max(8, x - reach) : x + reach]
            if np.isin(box, colours).any():
                right += 1
            else:
                wrong += 1
    assert right > 20
    assert wrong <= 0.06 * right


def test_fog_hides_distant_cars():
    named = [
        car.y
        for emulator, before, now, _, _ in drive(seed=5, decisions=150, hour=FOG)
        if emulator.frame > 50 * FRAME_SKIP
        for car in cars(before, now)
    ]
    assert named
    assert min(named) >= 100


def test_its_own_car_and_the_road_match_the_screen():
    for emulator, _, now, advice, _ in drive(seed=1, decisions=120):
        x, y = (int(word) for word in advice.description.split(",")[0].split()[1:])
        assert abs(x - racer_x(now)) <= 1
        assert y == racer_y(now)
        screen = emulator.screen()
        own = np.flatnonzero((screen[y + 3 : y + 10] == 10).sum(axis=0) >= 2)
        own = own[abs(own - x) < 14]
        if emulator.frame > 80:
            assert abs((own.min() + own.max()) / 2 - x) <= 3
        edges = np.flatnonzero(screen[128, 8:] != screen[128, 8]) + 8
        if not now[27:34].any() and len(edges) and y > 132:
            assert abs((edges.min() + edges.max()) / 2 - road(now, 128)) <= 4


def test_every_sentence_fits_the_grammar_and_every_plan_is_legal():
    words = {kind: "|".join(word.strip() for word in some) for kind, some in kinds(SCHEMA).items()}
    fitting = [
        re.compile(re.sub(r"\{\w+:(\w+)\}", lambda match: f"(?:{words[match[1]]})", answer))
        for answer in SCHEMA.answers
    ]
    every, seen = set(plans(SCHEMA)), set()
    for emulator, _, _, advice, _ in drive(seed=2, decisions=300):
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert all(action in emulator.legal for action, _ in advice.plans)
        best = max(advice.plans, key=lambda plan: advice.plans[plan])
        answer = f"{advice.description}: {plan_words(*best)}"
        seen |= {number for number, one in enumerate(fitting) if one.fullmatch(answer)}
        assert any(one.fullmatch(answer) for one in fitting), answer
    assert {0, 1, 2} <= seen


def test_it_overtakes_and_random_plans_do_not():
    *_, (_, _, _, _, score) = drive(seed=3, decisions=900)
    *_, (_, _, _, _, chance) = drive(seed=3, decisions=500, expert=False)
    assert score >= 40
    assert chance <= 10


def test_a_perturbed_game_continues():
    emulator = Emulator(get_game("enduro"))
    rng, hours = np.random.default_rng(0), set()
    emulator.reset(seed=0)
    before = None
    for number in range(300):
        now = emulator.ram.copy()
        if number % 10 == 9:
            for byte, value in SCHEMA.perturb(now, rng).items():
                emulator.set_ram(byte, value)
        action, frames = sample_plan(ENDURO.advise(before, now, FRAME_SKIP), rng)
        emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = now
        hours.add(int(emulator.screen()[80, 12]))
    assert not emulator.terminated
    assert len(hours) >= 4  # colours of the ground
