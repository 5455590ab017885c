"""Games that search at the same time use several cores, and decide as they do alone."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest
from numpy.random import default_rng

from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.baselines import ConstantPolicy
from atari_vlm.policies.registry import get_policy
from atari_vlm.policies.search import workers
from atari_vlm.policies.search.proposals import ProposalSettings
from atari_vlm.policies.search.tree import SearchSettings, _simulator
from atari_vlm.policies.search.workers import searched
from atari_vlm.policies.think.lookahead import Lookahead

PRIVILEGES = frozenset({"emulator"})


@pytest.fixture(scope="module")
def pool():
    """Workers of these tests' own; the first test starts none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_cores", lambda: 2)
        patch.setattr(workers, "_pools", pools := [])
        patch.setattr(workers, "_searching", type(workers._searching)())
        yield pools
        for each in pools:
            each.close()


def here(*arguments):
    return os.getpid(), sum(arguments)


def drawn(rng, count):
    return os.getpid(), rng.random(count).tolist()


def refuses():
    raise InvalidSetting("It is refused.")


async def two(*calls):
    """Each call made twice by a game of its own; the second time both are known to search."""

    async def game(call):
        await searched(*call)
        await asyncio.sleep(0.01)
        return await searched(*call)

    return await asyncio.gather(*(game(call) for call in calls))


def test_a_game_alone_searches_in_its_own_process(pool):
    async def game():
        return [await searched(here, 1, k) for k in range(3)]

    assert asyncio.run(game()) == [(os.getpid(), 1 + k) for k in range(3)]
    assert asyncio.run(game())[0] == (os.getpid(), 1)  # the game before is over
    assert not pool


def test_games_at_the_same_time_search_in_workers_and_decide_the_same(pool):
    """What is drawn after a search is the same too, wherever it ran."""
    env = AtariVLMEnvironment("breakout", resize_shape=None)
    env.begin(seed=0)
    env.advance(1, 4)
    seen, policy = env.observe(PRIVILEGES), get_policy("uct-160", "breakout")

    async def game(rng):
        found = []
        for _ in range(3):
            decision = await policy.decide(seen, [], rng)
            found.append([decision.reason, *(other.reason for other in decision.considered)])
            await asyncio.sleep(0)
        return found, rng.random()

    async def games(*seeds):
        return await asyncio.gather(*(game(default_rng(seed)) for seed in seeds))

    together = asyncio.run(games(5, 6))
    assert any(each._workers for each in pool)
    assert together == [*asyncio.run(games(5)), *asyncio.run(games(6))]


def test_a_lookahead_in_a_worker_knows_nothing_of_the_dice_of_the_game(pool):
    """One moment with two futures: what is decided is the same, even if it is handed the dice."""
    game = {"resize_shape": None, "repeat_action_probability": 0.25}
    one, other = (AtariVLMEnvironment("space_invaders", **game) for _ in range(2))
    for env, seed in ((one, 0), (other, 1)):
        env.begin(seed=seed)
    for action in ["RIGHT", "FIRE"] * 10:
        one.advance(one.legal.index(action), 4)
    dice = other.emulator.save().rng
    moment = one.save()
    assert moment.emulator.rng != dice
    other.restore(replace(moment, emulator=replace(moment.emulator, rng=dice)))
    views = []
    for env in (one, other):
        views += [env.observe(PRIVILEGES), env.observe(PRIVILEGES)]
        object.__setattr__(views[-1], "state", env.emulator.save())
    assert [view.state.rng for view in views] == [None, moment.emulator.rng, None, dice]
    policies = [
        Lookahead(ConstantPolicy("FIRE"), 160, settings=ProposalSettings(search=settings))
        for settings in (SearchSettings(), SearchSettings(sticky=0.25))
    ]

    async def game_of(view):
        found = []
        for policy in policies:
            made = await policy.decide(view, [], default_rng(3))
            found.append((made.plan, made.reason, [each.reason for each in made.considered]))
            await asyncio.sleep(0)
        return found

    async def games():
        return await asyncio.gather(*map(game_of, views))

    before = _simulator.cache_info()
    found = asyncio.run(games())
    assert all(each == found[0] for each in found)
    after = _simulator.cache_info()
    here = after.hits + after.misses - before.hits - before.misses
    assert here == 1  # the first search of all, made while no other game was known to search
    for env in (one, other):
        for action in ["RIGHT", "LEFT"] * 10:
            env.advance(env.legal.index(action), 4)
    assert one.emulator.ram.tolist() != other.emulator.ram.tolist()


def test_what_a_worker_cannot_do_is_done_here(pool):
    async def game():
        rng, other = default_rng(1), default_rng(1)
        (where, numbers), _ = await two((drawn, rng, 2), (here, 1))
        assert where != os.getpid()
        drawn(other, 2)
        assert numbers == drawn(other, 2)[1]
        assert rng.random() == other.random()
        # Something that cannot be sent, an error, and workers that were killed.
        assert (await two((lambda: os.getpid(),), (here, 1)))[0] == os.getpid()
        with pytest.raises(InvalidSetting, match="It is refused"):
            await two((refuses,), (here, 1))
        for worker in [*pool[0]._workers]:
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
        return await two((here, 1, 2), (here, 3, 4))

    assert [total for _, total in asyncio.run(game())] == [3, 7]


def test_a_search_that_is_cancelled_before_a_worker_has_it_is_not_begun():
    def asked(call, *arguments):
        return pool.ask(pickle.dumps((call, arguments)))

    async def game():
        busy = pool._idle.get()  # the only worker
        waits = asyncio.create_task(asked(time.sleep, 60))
        await asyncio.sleep(0.1)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        pool._idle.put(busy)
        async with asyncio.timeout(20):
            return await asked(here, 1, 2)

    with closing(workers._Pool(1)) as pool:
        (_, total), _ = asyncio.run(game())
    assert total == 3


ORPHAN = """
import asyncio, os, sys, time
from atari_vlm.policies.search import workers
workers._cores = lambda: 2
async def game(first):
    for _ in range(2):
        await workers.searched(os.getpid)
        await asyncio.sleep(.01)
    pid = await workers.searched(os.getpid)
    print(pid, flush=True)
    await workers.searched(time.sleep, 600)
async def main():
    await asyncio.gather(game(1), game(2))
asyncio.run(main())
"""


def ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_game(how):
    script = subprocess.Popen(
        [sys.executable, "-c", ORPHAN],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = {int(script.stdout.readline()) for _ in range(2)} - {script.pid}
    assert pids
    time.sleep(0.5)  # a Ctrl-C just before its event loop waits is heard by Python when that wakes
    os.killpg(script.pid, how) if how == signal.SIGINT else os.kill(script.pid, how)
    _, said = script.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while not all(map(ended, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(ended, pids))
    assert said.count("Traceback") <= 2  # those of Python for Ctrl-C, none of a worker
