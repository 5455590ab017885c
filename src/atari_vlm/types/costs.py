"""What was spent: on answers, on a request, and on thinking longer about a decision."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, dollars and seconds spent on answers. Add usages with +."""

    calls: int = 0
    input_tokens: int = 0
    """All tokens read, cached ones included."""
    cached_tokens: int = 0
    output_tokens: int = 0
    """All tokens written, reasoning included."""
    dollars: float | None = 0.0
    """None if the price of the model is unknown, which does not mean free."""
    seconds: float = 0.0
    """Wall-clock time spent waiting for the answers; for replayed ones, the time recorded."""
    reasoning_tokens: int = 0
    """Tokens written before the answer and not shown; part of `output_tokens`."""
    replayed: int = 0
    """Calls answered from the response cache. Their tokens were paid when they were recorded, and
    their dollars are 0."""
    uncertain: int = 0
    """Requests that may or may not have been charged: no answer came (timeout, dropped connection,
    unreadable body), or one whose token count is unknown."""
    uncertain_tokens: int = 0
    """The most those requests may have used."""
    uncertain_dollars: float | None = 0.0
    """The most they may have cost, not included in `dollars`; None if the price is unknown."""
    uncounted: int = 0
    """Calls whose token count was missing or made no sense. They count as uncertain requests."""

    @property
    def is_paid(self) -> bool:
        """Whether an answer cost money, or may have."""
        return not self.replayed and (self.dollars != 0 or self.uncertain > 0)

    def __repr__(self) -> str:
        counted = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
        return f"Usage({', '.join(text for text in counted if not text.endswith(('=0', '=0.0')))})"

    def __add__(self, other: Usage) -> Usage:
        """Sum two usages; an unknown price makes the sum unknown."""
        return Usage(*map(_both, _amounts(self), _amounts(other)))


_amounts = attrgetter(*Usage.__slots__)


def _both(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request costs, or may cost."""

    tokens: int = 0
    """Input and output tokens."""
    dollars: float | None = 0.0
    """None if the price is unknown."""


class Spent(NamedTuple):
    """What thinking longer took."""

    calls: int = 0
    tokens: int = 0
    """Read and written."""
    dollars: float | None = 0.0
    """None if the price is unknown."""
    frames: int = 0
    """Emulator frames simulated in another emulator."""

    def plus(self, other: Spent) -> Spent:
        """The sum; an unknown price makes the sum unknown."""
        return Spent(*map(_both, self, other))


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a wrapper that may think longer did for one decision, beyond the plain policy."""

    why: str = ""
    """What made it think, e.g. "a life at risk"; why it did not, if nothing was spent."""
    spent: Spent = Spent()
    """On this decision."""
    total: Spent = Spent()
    """In the episode so far, with this decision. A budget of the episode is kept by it: a policy
    has no memory of its own."""
