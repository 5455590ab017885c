"""The Space Invaders expert: it describes the screen, dodges, and clears most of a wave."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plan_words, plans
from atari_vlm.learning.distill.answer_schemas.space_invaders import SPACE_INVADERS as SCHEMA
from atari_vlm.learning.distill.answer_schemas.table import kinds
from atari_vlm.policies.experts.space_invaders import SPACE_INVADERS
from tests.policies.experts.expert_play import places, watch

PLAYING, GREEN, GREY, BLACK = 0, 196, 6, 0
BOMB_LEFT, BOMB_RIGHT, STATE = 83, 84, 42


play = partial(watch, SPACE_INVADERS, SCHEMA)


def share(found):
    return sum(found) / len(found)


def test_player_bombs_and_invaders_match_the_screen():
    players, bombs, targets = [], [], []
    for emulator, now, advice, _ in play(seed=1, decisions=700):
        if now[STATE] != PLAYING or emulator.frame < 200:
            continue
        said, screen = places(advice), emulator.screen()
        green = np.flatnonzero((screen[185:195] == GREEN).any(axis=0))
        players.append(abs((green.min() + green.max()) / 2 - said["player"][0]) <= 2)
        for x, y in (said[name] for name in ("bomb", "other") if name in said):
            bombs.append((screen[y - 10 : y + 6, x - 1 : x + 2] == GREY).any())
        if "target" in said:
            x, y = said["target"]
            targets.append((screen[y - 6 : y + 7, x - 5 : x + 5] != BLACK).sum() >= 12)
    assert share(players) > 0.97
    assert share(bombs) > 0.9
    assert share(targets) > 0.97
    assert min(len(players), len(bombs), len(targets)) > 200


def test_it_dodges_a_bomb_to_the_nearer_side():
    *_, (_, now, _, _) = play(seed=2, decisions=60)
    now = now.copy()
    now[28], now[82] = 80, 246
    now[81] = 80
    for offset, away in ((-2, "RIGHT"), (2, "LEFT")):
        now[BOMB_LEFT] = 80 + 4 + offset
        ((action, _),) = SPACE_INVADERS.advise(None, now, FRAME_SKIP).plans
        assert action.startswith(away)


def test_it_dodges_a_bomb_at_the_edge_in_the_only_direction():
    *_, (_, now, _, _) = play(seed=2, decisions=60)
    now = now.copy()
    now[81], now[82] = 80, 246
    for player, bomb, away in ((117, 117, "LEFT"), (35, 39, "RIGHT")):
        now[28], now[BOMB_LEFT] = player, bomb + 2
        ((action, _),) = SPACE_INVADERS.advise(None, now, FRAME_SKIP).plans
        assert action.startswith(away)


def test_it_fires_only_below_invaders():
    fired = [
        (places(advice), next(iter(advice.plans))[0].endswith("FIRE"), now)
        for _, now, advice, _ in play(seed=3, decisions=300)
    ]
    assert 0.1 < share([fire for _, fire, _ in fired]) < 0.95
    for said, fire, now in fired:
        columns = [int(now[26]) + 3 + 16 * c for c in range(6) if (now[18:24] >> c & 1).any()]
        if fire and sum(int(row).bit_count() for row in now[18:24]) > 18:
            assert min(abs(x - said["player"][0]) for x in columns) <= 8


def test_every_sentence_fits_the_grammar_and_every_plan_is_legal():
    words = {kind: "|".join(word.strip() for word in some) for kind, some in kinds(SCHEMA).items()}
    fitting = [
        re.compile(re.sub(r" ?\{\w+:(\w+)\}", lambda m: f" (?:{words[m[1]]})", " " + answer))
        for answer in SCHEMA.answers
    ]
    every, seen = set(plans(SCHEMA)), set()
    for emulator, _, advice, _ in play(seed=4, decisions=400):
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert all(action in emulator.legal for action, _ in advice.plans)
        answer = f" {advice.description}: {plan_words(*next(iter(advice.plans)))}"
        fits = [number for number, one in enumerate(fitting) if one.fullmatch(answer)]
        assert len(fits) == 1, answer
        seen |= set(fits)
    assert len(seen) >= 3


def test_it_scores_far_more_than_random_plans_do():
    scores = {
        random: [list(play(seed, 1_500, random))[-1][-1] for seed in (5, 6)]
        for random in (False, True)
    }
    assert np.mean(scores[False]) >= 500
    assert np.mean(scores[False]) >= 2.5 * np.mean(scores[True])


def test_a_perturbed_game_continues():
    rng, poked, frames = np.random.default_rng(0), set(), 0
    for emulator, now, _, _ in play(seed=7, decisions=500):
        if rng.random() < 0.05 and not emulator.terminated:
            for byte, value in SCHEMA.perturb(now, rng).items():
                emulator.set_ram(byte, value)
                poked.add(byte)
        frames = emulator.frame
    assert {17, 18, 28} <= poked
    assert frames > 200 * FRAME_SKIP
