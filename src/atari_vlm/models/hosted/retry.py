"""Asking again: the only place where a request is repeated. The vendors' clients repeat none.

What may pass (429, 5xx, timeouts, dropped connections, garbage) is tried again; what will not (a
wrong key, an unknown model, a rejected request) ends at the first try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from atari_vlm.models.hosted.faults import Verdict
from atari_vlm.models.hosted.limiter import Clock, Limiter

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a question is asked, and how long the pauses are."""

    tries: int
    longest_wait_s: float
    """Most seconds between two tries, whatever the server asks for."""

    async def until_answered(
        self,
        ask: Callable[[], Awaitable[Answer | Verdict]],
        *,
        seed: int,
        clock: Clock,
        limiter: Limiter,
    ) -> Answer | Verdict:
        """The first answer, or what was wrong with the last try.

        Args:
            ask: sends one request.
            seed: spreads the pauses, the same way each time.
            clock: lets them pass.
            limiter: told how long the server wants to be left alone, so that the other games that
                share it wait as well.
        """
        jitter = Random(seed)
        for attempt in range(self.tries):
            outcome = await ask()
            last = attempt == self.tries - 1
            if not isinstance(outcome, Verdict) or not outcome.passing or last:
                return outcome
            pause = self._pause(attempt, outcome.wait, jitter)
            if outcome.slow_down:
                limiter.cool(pause)
            await clock.sleep(pause)
        raise AssertionError("unreachable: tries is at least 1")

    def _pause(self, attempt: int, asked: float | None, jitter: Random) -> float:
        """Seconds to the next try: what the server asked, or doubling from half a second."""
        wanted = asked
        if wanted is None:
            wanted = 0.5 * 2.0**attempt * jitter.uniform(0.75, 1.25)
        return min(wanted, self.longest_wait_s)
