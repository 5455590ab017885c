"""The history of an episode: nothing that is done per decision grows with it."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.models.scripted import ScriptedModel
from atari_vlm.policies.history import CHUNK, PICTURES, History
from atari_vlm.policies.recorded import Recorded
from atari_vlm.policies.registry import POLICIES, WRAPPERS, get_policy
from atari_vlm.policies.think.effort import effort_of
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.protocols import privileges_of
from atari_vlm.types import Decision, Frame, Observation, Plan, Step

LEGAL = ("NOOP", "FIRE", "RIGHT", "LEFT")
LONG = 20_000


def step(number, *, queue=(), memory="", pixels=True, ram=None):
    frames = (Frame(np.zeros((210, 160), np.uint8), 0, number),) if pixels else ()
    return Step(
        observation=Observation(
            game="breakout",
            frames=frames,
            legal=LEGAL,
            interval=4,
            step=number,
            score=number / 2,
            ram=ram,
        ),
        decision=Decision(
            "RIGHT",
            3,
            source="parsed",
            reason=f"ball at {number % 160} {number % 210}",
            memory=memory,
            queue=queue,
        ),
        reward=0.5,
    )


def shown(one):
    """What two equal steps have in common."""
    seen, decision = one.observation, one.decision
    return (
        (seen.game, seen.legal, seen.interval, seen.step, seen.score, len(seen.frames)),
        (decision.action, decision.frames, decision.reason, decision.memory, decision.queue),
        one.reward,
    )


def test_a_history_is_read_as_the_list_of_its_steps():
    history, plain = History(), []
    for number in range(3 * CHUNK + 17):
        made = step(number, memory=f"m{number}", queue=(Plan("LEFT", 2),))
        history.append(made)
        plain.append(made)
        if number >= PICTURES:
            plain[-PICTURES - 1] = plain[-PICTURES - 1].without_frames()
        assert len(history) == len(plain)
    assert isinstance(history, Sequence)
    assert [shown(each) for each in history] == [shown(each) for each in plain]
    assert [shown(each) for each in reversed(history)] == [shown(each) for each in plain[::-1]]
    for part in (slice(-5, None), slice(60, 70), slice(None, None, 40), slice(5, 5)):
        assert [shown(each) for each in history[part]] == [shown(each) for each in plain[part]]
    assert history[-1] is plain[-1]
    for wrong in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError, match=f"{len(plain)} steps"):
            history[wrong]


def test_a_decision_that_cannot_be_pickled_is_kept_as_it_is():
    class Own(Decision):
        pass

    history = History()
    for number in range(CHUNK + PICTURES):
        made = step(number)
        history.append(Step(observation=made.observation, decision=Own("LEFT", 1), reward=0.0))
    assert type(history[0].decision) is Own


def test_a_hundred_thousand_decisions_take_megabytes():
    history = History()
    tracemalloc.start()
    taken = []
    for number in range(LONG):
        history.append(step(number, pixels=number % 100 == 0))
        if number in (LONG // 2, LONG - 1):
            taken.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert (taken[1] - taken[0]) / (LONG / 2) < 60  # bytes a step; 580 as a list


class Counting(Sequence[Step]):
    """A history of any length that counts how many of its steps are read."""

    def __init__(self, length, **more):
        self.length, self.more, self.reads = length, more, 0

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self.length))]
        at = index % self.length
        self.reads += 1
        return step(at, **self.more)


def reads(policy, observation, length, **more):
    history = Counting(length, **more)
    asyncio.run(policy.decide(observation, history, np.random.default_rng(0)))
    return history.reads


def moment(privileges=frozenset(), number=30):
    emulator = Emulator(get_game("breakout"))
    emulator.reset(seed=0)
    return Observation(
        game="breakout",
        frames=tuple(Frame(emulator.screen(), 0, number) for _ in range(2)),
        legal=emulator.legal,
        interval=4,
        step=number,
        lives=5,
        ram=emulator.ram if "ram" in privileges else None,
        state=emulator.save().without_rng() if "emulator" in privileges else None,
    )


def asked(prompt="basic", **settings):
    return VLMPolicy(
        ScriptedModel(lambda prompt: "ACTION: LEFT"),
        get_strategy(prompt, PromptSettings(**settings)),
    )


PLAYERS = {
    **{f"+{name}": lambda name=name: WRAPPERS[name](asked(), "breakout") for name in WRAPPERS},
    "all wrappers": lambda: WRAPPERS["blank"](
        WRAPPERS["shuffled"](asked(), "breakout"), "breakout"
    ),
    **{prompt: lambda p=prompt: asked(p) for prompt in ("basic", "cot", "expert", "adaptive")},
    "embedded": lambda: asked("embedded"),
    "several plans a call": lambda: asked(chunk_size=4),
    "resumed": lambda: Recorded(asked(), ()),
    **{name: lambda name=name: get_policy(name, "breakout") for name in POLICIES},
}


@pytest.mark.parametrize("name", PLAYERS)
def test_a_decision_reads_as_much_of_a_long_history_as_of_a_short_one(name):
    policy = PLAYERS[name]()
    more = {"queue": (Plan("LEFT", 2),)} if name == "several plans a call" else {}
    if name in POLICIES:
        now = moment(privileges_of(policy))
        more = {"ram": now.ram}
    else:
        now = moment(privileges_of(policy))
    short, long = (reads(policy, now, length, **more) for length in (100, LONG))
    own = policy.every if name == "+summary" else 0  # it looks for its last note
    assert short == long <= own + 20 * max(1, effort_of(policy).calls.most)
