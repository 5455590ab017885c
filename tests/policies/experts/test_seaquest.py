"""The Seaquest expert: it describes the screen, saves divers in time, and scores thousands."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.seaquest import SEAQUEST as SCHEMA
from atari_vlm.learning.distill.answer_schemas.table import kinds
from atari_vlm.policies.experts.seaquest import SEAQUEST
from tests.policies.experts.expert_play import places, watch

YELLOW, DIVER, WATER, AIR = 24, 134, 144, 12
OXYGEN, ABOARD, SINKING, PATROL = 102, 62, 105, 118


play = partial(watch, SEAQUEST, SCHEMA)


def box(screen, x, y, reach=4):
    return screen[y - 8 : y + 9, max(8, x - reach) : x + reach + 1]


def share(found):
    return sum(found) / len(found)


def test_player_air_divers_and_enemies_match_the_screen():
    players, bars, divers, enemies, threats = [], [], [], [], []
    for emulator, now, advice, _ in play(seed=1, decisions=1_200):
        if now[SINKING] or emulator.frame < 160:
            continue
        said, screen = places(advice), emulator.screen(pooled=False)
        x, y = said["player"]
        if y > 60:
            own = np.flatnonzero((screen[y - 5 : y + 6, x - 8 : x + 8] == YELLOW).any(axis=0))
            players.append(len(own) >= 14)
        bar = np.flatnonzero(screen[172] == AIR)
        bars.append(abs((bar.max() if len(bar) else 48) - said["oxygen"][0]) <= 1)
        if "diver" in said and 14 < said["diver"][0] < 150:
            divers.append((box(screen, *said["diver"]) == DIVER).any())
        if "enemy" in said and 14 < said["enemy"][0] < 150:
            enemies.append((box(screen, *said["enemy"]) != WATER).sum() >= 10)
        if "threat" in said and 14 < said["threat"][0] < 150:
            threats.append((box(screen, *said["threat"], 6) != WATER).sum() >= 8)
    for found in (players, bars, divers, enemies, threats):
        assert len(found) > 40
        assert share(found) > 0.95


def test_it_surfaces_with_six_divers_or_when_air_is_low_but_not_without_any():
    *_, (_, now, _, _) = play(seed=2, decisions=60)
    now = now.copy()
    now[97], now[PATROL] = 60, 0
    now[30:34] = now[40:44] = now[71:75] = 0
    for air, aboard, up in ((60, 6, True), (15, 1, True), (15, 0, False), (60, 5, False)):
        now[OXYGEN], now[ABOARD] = air, aboard
        advice = SEAQUEST.advise(None, now, FRAME_SKIP)
        assert (places(advice)["aim"] == [51]) == up
        assert (next(iter(advice.plans))[0] == "UP") == up


def test_it_waits_below_while_the_patrol_comes():
    *_, (_, now, _, _) = play(seed=2, decisions=60)
    now = now.copy()
    now[70], now[97], now[OXYGEN], now[ABOARD] = 60, 60, 40, 6
    now[30:34] = now[40:44] = now[71:75] = 0
    for patrol, up in ((100, False), (20, True), (0, True)):
        now[PATROL] = patrol
        assert (places(SEAQUEST.advise(None, now, FRAME_SKIP))["aim"] == [51]) == up


def test_every_sentence_fits_the_grammar_and_every_plan_is_legal():
    words = {kind: "|".join(word.strip() for word in some) for kind, some in kinds(SCHEMA).items()}
    fitting = [
        re.compile(re.sub(r" ?\{\w+:(\w+)\}", lambda m: f" (?:{words[m[1]]})", " " + answer))
        for answer in SCHEMA.answers
    ]
    every, seen, actions = set(plans(SCHEMA)), set(), set()
    for emulator, _, advice, _ in play(seed=3, decisions=800):
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        actions |= {action for action, _ in advice.plans}
        assert actions <= set(emulator.legal)
        answer = f" {advice.description}: {plan_words(*next(iter(advice.plans)))}"
        fits = [number for number, one in enumerate(fitting) if one.fullmatch(answer)]
        assert len(fits) == 1, answer
        seen |= set(fits)
    assert seen >= {0, 1, 2, 3, 5}  # a missile without any enemy is rare
    assert len(actions) >= 9


def test_it_scores_thousands_and_random_plans_do_not():
    expert = [list(play(seed, 2_000))[-1][-1] for seed in (4, 5)]
    chance = [list(play(seed, 1_000, random=True))[-1][-1] for seed in (4, 5)]
    assert np.mean(expert) >= 2_500
    assert np.mean(chance) <= 400


def test_a_perturbed_game_continues():
    rng, poked = np.random.default_rng(0), set()
    for emulator, now, _, _ in play(seed=6, decisions=600):
        if rng.random() < 0.05 and not emulator.terminated:
            for byte, value in SCHEMA.perturb(now, rng).items():
                emulator.set_ram(byte, value)
                poked.add(byte)
    assert poked == {62, 70, 97, 102}
    assert emulator.frame > 300 * FRAME_SKIP
