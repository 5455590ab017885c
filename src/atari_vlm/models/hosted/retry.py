"""Retries, the only place where a request is repeated: the vendors' own retries are off.

Temporary failures (429, 5xx, timeouts, dropped connections, garbage) are retried. Permanent ones (a
wrong key, an unknown model, a rejected request) are not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from atari_vlm.models.hosted.faults import Failure
from atari_vlm.models.hosted.limiter import Clock, Limiter

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is sent, and how long to wait between tries."""

    tries: int
    longest_wait_s: float
    """Most seconds between two tries, even if the server asks for more."""

    async def run(
        self,
        send: Callable[[], Awaitable[Answer | Failure]],
        *,
        seed: int,
        clock: Clock,
        limiter: Limiter,
    ) -> Answer | Failure:
        """Return the first answer, or the failure of the last try.

        Args:
            send: sends one request.
            seed: of the jitter in the waits.
            clock: sleeps between tries.
            limiter: paused after a rate limit, so that all models of the account wait.
        """
        jitter = Random(seed)
        for attempt in range(self.tries):
            outcome = await send()
            last = attempt == self.tries - 1
            if not isinstance(outcome, Failure) or not outcome.retryable or last:
                return outcome
            wait = self._wait(attempt, outcome.retry_after, jitter)
            if outcome.rate_limited:
                limiter.pause(wait)
            limiter.say(wait, "the server", self._next_try(outcome, wait))
            await clock.sleep(wait)
        raise AssertionError("unreachable: tries is at least 1")

    def _next_try(self, outcome: Failure, wait: float) -> str:
        who = "All requests to it wait" if outcome.rate_limited else "The next try is in"
        asked = outcome.retry_after
        more = f"; it asks for {asked:,.0f}" if asked is not None and asked > wait else ""
        return f"{outcome.error} {who} {wait:,.0f} seconds{more}."

    def _wait(self, attempt: int, retry_after: float | None, jitter: Random) -> float:
        """Seconds until the next try: `retry_after`, or exponential backoff from 0.5 s."""
        seconds = retry_after
        if seconds is None or not seconds >= 0:  # a server may ask for -1 or NaN seconds
            seconds = 0.5 * 2.0**attempt * jitter.uniform(0.75, 1.25)
        return min(seconds, self.longest_wait_s)
