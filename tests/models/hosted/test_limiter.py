"""The limiter, on a simulated clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

import pytest

from atari_vlm.errors import InvalidSetting, ModelFault
from atari_vlm.models.hosted.faults import Failure
from atari_vlm.models.hosted.limiter import Limiter, Rate, RealClock, limiter_for
from atari_vlm.models.hosted.retry import RetryPolicy
from tests.hosted import FakeClock


class SimulatedClock:
    """A clock that jumps to the next wake-up once all tasks sleep."""

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

    async def run(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(20):
                await asyncio.sleep(0)
            if self._sleepers and not task.done():
                self.time, _, event = heapq.heappop(self._sleepers)
                event.set()
        await task


def starts(
    games: int,
    rate: Rate,
    *,
    takes: float = 1.0,
    before: Callable[[Limiter], None] | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[float]:
    """The start times of the requests of `games` games."""
    started: list[float] = []
    clock = SimulatedClock()

    async def ask(limiter: Limiter) -> None:
        async with limiter.slot(rate):
            started.append(clock.now())
            await clock.sleep(takes)

    async def all_games() -> None:
        limiter = Limiter(clock, say)
        if before:
            before(limiter)
        await clock.run(asyncio.gather(*[ask(limiter) for _ in range(games)]))

    asyncio.run(all_games())
    return started


def test_without_limits_all_requests_start_at_once():
    assert starts(5, Rate()) == [0] * 5


def test_concurrency_limits_the_requests_in_flight():
    assert starts(7, Rate(concurrency=3)) == [0, 0, 0, 1, 1, 1, 2]


def test_requests_are_spread_evenly_over_the_minute():
    assert starts(4, Rate(per_minute=30)) == [0, 2, 4, 6]


def test_a_pause_delays_all_requests():
    assert starts(3, Rate(), before=lambda limiter: limiter.pause(7)) == [7, 7, 7]


def test_the_rate_holds_after_a_pause():
    rate = Rate(per_minute=60)
    assert starts(3, rate, before=lambda limiter: limiter.pause(7)) == [7, 8, 9]


def test_a_shorter_pause_does_not_end_a_longer_one():
    def pause_twice(limiter: Limiter) -> None:
        limiter.pause(7)
        limiter.pause(2)

    assert starts(1, Rate(), before=pause_twice) == [7]


@pytest.mark.parametrize("seconds", [-5, float("nan"), float("inf"), float("-inf")])
def test_a_pause_of_nonsense_delays_nothing(seconds):
    assert starts(2, Rate(), before=lambda limiter: limiter.pause(seconds)) == [0, 0]


@pytest.mark.parametrize(
    ("games", "rate", "said"),
    [
        (9, Rate(per_minute=30), ["Requests wait 10 seconds because of the limit of 30 a minute."]),
        (3, Rate(per_minute=1), ["Requests wait 60 seconds because of the limit of 1 a minute."]),
        (
            12,
            Rate(concurrency=1),
            ["Requests wait 10 seconds because of the limit of 1 at the same time."],
        ),
        (5, Rate(per_minute=60, concurrency=2), []),
    ],
)
def test_a_long_wait_for_a_limit_is_said_once(games, rate, said):
    heard = []
    starts(games, rate, say=heard.append)
    assert heard == said


@pytest.mark.parametrize("seconds", [1e9, 86400, float("inf")])
def test_a_wait_that_a_server_asks_for_is_said_with_its_limit(seconds):
    clock, heard = FakeClock([]), []
    limiter = Limiter(clock, heard.append)
    for limited in (True, True, False):
        fault = Failure(ModelFault("x", "It failed (429)."), True, seconds, limited)

        async def send(fault=fault):
            return fault

        asyncio.run(RetryPolicy(3, 60).run(send, seed=1, clock=clock, limiter=limiter))
    asked = f"{seconds:,.0f}"
    assert clock.waits == [60] * 6
    assert heard[0] == f"It failed (429). All requests to it wait 60 seconds; it asks for {asked}."
    assert heard[-1] == f"It failed (429). The next try is in 60 seconds; it asks for {asked}."


def test_a_long_wait_of_a_model_is_a_warning():
    async def wait() -> None:
        limiter_for("openai", "key", RealClock()).say(60, "the server", "It failed.")

    with pytest.warns(UserWarning, match="It failed"):
        asyncio.run(wait())


def test_a_cancelled_waiter_passes_its_turn_on():
    async def play() -> list[int]:
        limiter, order = Limiter(RealClock()), []

        async def ask(number: int) -> None:
            async with limiter.slot(Rate(concurrency=1)):
                order.append(number)
                await asyncio.sleep(0)

        games = [asyncio.create_task(ask(number)) for number in range(4)]
        await asyncio.sleep(0)
        games[1].cancel()
        await asyncio.gather(*games, return_exceptions=True)
        return order

    assert sorted(asyncio.run(play())) == [0, 2, 3]


def test_models_share_a_limiter_per_host_and_key():
    async def find() -> None:
        clock = RealClock()
        one = limiter_for("openai", "key", clock)
        assert limiter_for("openai", "key", RealClock()) is one
        assert limiter_for("openai", "other key", clock) is not one
        assert limiter_for("anthropic", "key", clock) is not one

    asyncio.run(find())


@pytest.mark.parametrize("values", [{"concurrency": 0}, {"per_minute": 0}, {"per_minute": -3}])
def test_impossible_rates_are_refused(values):
    with pytest.raises(InvalidSetting, match="not"):
        Rate(**values)
