"""Caps on spending that hold before the money is gone, not after.

Before a request is sent its worst case is held: what it may cost at most. When the answer is here
the hold becomes what was charged. Requests that were refused cost nothing; requests that brought no
answer count at their worst case, because nobody knows, and each further try is held anew. So a cap
is passed by no more than the difference between a worst case and a truth that was worse.

Requests of questions that end without an answer to keep (the run was stopped) are written off: the
store remembers them too. Only a process that is killed forgets what it had in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import ceil

from atari_vlm.costs.picture_tokens import Rule
from atari_vlm.costs.prices import Price
from atari_vlm.errors import BudgetExceeded, InvalidSetting, Lost
from atari_vlm.types import Prompt

CHARACTERS = 3
"""Bytes of text that make a token at least; English has four, and more, to a token."""

SCHEMA = 300
"""Tokens that vendors count beside the prompt's own: the schema of the answer and the turns."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request costs, or may cost."""

    tokens: int = 0
    """Read and written."""
    dollars: float | None = 0.0
    """None when the price is unknown."""


def worst_input(prompt: Prompt, rule: Rule) -> int:
    """The most tokens that a vendor counts for reading a prompt."""
    text = ceil(len(prompt.text.encode()) / CHARACTERS)
    sizes = (prompt.image_size or frame.pixels.shape[1::-1] for frame in prompt.frames)
    return text + SCHEMA + sum(rule(width, height) for width, height in sizes)


def worst_case(prompt: Prompt, price: Price, rule: Rule, max_tokens: int) -> float:
    """The most dollars that one request can cost.

    Args:
        prompt: with its frames.
        price: of the model.
        rule: tokens of a picture; see `picture_tokens.rule_for`.
        max_tokens: the longest answer, hidden reasoning included.
    """
    return price.cost(worst_input(prompt, rule), 0, max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What may be spent; None for no cap. Not part of what a run is: raise one and continue."""

    dollars: float | None = None
    """By a run. Reaching it stops the run, which the same command with a higher cap continues."""
    episode_dollars: float | None = None
    """By an episode. Reaching it ends the episode, as `max_decisions` does."""
    tokens: int | None = None
    """Read and written, by a run."""

    def __post_init__(self) -> None:
        for flag, cap in self._flags().items():
            if cap is not None and not 0 <= cap < float("inf"):
                raise InvalidSetting(f"{flag} is 0 or more, not {cap!r}.")

    def __bool__(self) -> bool:
        """Whether anything is capped."""
        return any(cap is not None for cap in self._flags().values())

    @property
    def in_dollars(self) -> bool:
        """Whether the price must be known."""
        return self.dollars is not None or self.episode_dollars is not None

    def _flags(self) -> dict[str, float | None]:
        return {
            "--budget": self.dollars,
            "--budget-episode": self.episode_dollars,
            "--budget-tokens": self.tokens,
        }


@dataclass(slots=True)
class Purse:
    """One cap and what has been taken from it."""

    cap: float | None
    what: str
    """For the wording: "run" or "episode"."""
    flag: str
    unit: Callable[[float], str]
    of: Callable[[Charge], float]
    """The part of a charge that this cap is about."""
    spent: float = 0.0
    held: float = 0.0
    holds: int = 0
    """Requests in flight."""

    def lacks(self, worst: Charge) -> bool:
        """Whether the worst case cannot be held now."""
        return self.cap is not None and self.spent + self.held + self.of(worst) > self.cap + 1e-12

    def hopeless(self, worst: Charge) -> bool:
        """Whether it could not be held even if all that is held cost nothing."""
        return self.cap is not None and self.spent + self.of(worst) > self.cap + 1e-12

    def hold(self, worst: Charge) -> None:
        """Set the worst case of a request aside."""
        self.held, self.holds = self.held + self.of(worst), self.holds + 1

    def settle(self, worst: Charge, due: Charge) -> None:
        """Spend what is due of what was set aside."""
        self.holds -= 1
        self.held = self.held - self.of(worst) if self.holds else 0.0
        self.spent += self.of(due)

    def exceeded(self, worst: Charge) -> BudgetExceeded:
        """The sentence."""
        assert self.cap is not None
        episode = self.what == "episode"
        mend = (
            f"Raise {self.flag} for the episodes to come."
            if episode
            else f"Everything played is kept: give the same command with a higher {self.flag} to "
            "continue."
        )
        return BudgetExceeded(
            f"This {self.what} has spent {self.unit(self.spent)} of {self.unit(self.cap)}, and the "
            f"next request may cost {self.unit(self.of(worst))}. {mend}",
            episode=episode,
        )


def _dollars(charge: Charge) -> float:
    return charge.dollars or 0.0


def _in_dollars(value: float) -> str:
    return f"${value:.4f}" if value < 1 else f"${value:,.2f}"


def _in_tokens(value: float) -> str:
    return f"{value:,.0f} tokens"


class Budget:
    """The purses of one run.

    Args:
        caps: what may be spent.
        spent: what earlier sessions of the run have spent, uncertain requests at their worst.
        spent_by: the same for one episode.
        write_off: keeps what an episode's unanswered questions may have cost.
    """

    def __init__(
        self,
        caps: Caps,
        spent: Charge | None = None,
        spent_by: Callable[[int], Charge] = lambda episode: Charge(),
        write_off: Callable[[int, Lost], None] = lambda episode, lost: None,
    ) -> None:
        spent = spent or Charge()
        self._caps, self._spent_by, self._write_off = caps, spent_by, write_off
        self._run = (
            Purse(caps.dollars, "run", "--budget", _in_dollars, _dollars, _dollars(spent)),
            Purse(
                caps.tokens,
                "run",
                "--budget-tokens",
                _in_tokens,
                lambda charge: charge.tokens,
                spent.tokens,
            ),
        )
        self._settled: asyncio.Event | None = None
        self.stopped = ""
        """Why the run may send nothing more; empty while it may."""

    def payer(self, episode: int) -> Payer:
        """Who pays for the requests of an episode."""
        cap = self._caps.episode_dollars
        before = _dollars(self._spent_by(episode)) if cap is not None else 0.0
        own = Purse(cap, "episode", "--budget-episode", _in_dollars, _dollars, before)
        return Payer((*self._run, own), self, partial(self._write_off, episode))

    async def a_settlement(self) -> None:
        """Wait until some request of the run is settled."""
        if self._settled is None:
            self._settled = asyncio.Event()
        await self._settled.wait()

    def settled(self) -> None:
        """Wake who waits."""
        if self._settled is not None:
            self._settled.set()
            self._settled = None


@dataclass(frozen=True, slots=True)
class Payer:
    """The purses that an episode's requests are paid from."""

    purses: tuple[Purse, ...] = ()
    budget: Budget | None = None
    write_off: Callable[[Lost], None] = lambda lost: None
    """Told what a question that ended without an answer may have cost."""

    async def hold(self, worst: Charge) -> Bill:
        """Hold the worst case of a request, as soon as the purses have room for it.

        While other requests hold what may yet be given back, it waits.

        Raises:
            BudgetExceeded: there will be no room.
        """
        while lacking := self._lacking(worst):
            # Nobody is in flight any more when it is raised: what others asked for is recorded.
            if not any(purse.holds for purse in lacking):
                raise self._exceeded(next(p for p in lacking if p.hopeless(worst)), worst)
            assert self.budget is not None
            await self.budget.a_settlement()
        for purse in self.purses:  # no await since the test: nobody else took the room
            purse.hold(worst)
        return Bill(self, worst)

    def _lacking(self, worst: Charge) -> list[Purse]:
        """The purses without room; none is asked once the run was stopped.

        Raises:
            BudgetExceeded: it was.
        """
        if self.budget is not None and self.budget.stopped:
            raise BudgetExceeded(self.budget.stopped, episode=False)
        return [purse for purse in self.purses if purse.lacks(worst)]

    def _exceeded(self, purse: Purse, worst: Charge) -> BudgetExceeded:
        error = purse.exceeded(worst)
        if self.budget is not None and not error.episode:
            self.budget.stopped = str(error)
        return error

    def pay(self, worst: Charge, due: Charge) -> None:
        """Turn what was held into what is due."""
        for purse in self.purses:
            purse.settle(worst, due)
        if self.budget is not None:
            self.budget.settled()


@dataclass(slots=True)
class Bill:
    """One request that was held: `with bill:` settles it at `due`, however it ends."""

    payer: Payer
    worst: Charge
    due: Charge = field(default_factory=Charge)
    """Nothing until the request is on its way."""

    def __enter__(self) -> Bill:
        return self

    def __exit__(self, *_: object) -> None:
        self.payer.pay(self.worst, self.due)


NOBODY = Payer()
"""Pays for everything: there is no cap."""

PAYER: ContextVar[Payer] = ContextVar("PAYER", default=NOBODY)
"""Who pays for what the running task asks; the runner names the episode it plays."""
