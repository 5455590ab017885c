"""The Pitfall! expert: it describes the screen, and it brings Harry to the treasures."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.pitfall import PITFALL as SCHEMA
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.pitfall import PITFALL
from tests.policies.experts import expert_play
from tests.policies.experts.expert_play import FRAME_SKIP, sentences

SHIRT, TROUSERS, ROAD, BLACK = 200, 210, 24, 0


SENTENCES = tuple(sentences(SCHEMA))


play = partial(expert_play.play, PITFALL, SCHEMA, last=True)


@pytest.fixture(scope="module")
def stretch():
    """The way to the first treasure: (screen, description) of every decision, and the rewards."""
    seen, rewards = [], []
    for emulator, advice, earned in play(1, 1_000):
        rewards.append(earned)
        if advice is not None:
            seen.append((emulator.screen(pooled=False).copy(), advice.description))
    return seen, rewards, emulator.lives


def value(words, name):
    return re.search(rf"{name} (\w+)", words)[1]


def test_the_first_treasure_is_reached_without_losing_a_life(stretch):
    _, rewards, lives = stretch
    assert lives == 3
    assert max(rewards) == 4_000
    assert sum(rewards) > 3_700


def test_harry_matches_the_screen(stretch):
    drawn = []
    for screen, words in stretch[0]:
        x, y = map(int, re.search(r"harry (\d+) (\d+)", words).groups())
        if 12 < x < 154:
            near = screen[y - 14 : y + 14, x - 7 : x + 8]
            drawn.append((near == SHIRT).sum() >= 8 and (near == TROUSERS).sum() >= 4)
    assert len(drawn) > 500
    assert np.mean(drawn) > 0.95


def test_the_ground_matches_the_screen(stretch):
    found = set()
    for screen, words in stretch[0]:
        ground = value(words, "ground")
        road = screen[126:134, 8:160]
        if ground in ("hole", "holes", "pit"):
            assert (road == BLACK).any() or (road != road[0, 0]).sum() > 20, words
        found.add(ground)
    assert found == set(SCHEMA.kinds["ground"])


def test_the_vine_matches_the_screen(stretch):
    scenes, near, scene, x = {}, [], 0, 0
    for screen, words in stretch[0]:
        x, last = int(value(words, "harry")), x
        scene += x < last - 100
        if "no vine" not in words and " 114, " in words:  # Harry is below the rows looked at
            scenes.setdefault(scene, []).append((screen[84:103], words))
    for shown in scenes.values():
        still = np.median([band for band, _ in shown], axis=0)
        for band, words in shown:
            x = int(value(words, "vine"))
            moved = np.flatnonzero((band != still).any(axis=0))
            moved = moved[moved > 12]
            near.append(len(moved) > 0 and int(abs(moved - x).min()) <= 4)
    assert len(near) > 20
    assert np.mean(near) > 0.85


def test_every_sentence_and_plan_is_in_the_grammar_even_when_play_is_disturbed():
    known = plans(SCHEMA)
    for emulator, advice, _ in play(2, 900, noise=0.3):
        if advice is None:
            break
        assert any(sentence.fullmatch(advice.description) for sentence in SENTENCES), (
            advice.description
        )
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert all(plan in known and plan[0] in emulator.legal for plan in advice.plans)


def test_harry_climbs_out_of_a_hole():
    emulator, before, deepest = Emulator(get_game("pitfall")), None, 0
    emulator.reset(seed=0)
    for _ in range(40):  # straight into the first hole
        emulator.play(emulator.legal.index("RIGHT"), FRAME_SKIP, FRAME_SKIP)
    for _ in range(200):
        memory = emulator.ram.copy()
        deepest = max(deepest, int(memory[105]))
        (action, frames), *_ = PITFALL.advise(before, memory, FRAME_SKIP).plans
        emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory
    assert deepest > 80
    assert emulator.ram[105] <= 32
    assert emulator.ram[1] != 196  # on in another scene


def test_a_perturbed_game_shows_other_scenes_and_continues():
    emulator, rng, before = Emulator(get_game("pitfall")), np.random.default_rng(0), None
    emulator.reset(seed=0)
    scenes = set()
    for step in range(400):
        if emulator.terminated:
            emulator.reset(seed=step)
        memory = emulator.ram.copy()
        scenes.add(int(memory[1]))
        action, frames = sample_plan(PITFALL.advise(before, memory, FRAME_SKIP), rng)
        emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory
        if step % 5 == 0 and not emulator.terminated:
            moved = SCHEMA.perturb(emulator.ram, rng)
            for byte, number in moved.items():
                emulator.set_ram(byte, number)
            if moved:
                emulator.play(0, FRAME_SKIP, FRAME_SKIP)
                before = None
                if 1 in moved:
                    assert emulator.ram[1] != memory[1]
                    assert emulator.ram[97] < 20
    assert len(scenes) > 10
