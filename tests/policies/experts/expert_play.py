"""Helpers of the expert tests: episodes of an expert, and the sentences of its grammar."""

from __future__ import annotations

import re

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.policies.experts.base import sample_plan

FRAME_SKIP = 4
WORDS = {"x": r"\d+", "y": r"\d+", "across": r"straight|(?:left|right) \d+"}


def sentences(schema):
    """The grammar's sentences without their plans, as regular expressions."""
    words = WORDS | {kind: "|".join(known) for kind, known in schema.kinds.items()}
    for answer in schema.answers[:-1]:
        pattern = answer.removesuffix(": {plan:plan}")
        yield re.compile(re.sub(r"\{\w+:(\w+)\}", lambda slot: f"({words[slot[1]]})", pattern))


def play(expert, schema, seed, decisions, noise=0.0, last=False):
    """A game played by an expert: (emulator, advice, reward of the last decision).

    With `last`, one more triple without advice follows the last decision.
    """
    emulator, rng = Emulator(get_game(expert.game)), np.random.default_rng(seed)
    emulator.reset(seed=seed)
    before, earned = None, 0.0
    while not emulator.terminated and decisions:
        memory = emulator.ram.copy()
        advice = expert.advise(before, memory, FRAME_SKIP)
        yield emulator, advice, earned
        action, frames = sample_plan(advice, rng)
        if rng.random() < noise:
            action = schema.actions[int(rng.integers(len(schema.actions)))]
        earned = emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before, decisions = memory, decisions - 1
    if last:
        yield emulator, None, earned


def watch(expert, schema, seed, decisions, random=False):
    """(emulator, memory now, advice, score so far) before each decision of one episode."""
    emulator = Emulator(get_game(expert.game))
    emulator.reset(seed=seed)
    rng, before, score, every = np.random.default_rng(seed), None, 0.0, plans(schema)
    for _ in range(decisions):
        now = emulator.ram.copy()
        advice = expert.advise(before, now, FRAME_SKIP)
        yield emulator, now, advice, score
        if emulator.terminated:
            return
        action, frames = every[rng.integers(len(every))] if random else sample_plan(advice, rng)
        score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
        before = now


def places(advice):
    """Name of an object -> the numbers of its clause."""
    clauses = (clause.split() for clause in advice.description.split(", "))
    return {name: [int(word) for word in rest] for name, *rest in clauses if name != "no"}
