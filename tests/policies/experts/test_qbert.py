"""Q*bert's teacher: what it names is on the screen, what it plays paints the pyramid."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.subjects.base import plans
from atari_vlm.learning.distill.subjects.qbert import QBERT as SUBJECT
from atari_vlm.policies.experts.base import draw
from atari_vlm.policies.experts.qbert import COLOURS, HOPS, QBERT

LONGEST = 4
ORANGE, PURPLE = 52, 102
"""Palette indices of Q*bert and of what is after him."""
SENTENCE = re.compile(
    r"qbert (\d+) (\d+), (no enemy|enemy (\d+) (\d+) (?:snake|ball)), aim (\d+) (\d+)"
)
SHORT = re.compile(r"no qbert|qbert (\d+) (\d+) busy")


def play(seed, decisions, noise=0.0):
    """Episodes as the teacher plays them: (emulator, advice, what the last decision earned)."""
    emulator, rng, earned = Emulator(get_game("qbert")), np.random.default_rng(seed), 0.0
    emulator.reset(seed=seed)
    for _ in range(decisions):
        if emulator.over:
            emulator.reset(seed=seed + 1)
        advice = QBERT.advise(None, emulator.ram, LONGEST)
        yield emulator, advice, earned
        if not emulator.over:
            action, frames = draw(advice, rng)
            if rng.random() < noise:
                action = emulator.legal[int(rng.integers(len(emulator.legal)))]
            earned = emulator.play(emulator.legal.index(action), frames, LONGEST)


def test_what_it_names_is_drawn_there():
    his, theirs = [], []
    for emulator, advice, _ in play(1, 500, noise=0.05):
        match = SENTENCE.fullmatch(advice.words)
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


def test_the_colours_it_reads_are_those_of_the_cubes():
    agree = []
    for emulator, advice, _ in play(2, 300):
        if "aim" in advice.words:
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
            assert there in COLOURS or advice.words.endswith((" 16 138", " 144 138"))
            hops += 1
    assert hops > 30


def test_advice_fits_the_grammar_and_its_plans_are_legal():
    every = set(plans(SUBJECT))
    for emulator, advice, _ in play(4, 300, noise=0.1):
        match = SENTENCE.fullmatch(advice.words) or SHORT.fullmatch(advice.words)
        assert match, advice.words
        assert all(int(number) < 210 for number in re.findall(r"\d+", advice.words))
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= every
        assert advice.weight > 0
        assert set(SUBJECT.actions) <= set(emulator.legal)


def test_any_memory_gets_advice():
    rng = np.random.default_rng(5)
    for _ in range(300):
        advice = QBERT.advise(None, rng.integers(0, 256, 128, dtype=np.uint8), LONGEST)
        assert SENTENCE.fullmatch(advice.words) or SHORT.fullmatch(advice.words)
        assert all(int(number) < 210 for number in re.findall(r"\d+", advice.words))


def test_it_finishes_rounds_and_scores_far_above_random_play():
    score = sum(earned for _, _, earned in play(6, 700))
    assert score >= 3_000  # random play earns about 160 in a whole game


def test_scatter_leaves_a_game_that_goes_on():
    emulator, rng = Emulator(get_game("qbert")), np.random.default_rng(8)
    emulator.reset(seed=8)
    score, rounds, scattered = 0.0, set(), 0
    for decision in range(800):
        if emulator.over:
            emulator.reset(seed=decision)
        action, frames = draw(QBERT.advise(None, emulator.ram, LONGEST), rng)
        score += emulator.play(emulator.legal.index(action), frames, LONGEST)
        rounds.add(int(emulator.ram[99]))
        pokes = SUBJECT.scatter(emulator.ram, rng) if rng.random() < 0.2 else {}
        for byte, value in pokes.items():
            assert 0 <= byte < 128
            assert 0 <= value < 256
            emulator.set_ram(byte, value)
        scattered += bool(pokes)
    assert scattered > 5
    assert len(rounds) >= 4
    assert score > 1_000
