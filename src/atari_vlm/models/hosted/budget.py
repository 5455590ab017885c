"""Caps on spending, enforced before a request is sent.

Each request first reserves the most that it can cost (`usage.Most`). When its answer arrives, the
reservation is replaced by the actual charge. A refused request costs nothing. A request without an
answer is charged in full, because the vendor may have billed it, and so is one whose answer has
token counts that cannot be. Every retry reserves again. So what is counted never exceeds a cap.

Before a request is sent, `Account.write_off` records what it may cost, so that not even a killed
process loses it. The answer is stored in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from atari_vlm.costs.bill import format_dollars
from atari_vlm.errors import BudgetExceeded, InvalidSetting, Lost, setting
from atari_vlm.models.hosted.tally import Tally
from atari_vlm.types import Charge

POLL_EVERY = 0.1
"""Seconds between looks at what other processes have settled."""

Scope: TypeAlias = Literal["run", "episode", "training", "bench"]
"""What a cap holds for; "training" includes the evaluation after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be spent; None for no cap.

    Caps are not part of a run's settings, so a run can continue with higher ones.
    """

    dollars: float | None = None
    """For a run. Reaching it stops the run; the same command with a higher cap continues it."""
    episode_dollars: float | None = None
    """For an episode. Reaching it ends the episode, as `max_decisions` does."""
    tokens: int | None = None
    """Input and output tokens of a run."""

    def __post_init__(self) -> None:
        for argument, cap in self._by_argument().items():
            if cap is not None and not 0 <= cap < float("inf"):
                raise InvalidSetting(f"{setting(argument)} must be 0 or more, not {cap!r}.")

    def __bool__(self) -> bool:
        """Whether anything is capped."""
        return any(cap is not None for cap in self._by_argument().values())

    @property
    def in_dollars(self) -> bool:
        """Whether a cap in dollars is set, so that the price must be known."""
        return self.dollars is not None or self.episode_dollars is not None

    def _by_argument(self) -> dict[str, float | None]:
        return {
            "budget": self.dollars,
            "budget_episode": self.episode_dollars,
            "budget_tokens": self.tokens,
        }


def _dollars(charge: Charge) -> float:
    return charge.dollars or 0.0


def _tokens(charge: Charge) -> float:
    return charge.tokens


def _format_tokens(value: float) -> str:
    return f"{value:,.0f} tokens"


@dataclass(slots=True)
class Allowance:
    """One cap and what was spent of it."""

    cap: float | None
    scope: Scope
    argument: str
    """Argument of `VLMTrainer` that sets the cap, for error messages."""
    format: Callable[[float], str]
    amount: Callable[[Charge], float]
    """The capped part of a charge: its dollars or its tokens."""
    tally: Tally = field(default_factory=Tally)

    def fits(self, charge: Charge) -> bool:
        """Whether a charge can be reserved now."""
        return self._within_cap(self.tally.spent + self.tally.reserved + self.amount(charge))

    def can_ever_fit(self, charge: Charge) -> bool:
        """Whether a charge could be reserved if all open reservations ended up costing nothing."""
        return self._within_cap(self.tally.spent + self.amount(charge))

    def _within_cap(self, total: float) -> bool:
        return self.cap is None or total <= self.cap + 1e-12  # tolerates rounding errors

    def reserve(self, charge: Charge) -> None:
        """Set the most that a request can cost aside."""
        self.tally.reserve(self.amount(charge))

    def settle(self, reserved: Charge, charge: Charge) -> None:
        """Replace a reservation by the actual charge."""
        self.tally.settle(self.amount(reserved), self.amount(charge))

    def exceeded(self, charge: Charge) -> BudgetExceeded:
        """The error for a charge that does not fit."""
        assert self.cap is not None
        episode, name = self.scope == "episode", setting(self.argument)
        advice = (
            f"Raise {name} for later episodes."
            if episode
            else f"Everything played is kept: give the same command with a higher {name} to "
            "continue."
        )
        spent, most = self.format(self.tally.spent), self.format(self.amount(charge))
        used = "uses" if self.argument == "budget_tokens" else "costs"
        return BudgetExceeded(
            f"This {self.scope} has spent {spent} of {self.format(self.cap)}, and the next request "
            f"may cost {most} (its words and pictures, and the longest answer it may get: "
            f"{setting('max_tokens')}; what it really {used} is counted once it is answered). "
            f"{advice}",
            episode=episode,
        )


def _allowances(
    caps: Caps, scope: Scope, dollars: Tally, tokens: Tally
) -> tuple[Allowance, Allowance]:
    """The allowances of a run, or of several together."""
    return (
        Allowance(caps.dollars, scope, "budget", format_dollars, _dollars, dollars),
        Allowance(caps.tokens, scope, "budget_tokens", _format_tokens, _tokens, tokens),
    )


class SharedBudget:
    """The caps of several runs together, in one process or in several.

    Args:
        caps: what all runs may spend together; the cap of an episode holds for each.
        scope: what the runs are, for messages.
        processes: that share it, beside this one; each gets it as it starts.
    """

    def __init__(self, caps: Caps, scope: Scope, processes: int = 0) -> None:
        self.caps, self.scope = caps, scope
        self.lock: AbstractContextManager[Any] = nullcontext()
        """Held while something is reserved or settled."""
        self.dollars, self.tokens = Tally(), Tally()
        if processes:
            from multiprocessing.sharedctypes import RawArray

            from atari_vlm.files.shared_lock import SharedLock

            self.lock = SharedLock()
            arrays = (RawArray("d", 3 * (1 + processes)) for _ in range(2))
            self.dollars, self.tokens = (Tally(array) for array in arrays)

    @classmethod
    def check(cls, value: object) -> None:
        """Raise InvalidSetting unless `value` is one, or None."""
        if value is not None and not isinstance(value, cls):
            raise InvalidSetting("shared_budget must be a SharedBudget, or None for none.")

    def count_as(self, process: int) -> None:
        """Count what this process spends under its number, from 0 on."""
        for tally in (self.dollars, self.tokens):
            tally.count_as(1 + process)

    def write_off(self, process: int) -> None:
        """Count the requests that were in flight when a process was killed, at their most."""
        with self.lock:
            for tally in (self.dollars, self.tokens):
                tally.write_off(1 + process)

    @property
    def allowances(self) -> tuple[Allowance, Allowance]:
        """For the budget of each run."""
        return _allowances(self.caps, self.scope, self.dollars, self.tokens)

    def add(self, spent: Charge) -> None:
        """Count what one of the runs spent earlier."""
        with self.lock:
            self.dollars.add(_dollars(spent))
            self.tokens.add(spent.tokens)


class Budget:
    """The caps of one run and what was spent of them.

    Args:
        caps: what may be spent.
        spent: what earlier sessions of the run spent, uncertain requests at their maximum.
        spent_by: the same for one episode.
        write_off: records what an episode's unanswered call may have cost; see `Account`.
        shared: the caps of this run and others together, in which earlier sessions are counted
            already; they replace those of the run.
    """

    def __init__(
        self,
        caps: Caps,
        spent: Charge | None = None,
        spent_by: Callable[[int], Charge] = lambda episode: Charge(),
        write_off: Callable[[int, int, Lost], None] = lambda episode, seed, lost: None,
        shared: SharedBudget | None = None,
    ) -> None:
        if shared is None:
            shared = SharedBudget(caps, "run")
            shared.add(spent or Charge())
        self._run, self.lock = shared.allowances, shared.lock
        self._caps, self._spent_by, self._write_off = caps, spent_by, write_off
        self._settled: asyncio.Event | None = None
        self.stopped = ""
        """Why the run may send no more requests; empty while it may."""

    def account(self, episode: int, game_spent: Charge | None = None) -> Account:
        """The account that the requests of an episode are charged to.

        Args:
            episode: of the run. Below 0 it is learning, which only the caps of the run limit.
            game_spent: what a game that learning plays has spent; the cap of an episode limits it.
        """
        cap = self._caps.episode_dollars if episode >= 0 or game_spent is not None else None
        spent = 0.0
        if cap is not None:
            spent = _dollars(self._spent_by(episode) if game_spent is None else game_spent)
        own = Allowance(cap, "episode", "budget_episode", format_dollars, _dollars)
        own.tally.add(spent)
        return Account((*self._run, own), self, partial(self._write_off, episode))

    async def wait_for_settlement(self) -> None:
        """Wait until any request of the run is settled, and a moment for those of other runs."""
        if self._settled is None:
            self._settled = asyncio.Event()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), POLL_EVERY)

    def notify_settled(self) -> None:
        """Wake the tasks in `wait_for_settlement`."""
        if self._settled is not None:
            self._settled.set()
            self._settled = None


@dataclass(frozen=True, slots=True)
class Account:
    """The allowances that an episode's requests are charged to."""

    allowances: tuple[Allowance, ...] = ()
    budget: Budget | None = None
    write_off: Callable[[int, Lost], None] = lambda seed, lost: None
    """Records what the unanswered requests of the call with a seed may have cost until now, in
    place of what was recorded for it before."""

    async def reserve(self, charge: Charge) -> Reservation:
        """Reserve the most that a request can cost, as soon as every allowance has room for it.

        Waits while open reservations may still be settled for less.

        Raises:
            BudgetExceeded: there will never be room.
        """
        while not self._reserved(charge):
            assert self.budget is not None
            await self.budget.wait_for_settlement()
        return Reservation(self, charge)

    def _reserved(self, charge: Charge) -> bool:
        """Reserve a charge if there is room for it now.

        Raises:
            BudgetExceeded: there will never be room.
        """
        with self._lock:
            short = self._short(charge)
            # Raised only with no request in flight, so every answer that was paid for is recorded.
            if short and not any(allowance.tally.in_flight for allowance in short):
                raise self._exceeded(next(a for a in short if not a.can_ever_fit(charge)), charge)
            if not short:
                for allowance in self.allowances:
                    allowance.reserve(charge)
            return not short

    @property
    def _lock(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.budget is None else self.budget.lock

    def _short(self, charge: Charge) -> list[Allowance]:
        """The allowances without room for a charge.

        Raises:
            BudgetExceeded: a cap has already stopped the run.
        """
        if self.budget is not None and self.budget.stopped:
            raise BudgetExceeded(self.budget.stopped, episode=False)
        return [allowance for allowance in self.allowances if not allowance.fits(charge)]

    def _exceeded(self, allowance: Allowance, charge: Charge) -> BudgetExceeded:
        error = allowance.exceeded(charge)
        if self.budget is not None and not error.episode:
            self.budget.stopped = error.message
        return error

    def settle(self, reserved: Charge, charge: Charge) -> None:
        """Replace a reservation by the actual charge."""
        with self._lock:
            for allowance in self.allowances:
                allowance.settle(reserved, charge)
        if self.budget is not None:
            self.budget.notify_settled()


@dataclass(slots=True)
class Reservation:
    """A request's reserved maximum cost: leaving `with reservation:` settles it at `charge`."""

    account: Account
    reserved: Charge
    charge: Charge = field(default_factory=Charge)
    """Nothing until the request is sent."""

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.account.settle(self.reserved, self.charge)


UNLIMITED = Account()
"""An account without caps."""

ACCOUNT: ContextVar[Account] = ContextVar("ACCOUNT", default=UNLIMITED)
"""The account that the running task's requests are charged to; the runner sets it per episode."""
