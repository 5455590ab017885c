"""The Ms. Pacman expert: its mazes match the screen, and it scores far above random play."""

from __future__ import annotations

import re

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.ms_pacman import MS_PACMAN as SCHEMA
from atari_vlm.policies.experts.base import sample_plan
from atari_vlm.policies.experts.ms_pacman import MS_PACMAN, PILLS, ghosts
from atari_vlm.policies.experts.ms_pacman_mazes import COLUMNS, ROWS, block, column_x, dot, maze

FRAME_SKIP = 4
FLOOR, AFRAID = 144, 150
COLOURS = (74, 138, 8, 214)
"""Palette index of the walls and dots of each maze."""
ROOF = ((4, 8), (4, 9))
"""Cells above the ghosts' house, whose walls are thin."""


def begin(seed=0):
    emulator = Emulator(get_game("ms_pacman"))
    emulator.reset(seed=seed)
    return emulator


def step(emulator, rng):
    memory = emulator.ram.copy()
    advice = MS_PACMAN.advise(None, memory, FRAME_SKIP)
    action, frames = sample_plan(advice, rng)
    return memory, advice, emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)


def at_maze(number):
    """An emulator early in one maze, reached by finishing the level before."""
    emulator, rng = begin(), np.random.default_rng(number)
    for _ in range(75):
        emulator.play(0, FRAME_SKIP, FRAME_SKIP)
    if number:
        emulator.set_ram(123, (2 * number - 1) << 4 | 2)
        emulator.set_ram(119, 153)
    for _ in range(100):
        if emulator.ram[0] == number and 1 < emulator.ram[119] < 100:
            break
        step(emulator, rng)
    assert emulator.ram[0] == number
    return emulator


@pytest.mark.parametrize("number", range(4))
def test_walls_and_dots_are_those_on_the_screen(number):
    emulator, colour = at_maze(number), COLOURS[number]
    eaten = int(emulator.ram[119])
    screens = np.array([_next(emulator) for _ in range(12)])
    level, memory = maze(number), emulator.ram
    assert len(level.steps) == {0: 154, 1: 150, 2: 158, 3: 154}[number]
    wrong = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            left, top, cell = 4 * block(column), 2 + 12 * row, (row, column)
            if cell not in level.steps:
                continue
            assert not _is_wall(screens, top, left, colour)
            shown = (screens[:, top + 5, left + 1] == colour).any()
            byte, bit = dot(cell)
            there = memory[117] >> PILLS[cell] & 1 if cell in PILLS else memory[byte] >> bit & 1
            wrong += bool(shown) != bool(there)
            beside = _is_wall(screens, top, left + 4, colour) or _is_wall(
                screens, top, left + 8, colour
            )
            if column not in (8, 17):
                assert ("right" in level.steps[cell]) == (not beside), cell
            if row < ROWS - 1 and cell not in ROOF:
                below = _is_wall(screens, top + 12, left, colour)
                assert ("down" in level.steps[cell]) == (not below), cell
    assert wrong <= int(memory[119]) - eaten


def _is_wall(screens, top, left, colour):
    """Whether a block is filled; a dot or a pill leaves its edges free."""
    edges = screens[:, top + 1, left + 1], screens[:, top + 10, left + 1]
    return all((edge == colour).all() for edge in edges)


def _next(emulator):
    emulator.play(0, FRAME_SKIP, FRAME_SKIP)
    return emulator.screen(pooled=False)


def test_objects_match_the_screen():
    emulator, rng = begin(3), np.random.default_rng(3)
    for _ in range(70):
        emulator.play(0, FRAME_SKIP, FRAME_SKIP)
    her, other, scared, named = [], [], [], 0
    for _ in range(500):
        earlier = emulator.screen()
        memory, advice, _ = step(emulator, rng)
        if emulator.terminated or memory[0]:
            break
        numbers = [int(word) for word in re.findall(r"\d+", advice.description)]
        now = _box(earlier, *numbers[:2])
        her.append((now == 42).sum() >= 10)
        if "home" not in advice.description:
            named += 1
            box = _box(earlier, *numbers[2:4])
            drawn = ~np.isin(box, (FLOOR, 0, COLOURS[0]))
            other.append(drawn.sum() >= 12)
            if "afraid" in advice.description and drawn.sum() >= 12 and "aim" in advice.description:
                scared.append(np.isin(box, (AFRAID, 12)).any())
    assert np.mean(her) > 0.95
    assert named > 300
    assert np.mean(other) > 0.8  # ghosts flicker: a raw screen leaves some out
    assert np.mean(scared) > 0.9


def _box(screen, x, y):
    return screen[max(0, y - 5) : y + 6, max(0, x - 4) : x + 5]


def test_advice_fits_the_grammar_and_its_plans_are_legal():
    emulator, rng = begin(4), np.random.default_rng(4)
    way, mood = ("|".join(SCHEMA.kinds[kind]) for kind in ("way", "mood"))
    sentence = re.compile(
        rf"pacman (\d+) (\d+) heading ({way}), ghost (\d+) (\d+) ({mood}), aim ({way})"
    )
    every = plans(SCHEMA)
    for _ in range(400):
        memory, advice, _ = step(emulator, rng)
        match = sentence.fullmatch(advice.description)
        assert match, advice.description
        assert all(int(match[i]) < 160 for i in (1, 4))
        assert all(int(match[i]) < 210 for i in (2, 5))
        assert sum(advice.plans.values()) == pytest.approx(1)
        assert set(advice.plans) <= set(every)
        assert len(ghosts(maze(int(memory[0])), memory)) == 4
        if emulator.terminated:
            emulator.reset()
    assert set(SCHEMA.actions) <= set(emulator.legal)


def test_it_scores_far_above_random_play():
    emulator, rng, score, decisions = begin(5), np.random.default_rng(5), 0.0, 0
    while not emulator.terminated and decisions < 1_500:
        score += step(emulator, rng)[2]
        decisions += 1
    assert score >= 2_000


def test_any_memory_gets_advice():
    rng = np.random.default_rng(6)
    for _ in range(300):
        advice = MS_PACMAN.advise(None, rng.integers(0, 256, 128, dtype=np.uint8), FRAME_SKIP)
        assert sum(advice.plans.values()) == pytest.approx(1)


def test_a_perturbed_game_continues():
    emulator, rng = begin(7), np.random.default_rng(7)
    score, seen, still, longest, last = 0.0, set(), 0, 0, None
    for _ in range(1_200):
        if emulator.terminated:
            emulator.reset()
        memory, _, reward = step(emulator, rng)
        score += reward
        seen.add(int(memory[0]))
        still = still + 1 if (memory[10], memory[16]) == last else 0
        longest, last = max(longest, still), (memory[10], memory[16])
        if rng.random() < 0.1 and not emulator.terminated:
            pokes = SCHEMA.perturb(emulator.ram, rng)
            assert all(0 <= byte < 128 and 0 <= value < 256 for byte, value in pokes.items())
            for byte, value in pokes.items():
                emulator.set_ram(byte, value)
    assert score > 1_000
    assert len(seen) >= 2  # levels end, and new mazes come
    assert longest < 120  # nothing hangs; between lives she waits 66 decisions


def test_objects_stop_at_columns():
    assert [column_x(column) for column in (0, 8, 9, 17)] == [18, 82, 94, 158]
