"""Statistics of scores: mean, interquartile mean, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A function that reduces the last axis of an array of scores."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its 95% confidence interval."""

    value: float
    low: float | None
    """None with fewer than two scores."""
    high: float | None

    def __str__(self) -> str:
        """The value and its interval, e.g. "12.4 [10.1, 14.2]"."""
        if self.low is None or self.high is None:
            return format_score(self.value)
        return f"{format_score(self.value)} [{format_score(self.low)}, {format_score(self.high)}]"


def format_score(score: float) -> str:
    """The score with four significant digits, rounded to a whole number from 1,000 on."""
    return f"{score:,.0f}" if abs(score) >= 999.95 else f"{score:.4g}"


def mean(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis."""
    return np.asarray(scores.mean(axis=-1))


def iqm(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interquartile mean over the last axis: the mean of the middle half.

    A quarter of the scores, rounded down, is cut from each end (Agarwal et al. 2021,
    arXiv:2108.13264).
    """
    ordered = np.sort(scores, axis=-1)
    cut = scores.shape[-1] // 4
    return np.asarray(ordered[..., cut : scores.shape[-1] - cut].mean(axis=-1))


def bootstrap(
    scores: Sequence[float], statistic: Statistic = mean, *, rng: Generator, resamples: int = 10_000
) -> Interval:
    """A statistic with its percentile bootstrap 95% interval.

    Args:
        scores: one per episode, at least one.
        statistic: `mean` or `iqm`.
        rng: draws the resamples.
        resamples: number of resamples.

    Raises:
        ValueError: there are no scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise ValueError("An interval needs at least one score.")
    value = float(statistic(values))
    if values.size < 2:
        return Interval(value, None, None)
    resampled = statistic(values[rng.integers(values.size, size=(resamples, values.size))])
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(value, float(low), float(high))
