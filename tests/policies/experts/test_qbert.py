"""The Q*bert expert: it describes the screen, and it paints the pyramid."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.qbert import QBERT as SCHEMA
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.qbert import COLOURS, HOPS, QBERT

FRAME_SKIP = 4
ORANGE, PURPLE = 52, 102
"""Palette indices of Q*bert and of his enemies."""
SENTENCE = re.compile(
    r"qbert (\d+) (\d+), (no enemy|enemy (\d+) (\d+) (?:snake|ball)), aim (\d+) (\d+)"
)
SHORT = re.compile(r"no qbert|qbert (\d+) (\d+) busy")


def play(seed, decisions, noise=0.0):
    """Episodes of the expert: (emulator, advice, reward of the last decision)."""
    emulator, rng, earned = Emulator(get_game("qbert")), np.random.default_rng(seed), 0.0
    emulator.reset(seed=seed)
    for _ in range(decisions):
        if emulator.terminated:
            emulator.reset(seed=seed + 1)
        advice = QBERT.advise(None, emulator.ram, FRAME_SKIP)
        yield emulator, advice, earned
        if not emulator.terminated:
            action, frames = sample_plan(advice, rng)
            if rng.random() < noise:
                action = emulator.legal[int(rng.integers(len(emulator.legal)))]
            earned = emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)


def test_objects_match_the_screen():
    his, theirs = [], []
    for emulator, advice, _ in play(1, 500, noise=0.05):
        match = SENTENCE.fullmatch(advice.description)
        if not match:
            continue
        screen = emulator.screen()
        x, y = int(match[1]), int(match[2])
        his.append((screen[max(0, y - 9) : y + 10, x - 4 : x + 6] == ORANGE).sum() >= 20)
        if match[4]:
            x, y = int(match[4]), int(match[5])
            theirs.append((screen[y - 2 : y + 3, x - 3 : x + 4] == PURPLE).sum() >= 8)
    assert len(his) > 50
    assert len(theirs) > 25
    assert np.mean(his) > 0.97
    assert np.mean(theirs) > 0.97


def test_colours_match_the_screen():
    agree = []
    for emulator, advice, _ in play(2, 300):
        if "aim" in advice.description:
            screen, memory = emulator.screen(pooled=False), emulator.ram
            for (row, column), byte in COLOURS.items():
                x = 18 + 12 * column + 4 * (column > 5)
                agree.append(screen[round(36 + 28.8 * row), x] == memory[byte])
    assert len(agree) > 1_000
    assert np.mean(agree) > 0.95  # feet and sprites hide some


def test_it_stays_on_the_pyramid_and_aims_at_cubes_or_discs():
    hops = 0
    for emulator, advice, _ in play(3, 400, noise=0.05):
        memory = emulator.ram
        ((action, _),) = advice.plans
        if action in HOPS:
            row, column = (int(memory[67]) - 25) // 28, int(memory[35])
            there = (row + HOPS[action][0], column + HOPS[action][1])
            assert there in COLOURS or advice.description.endswith((" 16 138", " 144 138"))
            hops += 1
    assert hops > 30


def test_advice_fits_the_grammar_and_its_plans_are_legal():
    every = set(plans(SCHEMA))
    for emulator, advice, _ in play(4, 300, noise=0.1):
        match = SENTENCE.fullmatch(advice.description) or SHORT.fullmatch(advice.description)
        assert match, advice.description
        assert all(int(number) < 210 for number in re.findall(r"\d+", advice.description))
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert advice.weight > 0
        assert set(SCHEMA.actions) <= set(emulator.legal)


def test_any_memory_gets_advice():
    rng = np.random.default_rng(5)
    for _ in range(300):
        advice = QBERT.advise(None, rng.integers(0, 256, 128, dtype=np.uint8), FRAME_SKIP)
        assert SENTENCE.fullmatch(advice.description) or SHORT.fullmatch(advice.description)
        assert all(int(number) < 210 for number in re.findall(r"\d+", advice.description))


def test_it_finishes_rounds_and_scores_far_above_random_play():
    score = sum(earned for _, _, earned in play(6, 700))
    assert score >= 3_000  # random play earns about 160 in a whole game


def test_a_perturbed_game_continues():
    emulator, rng = Emulator(get_game("qbert")), np.random.default_rng(8)
    emulator.reset(seed=8)
    score, rounds, scattered = 0.0, set(), 0
    for decision in range(800):
        if emulator.terminated:
            emulator.reset(seed=decision)
        action, frames = sample_plan(QBERT.advise(None, emulator.ram, FRAME_SKIP), rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        rounds.add(int(emulator.ram[99]))
        pokes = SCHEMA.perturb(emulator.ram, rng) if rng.random() < 0.2 else {}
        for byte, value in pokes.items():
            assert 0 <= byte < 128
            assert 0 <= value < 256
            emulator.set_ram(byte, value)
        scattered += bool(pokes)
    assert scattered > 5
    assert len(rounds) >= 4
    assert score > 1_000
