"""What was spent of one cap, and what is reserved, in one process or shared by several."""

from __future__ import annotations

from collections.abc import MutableSequence

SPENT, RESERVED, IN_FLIGHT = range(3)
"""Places in the numbers of a process."""


class Tally:
    """Sums in dollars or tokens, and the number of open reservations.

    Args:
        numbers: three for each process that counts, e.g. an array in shared memory; None for those
            of one process.
    """

    def __init__(self, numbers: MutableSequence[float] | None = None) -> None:
        self._numbers = [0.0, 0.0, 0.0] if numbers is None else numbers
        self._own = 0

    def count_as(self, process: int) -> None:
        """Count under the number of a process: each writes only its own."""
        self._own = 3 * process

    @property
    def spent(self) -> float:
        """What the settled requests cost."""
        return self._sum(SPENT)

    @property
    def reserved(self) -> float:
        """The most that the open requests can cost."""
        return self._sum(RESERVED)

    @property
    def in_flight(self) -> int:
        """Number of open reservations."""
        return int(self._sum(IN_FLIGHT))

    def _sum(self, place: int) -> float:
        return sum(self._numbers[place::3])

    def add(self, amount: float) -> None:
        """Count what was spent earlier; a damaged record gives no credit."""
        self._numbers[self._own + SPENT] += amount if not amount < 0 else 0.0

    def reserve(self, amount: float) -> None:
        """Set the most that a request can cost aside."""
        self._numbers[self._own + RESERVED] += amount
        self._numbers[self._own + IN_FLIGHT] += 1

    def settle(self, reserved: float, amount: float) -> None:
        """Replace a reservation by the actual charge, or by itself if that is no amount."""
        own = self._own
        self._numbers[own + IN_FLIGHT] -= 1
        # Without open reservations the sum is 0, whatever the rounding errors.
        left = self._numbers[own + RESERVED] - reserved
        self._numbers[own + RESERVED] = max(0.0, left) if self._numbers[own + IN_FLIGHT] else 0.0
        self._numbers[own + SPENT] += amount if 0 <= amount < float("inf") else reserved

    def write_off(self, process: int) -> None:
        """Count what a process that was killed had reserved as spent: its requests were sent."""
        own = 3 * process
        self._numbers[own + SPENT] += self._numbers[own + RESERVED]
        self._numbers[own + RESERVED] = self._numbers[own + IN_FLIGHT] = 0.0
