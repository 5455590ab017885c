"""How fast an account is asked, in a time that passes only when somebody sleeps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

import pytest

from atari_vlm.errors import InvalidSetting
from atari_vlm.models.hosted.limiter import Limiter, Rate, RealClock, limiter_for


class Timeline:
    """A clock that jumps to the next wake-up once everybody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self._number = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._number), event))
        await event.wait()

    async def pass_while(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(20):
                await asyncio.sleep(0)
            if self._sleepers and not task.done():
                self.time, _, event = heapq.heappop(self._sleepers)
                event.set()
        await task


def starts(
    games: int, rate: Rate, *, takes: float = 1.0, before: Callable[[Limiter], None] | None = None
) -> list[float]:
    """When the requests of so many games begin."""
    begun: list[float] = []
    time = Timeline()

    async def ask(limiter: Limiter) -> None:
        async with limiter.slot(rate):
            begun.append(time.now())
            await time.sleep(takes)

    async def all_games() -> None:
        limiter = Limiter(time)
        if before:
            before(limiter)
        await time.pass_while(asyncio.gather(*[ask(limiter) for _ in range(games)]))

    asyncio.run(all_games())
    return begun


def test_without_limits_everybody_asks_at_once():
    assert starts(5, Rate()) == [0] * 5


def test_no_more_than_so_many_ask_at_the_same_time():
    assert starts(7, Rate(concurrency=3)) == [0, 0, 0, 1, 1, 1, 2]


def test_requests_are_spread_evenly_over_the_minute():
    assert starts(4, Rate(per_minute=30)) == [0, 2, 4, 6]


def test_what_one_game_is_told_to_wait_all_wait():
    assert starts(3, Rate(), before=lambda limiter: limiter.pause(7)) == [7, 7, 7]


def test_after_a_pause_requests_do_not_all_come_at_once():
    rate = Rate(per_minute=60)
    assert starts(3, rate, before=lambda limiter: limiter.pause(7)) == [7, 8, 9]


def test_a_shorter_pause_does_not_end_a_longer_one():
    def told_twice(limiter: Limiter) -> None:
        limiter.pause(7)
        limiter.pause(2)

    assert starts(1, Rate(), before=told_twice) == [7]


def test_a_game_that_is_stopped_while_it_waits_gives_its_turn_away():
    async def play() -> list[int]:
        limiter, asked = Limiter(RealClock()), []

        async def ask(number: int) -> None:
            async with limiter.slot(Rate(concurrency=1)):
                asked.append(number)
                await asyncio.sleep(0)

        games = [asyncio.create_task(ask(number)) for number in range(4)]
        await asyncio.sleep(0)
        games[1].cancel()
        await asyncio.gather(*games, return_exceptions=True)
        return asked

    assert sorted(asyncio.run(play())) == [0, 2, 3]


def test_all_models_of_one_account_share_a_limiter_and_other_keys_do_not():
    async def find() -> None:
        clock = RealClock()
        one = limiter_for("openai", "key", clock)
        assert limiter_for("openai", "key", RealClock()) is one
        assert limiter_for("openai", "other key", clock) is not one
        assert limiter_for("anthropic", "key", clock) is not one

    asyncio.run(find())


@pytest.mark.parametrize("values", [{"concurrency": 0}, {"per_minute": 0}, {"per_minute": -3}])
def test_rates_that_nobody_could_keep_are_refused(values):
    with pytest.raises(InvalidSetting, match="not"):
        Rate(**values)
