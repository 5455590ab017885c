"""Statistics of scores: means, interquartile means, and 95% intervals that cover.

Every interval that the package prints comes from here. `benchmarks/coverage.py` plays 10,000
imagined benches for each distribution and number of episodes, and counts how often an interval
covers the true value; docs/scores.md has its table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

LEAST = 10
"""Fewest scores of a game from which an interval is made.

With fewer no method was found that covers: of five games, all five show the same one of two equally
likely outcomes in one bench of sixteen, and nothing in the scores tells of the other.
"""


LEAST_GAMES = 5
"""Fewest games from which the interquartile mean gets an interval: where scores have ties, that of
one game jumps from one tie to the next."""

AT_ONCE = 500_000
"""Resampled scores in memory at a time."""

RESAMPLES = 2_000
"""Bootstrap resamples of an interquartile mean."""

MOST = 1e15
"""Scores lie between -MOST and MOST, where sums and squares of them are finite and sums are exact.
No game comes near: 108,000 frames with rewards of four bytes give at most 2.3e14."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its 95% confidence interval."""

    value: float
    low: float | None = None
    """None if no honest interval can be given; `missing` says why."""
    high: float | None = None
    missing: str = ""
    """Why there is no interval, e.g. "3 episodes are too few for an interval; 10 would do"."""
    equal: tuple[int, ...] = ()
    """Places of the games whose scores were all equal. The interval takes them as certain: it holds
    if those games always score the same."""

    def __str__(self) -> str:
        """The value and its interval, e.g. "12.4 (10.1 to 14.2)"; the value alone without one."""
        interval = self.text()
        return self.value_text() + (f" ({interval})" if interval else "")

    def value_text(self) -> str:
        """The value, rounded like the interval beside it; see `text`."""
        return format_score(self.value, self._places())

    def text(self) -> str:
        """The interval alone, e.g. "10.1 to 14.2"; empty without one.

        It is rounded to two significant digits of half its width, at most to whole numbers: further
        digits would tell nothing.
        """
        if self.low is None or self.high is None:
            return ""
        places = self._places()
        return f"{format_score(self.low, places)} to {format_score(self.high, places)}"

    def _places(self) -> int | None:
        """Digits behind the point; None without an interval."""
        if self.low is None or self.high is None or not self.high > self.low:
            return None
        return min(max(0, 1 - math.floor(math.log10((self.high - self.low) / 2))), 15)


def why_none(intervals: Iterable[tuple[str, Interval | None]]) -> str:
    """Sentences for below a table: why some of its intervals are missing; empty if none is.

    Args:
        intervals: of the rows, each with the name of its row.
    """
    named = [(name, each) for name, each in intervals if each is not None]
    rows: dict[str, list[str]] = {}
    for name, each in named:
        if each.missing:
            rows.setdefault(each.missing, []).append(name)
    if len(named) == 1:
        return "".join(f"{reason[:1].upper()}{reason[1:]}." for reason in rows)
    lines = [f"{_rows_without(names, len(named))}: {reason}." for reason, names in rows.items()]
    few = [reason.endswith(_TOO_FEW) for reason in rows]
    # The table has the number of episodes of each row.
    if any(few) and max(map(len, rows.values())) < len(named):
        lines = [line for line, short in zip(lines, few, strict=True) if not short]
        lines.insert(0, f"Rows of fewer than {LEAST} episodes have no interval.")
    return " ".join(lines)


_TOO_FEW = f"too few for an interval; {LEAST} would do"

NAMED = 6
"""Most rows that a sentence names."""


def _rows_without(names: Sequence[str], rows: int) -> str:
    if len(names) == rows:
        return "No row has an interval"
    more = len(names) - NAMED
    others = [f"{more} other row{'s' * (more > 1)}"] if more > 0 else []
    return f"No interval for {'; '.join([*names[:NAMED], *others])}"


def format_score(score: float, places: int | None = None) -> str:
    """A score in words: with four significant digits, or as a whole number from 1,000 on.

    Args:
        score: any number.
        places: digits behind the point, instead.

    >>> format_score(0.5), format_score(1234.5), format_score(0.5, places=2)
    ('0.5', '1,234', '0.50')
    """
    if not abs(score) < MOST:
        return f"{score:.4g}"
    if places is None:
        return f"{score:,.0f}" if abs(score) >= 999.95 else f"{score:.4g}"
    return f"{round(score, places) + 0.0:,.{places}f}"  # + 0.0 makes -0 a 0


def iqm(scores: Scores) -> float:
    """Interquartile mean: the mean of the middle half.

    A quarter of the scores, rounded down, is cut from each end (Agarwal et al. 2021,
    arXiv:2108.13264).
    """
    return float(_iqm(scores))


def _iqm(scores: Scores) -> Scores:
    count = scores.shape[-1]
    cut = count // 4
    return np.asarray(np.sort(scores, axis=-1)[..., cut : count - cut].mean(axis=-1))


def mean_interval(*games: Sequence[float]) -> Interval:
    """The mean of the games' mean scores, with its interval; of one game, its mean score.

    The interval is that of Student's t and of Hall's transformed t together. Hall's (1992, On the
    removal of skewness by transformation, J. R. Statist. Soc. B 54) follows the skewness of the
    scores, which Student's ignores; Student's never trusts a skewness that is only chance. Both use
    the quantile of 0.95 + 0.2 / n, which lifts the coverage of skewed scores at small n above 93%.
    Each game varies by itself: that the games differ from each other is no uncertainty. A game
    whose scores were all equal counts as one that never scores otherwise (`Interval.equal`).

    Args:
        games: the scores of each game, one an episode; for a difference of two players on the same
            seeds, the differences.

    Raises:
        ValueError: a game has no scores, or one that is not between -`MOST` and `MOST`.
    """
    strata = _checked(games)
    value = float(np.mean([scores.mean() for scores in strata]))
    if missing := _missing(strata):
        return Interval(value, missing=missing)
    equal = _equal(strata)
    spread = max(float(np.ptp(scores)) for scores in strata)
    variance = third = 0.0
    for scores in strata:
        n = len(scores)
        off = (scores - scores.mean()) / spread
        variance += float((off**2).sum()) / (n - 1) / n
        third += float((off**3).sum()) / (n - 1) / (n - 2) / n
    error, skew = math.sqrt(variance) * spread / len(strata), third / variance**1.5
    reach = student(_level(strata), min(map(len, strata)) - 1)
    down, up = (reach, reach) if abs(skew) < 1e-9 else (_hall(reach, skew), -_hall(-reach, skew))
    low, high = value - max(down, reach) * error, value + max(up, reach) * error
    return Interval(value, low, high, equal=equal)


def iqm_interval(*games: Sequence[float]) -> Interval:
    """The interquartile mean of the scores of all games together, with its interval.

    A bootstrap over the episodes of each game by itself (Agarwal et al. 2021): the percentiles that
    hold 0.95 + 0.2 / n of 2,000 resamples, which are the same for the same scores.

    Raises:
        ValueError: a game has no scores, or one that is not between -`MOST` and `MOST`.
    """
    strata = _checked(games)
    value = iqm(np.concatenate(strata))
    if missing := _missing(strata):
        return Interval(value, missing=missing)
    if len(strata) < LEAST_GAMES:
        few = "1 game is" if len(strata) == 1 else f"{len(strata)} games are"
        why = f"{few} too few for an interval of the IQM; {LEAST_GAMES} would do"
        return Interval(value, missing=why)
    rng = np.random.default_rng(0)
    total = sum(map(len, strata))
    batch = max(1, AT_ONCE // total)
    resampled: list[Scores] = []
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        drawn = [scores[rng.integers(len(scores), size=(rows, len(scores)))] for scores in strata]
        resampled.append(_iqm(np.concatenate(drawn, axis=1)))
    outside = (1 - _level(strata)) / 2
    low, high = np.quantile(np.concatenate(resampled), [outside, 1 - outside])
    return Interval(value, float(low), float(high), equal=_equal(strata))


_TOO_FAR = f"A score is a finite number, at most {MOST:g} above or below 0."


def _checked(games: Sequence[Sequence[float]]) -> list[Scores]:
    try:
        strata = [np.asarray(scores, dtype=np.float64) for scores in games]
    except OverflowError:
        raise ValueError(_TOO_FAR) from None
    if not strata or not all(scores.size for scores in strata):
        raise ValueError("An interval needs at least one score.")
    if not all((np.abs(scores) <= MOST).all() for scores in strata):
        raise ValueError(_TOO_FAR)
    return strata


def _equal(strata: Sequence[Scores]) -> tuple[int, ...]:
    """Places of the games whose scores were all equal."""
    return tuple(place for place, scores in enumerate(strata) if np.ptp(scores) == 0)


def _level(strata: Sequence[Scores]) -> float:
    """How much of a distribution an interval takes in, so that it covers 95% at small n too."""
    return 0.95 + 0.2 / min(map(len, strata))


def _hall(t: float, skew: float) -> float:
    """Inverse of Hall's cubic transformation, which takes the skewness out of a t statistic."""
    return 3 / skew * (float(np.cbrt(1 + skew * (t - skew / 6))) - 1)


def _missing(strata: Sequence[Scores]) -> str:
    """Why there is no interval; empty if there is one."""
    fewest, several = min(map(len, strata)), len(strata) > 1
    if fewest < LEAST:
        episodes = f"{fewest} episode{'s' * (fewest > 1)}{' a game' * several}"
        are = "is" if fewest == 1 else "are"
        return f"{episodes} {are} {_TOO_FEW}"
    if len(_equal(strata)) == len(strata):
        return f"all {fewest} scores{' of each game' * several} were equal"
    return ""


def counted(count: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "decision"), counted(3000, "decision")
    ('1 decision', '3,000 decisions')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def times(count: int) -> str:
    """How often something happened, in words.

    >>> times(1), times(2), times(3000)
    ('once', 'twice', '3,000 times')
    """
    return {1: "once", 2: "twice"}.get(count) or f"{count:,} times"


@lru_cache(maxsize=1024)
def student(level: float, freedom: float) -> float:
    """Student's t: how many standard errors to each side hold a share `level`.

    >>> round(student(0.95, 9), 4)
    2.2622
    """
    if freedom > 1000:
        z = NormalDist().inv_cdf((1 + level) / 2)
        return z + (z**3 + z) / (4 * freedom)
    # The density is that of cos(angle) ** (freedom - 1), where t = sqrt(freedom) * tan(angle).
    edges = np.linspace(0, math.pi / 2, 50_001)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.concatenate(([0.0], np.cumsum(np.cos(middles) ** (freedom - 1))))
    return math.sqrt(freedom) * math.tan(float(np.interp(level * below[-1], below, edges)))
