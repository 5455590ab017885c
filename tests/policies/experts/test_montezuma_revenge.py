"""The Montezuma's Revenge expert: it describes the screen, and it fetches key and jewels."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.montezuma_revenge import MONTEZUMA_REVENGE as SCHEMA
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.montezuma_revenge import (
    BEAMS,
    FIRST,
    MONTEZUMA_REVENGE,
    PIT,
    SPIDER,
)
from tests.policies.experts import expert_play
from tests.policies.experts.expert_play import FRAME_SKIP, sentences

RED, WHITE, GREEN = 70, 14, 200
"""Palette indices of Joe's coat, of the skull and of the spider."""


SENTENCES = tuple(sentences(SCHEMA))


play = partial(expert_play.play, MONTEZUMA_REVENGE, SCHEMA)


def drawn(screen, colour, x, y):
    """Whether a colour fills a good part of the surroundings of a pixel."""
    return (screen[max(0, y - 5) : y + 6, max(0, x - 3) : x + 4] == colour).sum() >= 12


def test_joe_and_the_beasts_match_the_screen():
    joe, beasts = [], []
    for emulator, advice, _ in play(1, 560):
        if "lost" in advice.description:
            continue
        screen = emulator.screen(pooled=False)
        x, y, *others = (int(number) for number in re.findall(r"\d+", advice.description))
        joe.append(drawn(screen, RED, x, y))
        for beast, colour, height in (("skull", WHITE, 174), ("spider", GREEN, 87)):
            if re.search(rf"{beast} \d", advice.description):
                beasts.append(drawn(screen, colour, others[0], height))
    assert len(joe) > 300
    assert len(beasts) > 100
    assert np.mean(joe) > 0.97
    assert np.mean(beasts) > 0.97


THINGS = (
    ("key there", (16, 102), True),
    ("key taken", (16, 102), False),
    ("key taken", (59, 34), True),
    ("key used", (59, 34), False),
    ("beams on", (141, 72), True),
    ("beams off", (141, 72), False),
    ("beams vanished", (141, 72), False),
    ("floor there", (66, 96), True),
    ("floor gone", (66, 96), False),
    ("floor new", (66, 96), True),
)
"""Words, the pixel of their object, and whether something is drawn there."""


def test_keys_beams_floors_and_jewels_match_the_screen():
    agree = {words: [] for words, _, _ in THINGS}
    jewels = []
    for emulator, advice, _ in play(2, 640):
        if "lost" in advice.description:
            continue
        screen = emulator.screen(pooled=False)
        for words, (x, y), there in THINGS:
            if words in advice.description:
                agree[words].append(screen[y - 3 : y + 4, x - 2 : x + 3].any() == there)
        if "jewel" in advice.description:
            x = 27 if "beams" in advice.description else 18
            jewels.append(
                screen[56:69, x - 3 : x + 4].any() == ("jewel there" in advice.description)
            )
    for words, found in agree.items():
        assert found, words
        assert np.mean(found) > 0.9, words  # Joe himself passes by
    assert np.mean(jewels) > 0.9


def test_advice_fits_the_grammar_and_its_plans_are_legal():
    every, used = set(plans(SCHEMA)), set()
    for emulator, advice, _ in play(3, 500, noise=0.01):
        found = [
            i for i, sentence in enumerate(SENTENCES) if sentence.fullmatch(advice.description)
        ]
        assert len(found) == 1, advice.description
        used.update(found)
        assert all(int(number) < 210 for number in re.findall(r"\d+", advice.description))
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert advice.weight > 0
        assert set(SCHEMA.actions) <= set(emulator.legal)
    assert len(used) >= 3


def test_any_memory_gets_advice():
    rng = np.random.default_rng(4)
    for _ in range(1_000):
        memory = rng.integers(0, 256, 128, dtype=np.uint8)
        memory[3] = (FIRST, BEAMS, SPIDER, PIT, 2)[int(rng.integers(5))]
        advice = MONTEZUMA_REVENGE.advise(None, memory, FRAME_SKIP)
        assert any(sentence.fullmatch(advice.description) for sentence in SENTENCES), (
            advice.description
        )
        assert sum(advice.plans.values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", [5, 6])
def test_it_takes_the_key_opens_the_door_and_takes_both_jewels(seed):
    rewards = [earned for _, _, earned in play(seed, 850) if earned]
    assert rewards == [100, 300, 1_000, 1_000]


def test_it_opens_the_door_in_spite_of_errors():
    assert sum(earned for _, _, earned in play(7, 600, noise=0.05)) >= 400


def test_a_perturbed_game_can_be_won():
    emulator, rng = Emulator(get_game("montezuma_revenge")), np.random.default_rng(8)
    emulator.reset(seed=8)
    score, before, rooms, scattered = 0.0, None, set(), 0
    for decision in range(1_200):
        if emulator.terminated:
            emulator.reset(seed=decision)
            before = None
        memory = emulator.ram.copy()
        rooms.add(int(memory[3]))
        action, frames = sample_plan(MONTEZUMA_REVENGE.advise(before, memory, FRAME_SKIP), rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = memory
        pokes = SCHEMA.perturb(emulator.ram, rng) if rng.random() < 0.05 else {}
        for byte, value in pokes.items():
            assert 0 <= byte < 128
            assert 0 <= value < 256
            emulator.set_ram(byte, value)
        scattered += bool(pokes)
    assert scattered > 30
    assert rooms >= {FIRST, BEAMS, SPIDER, PIT}
    assert score >= 1_000
