"""What was spent of one cap, and what is reserved, in one process or shared by several."""

from __future__ import annotations

from collections.abc import MutableSequence

SPENT, RESERVED, IN_FLIGHT = range(3)
"""Places in the numbers of a tally."""


class Tally:
    """Sums in dollars or tokens, and the number of open reservations.

    Args:
        numbers: three numbers to keep them in, e.g. an array in shared memory; None for a list.
    """

    def __init__(self, numbers: MutableSequence[float] | None = None) -> None:
        self._numbers = [0.0, 0.0, 0.0] if numbers is None else numbers

    @property
    def spent(self) -> float:
        """What the settled requests cost."""
        return self._numbers[SPENT]

    @property
    def reserved(self) -> float:
        """The most that the open requests can cost."""
        return self._numbers[RESERVED]

    @property
    def in_flight(self) -> int:
        """Number of open reservations."""
        return int(self._numbers[IN_FLIGHT])

    def add(self, amount: float) -> None:
        """Count what was spent earlier."""
        self._numbers[SPENT] += amount

    def reserve(self, amount: float) -> None:
        """Set the most that a request can cost aside."""
        self._numbers[RESERVED] += amount
        self._numbers[IN_FLIGHT] += 1

    def settle(self, reserved: float, amount: float) -> None:
        """Replace a reservation by the actual charge."""
        self._numbers[IN_FLIGHT] -= 1
        # Without open reservations the sum is 0, whatever the rounding errors.
        self._numbers[RESERVED] = self.reserved - reserved if self.in_flight else 0.0
        self._numbers[SPENT] += amount
