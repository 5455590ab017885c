"""The Private Eye expert: it describes the screen, and it solves the case."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.private_eye import PRIVATE_EYE as SCHEMA
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.private_eye import PRIVATE_EYE
from tests.policies.experts import expert_play
from tests.policies.experts.expert_play import FRAME_SKIP, sentences

BLACK, SKIN, WINDOW = 0, 74, 130
"""Palette indices of the car, of the detective's face and of an empty window."""


SENTENCES = tuple(sentences(SCHEMA))


play = partial(expert_play.play, PRIVATE_EYE, SCHEMA, last=True)


@pytest.fixture(scope="module")
def episode():
    """One whole game: (screen, description) of every decision, and the rewards."""
    seen, rewards = [], []
    for emulator, advice, earned in play(1, 2_700):
        rewards.append(earned)
        if advice is not None:
            seen.append((emulator.screen(pooled=False).copy(), advice.description))
    return seen, rewards, emulator.terminated


def value(words, name):
    found = re.search(rf"{name} (\d+)", words)
    return int(found[1]) if found else None


def test_the_case_is_solved(episode):
    seen, rewards, over = episode
    assert over
    assert len(seen) < 2_400  # before the clock ran out
    assert sum(rewards) > 90_000
    assert [reward for reward in rewards if reward >= 5_000] == [
        *(15_000, 20_000),  # the money found, and returned to the bank
        *(5_000, 10_000),  # the gun found, and shown in the shop
        *(25_000, 25_000),  # the thief caught, and jailed
    ]


def test_car_suspect_and_hazard_match_the_screen(episode):
    car, suspect, hazard = [], [], []
    for screen, words in episode[0][::3]:
        x = value(words, "car")
        if 12 < x < 145 and "enter" not in words:
            near = screen[120:182, x - 9 : x + 10]
            car.append((near == BLACK).sum() > 25 or (near == 14).sum() > 25)  # white when hit
        if (x := value(words, "suspect")) is not None:
            window = screen[52:68, x - 3 : x + 4]
            suspect.append((window != WINDOW).sum() > 8)
        if (x := value(words, "hazard")) is not None and 16 < x < 150:
            rows = screen[150:180, x - 4 : x + 5]
            hazard.append(any(len(np.unique(row)) > 1 for row in rows))
    assert min(len(car), len(suspect), len(hazard)) > 60
    assert np.mean(car) > 0.97
    assert np.mean(suspect) > 0.97
    assert np.mean(hazard) > 0.97


def test_a_place_and_a_stage_always_look_alike(episode):
    """The upper walls of a place and the carried item in the corner decide the description."""
    walls, corners = {}, {}
    for screen, words in episode[0]:
        place, stage = value(words, "place"), words.split("stage ")[1].split(",")[0]
        walls.setdefault(place, []).append(screen[34, 60:100].tobytes())
        corners.setdefault(stage, []).append(screen[36:48, 128:150])
    assert len(walls) > 25
    empty = [np.unique(corner).size for corner in corners["new"]]
    assert max(empty) == 1  # plain sky or wall
    for stage in ("money", "gun", "thief"):
        assert np.mean([np.unique(corner).size > 1 for corner in corners[stage]]) > 0.9


def test_every_sentence_and_plan_is_in_the_grammar_even_when_play_is_disturbed():
    known = plans(SCHEMA)
    for emulator, advice, _ in play(2, 700, noise=0.3):
        if advice is None:
            break
        assert any(sentence.fullmatch(advice.description) for sentence in SENTENCES), (
            advice.description
        )
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert all(plan in known and plan[0] in emulator.legal for plan in advice.plans)
        assert 0.5 <= advice.weight <= 3


def test_a_disturbed_expert_still_brings_the_money_back():
    assert sum(earned for _, _, earned in play(3, 1_300, noise=0.1)) > 25_000


def test_a_perturbed_game_shows_other_places_and_stages_and_continues():
    emulator, rng = Emulator(get_game("private_eye")), np.random.default_rng(0)
    emulator.reset(seed=0)
    places, stages = set(), set()
    for step in range(600):
        if emulator.terminated:  # the thief was put before the police station
            emulator.reset(seed=step)
        memory = emulator.ram.copy()
        words = PRIVATE_EYE.advise(None, memory, FRAME_SKIP).description
        places.add(value(words, "place"))
        stages.add(words.split("stage ")[1].split(",")[0])
        action, frames = sample_plan(PRIVATE_EYE.advise(None, memory, FRAME_SKIP), rng)
        emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        if step % 4 == 0 and not emulator.terminated:
            for byte, number in SCHEMA.perturb(emulator.ram, rng).items():
                emulator.set_ram(byte, number)
            emulator.play(0, FRAME_SKIP, FRAME_SKIP)
    assert len(places) > 20
    assert stages == set(SCHEMA.kinds["stage"])
