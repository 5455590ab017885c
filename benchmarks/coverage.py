"""How often a 95% interval covers the true mean score, by method: the table in docs/scores.md.

Run: python benchmarks/coverage.py [trials]. In each trial a player with a known distribution of
scores plays n episodes, and each method makes an interval of them. The table says how many of the
intervals hold the true mean, and how wide they are on average, in standard deviations of a score. A
trial without an interval (all scores equal) does not count. Every trial comes from a seed.

The methods: `percentile` (what the package printed before), `BCa` and `bootstrap t` (Efron and
Tibshirani 1993, chapters 12 to 14), `Bayesian` bootstrap (Rubin 1981), `Student` t, `Johnson` (his
skewness-adjusted t, 1978), `Hall` (transformed t, 1992), and `ours`, that of `stats.mean_interval`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from atari_vlm import stats

Array = NDArray[np.float64]
Draw = Callable[[Generator, tuple[int, int]], Array]
Bounds = tuple[Array, Array]
"""The lower and the upper bounds, one a trial."""

EPISODES = (3, 5, 10, 30)
RESAMPLES = 999
RARER = 5
"""The methods that resample get one trial in five: they take a hundred times as long."""
AT_ONCE = 4_000_000
"""Resampled scores in memory at a time."""


def peaks(share: float) -> Draw:
    """Scores around 100 in a share of the games, around 0 in the others."""
    return lambda g, size: 100.0 * (g.random(size) < share) + 10 * g.standard_normal(size)


DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda g, size: g.standard_normal(size), 0.0),
    "uniform": (lambda g, size: g.random(size), 0.5),
    "heavy tails (Student, 3 d.f.)": (lambda g, size: g.standard_t(3, size), 0.0),
    "skewed (exponential)": (lambda g, size: g.exponential(size=size), 1.0),
    "skewed (gamma 1/2)": (lambda g, size: g.gamma(0.5, size=size), 0.5),
    "skewed (lognormal, sigma 1)": (lambda g, size: g.lognormal(size=size), float(np.exp(0.5))),
    "skewed downwards": (lambda g, size: 21 - g.exponential(4, size=size), 17.0),
    "two peaks, half and half": (peaks(0.5), 50.0),
    "two peaks, 3 in 10": (peaks(0.3), 30.0),
    "half zero, half exponential": (
        lambda g, size: (g.random(size) < 0.5) * g.exponential(size=size),
        0.5,
    ),
    "few points (Poisson, mean 1)": (lambda g, size: g.poisson(1, size=size) * 1.0, 1.0),
    "one of two scores, 1 in 2": (lambda g, size: 1400 + 1000 * (g.random(size) < 0.5), 1900.0),
    "one of two scores, 1 in 10": (lambda g, size: 1400 + 1000 * (g.random(size) < 0.1), 1500.0),
    "nearly constant, 1 in 50": (lambda g, size: 1.0 * (g.random(size) < 0.02), 0.02),
}
"""Name -> (draws scores, their true mean)."""


def over_games(kinds: Sequence[tuple[str, float, float]]) -> list[tuple[Draw, float]]:
    """Distributions of several games: (name in DISTRIBUTIONS, factor, added) -> (draw, mean)."""
    return [
        (
            lambda g, size, draw=DISTRIBUTIONS[name][0], k=k, c=c: k * draw(g, size) + c,
            k * DISTRIBUTIONS[name][1] + c,
        )
        for name, k, c in kinds
    ]


GAMES: dict[str, list[tuple[Draw, float]]] = {
    "12 games, each distribution once": over_games(
        [
            (name, 1 / 100 if "peaks" in name else 1 / 1000, i / 4)
            for i, name in enumerate(
                [
                    name
                    for name in DISTRIBUTIONS
                    if name not in ("uniform", "nearly constant, 1 in 50")
                ]
            )
        ]
    ),
    "5 games, one rules (lognormal)": over_games(
        [("skewed (lognormal, sigma 1)", 10, 0), *[("normal", 1, 0)] * 4]
    ),
    "5 games with two peaks each": over_games([("two peaks, 3 in 10", 1, 0)] * 5),
    "5 games with few points each": over_games([("few points (Poisson, mean 1)", 1, 0)] * 5),
}
"""Name -> the distribution of each game."""


# --- the other methods ---------------------------------------------------------------------------


def closed(scores: Array) -> dict[str, Bounds]:
    """Intervals of trials x episodes, by the methods that resample nothing."""
    n, mean = scores.shape[1], scores.mean(axis=1)
    error = scores.std(axis=1, ddof=1) / np.sqrt(n)
    t = stats.student(0.95, n - 1)
    third = ((scores - mean[:, None]) ** 3).sum(axis=1) / ((n - 1) * (n - 2)) / n
    shift, skew = third / (6 * error**2), third / error**3
    skew = np.where(np.abs(skew) < 1e-9, 1e-9, skew)
    high, low = (3 / skew * (np.cbrt(1 + skew * (q - skew / 6)) - 1) for q in (t, -t))
    return {
        "Student": (mean - t * error, mean + t * error),
        "Johnson": (mean + shift - t * error, mean + shift + t * error),
        "Hall": (mean - high * error, mean - low * error),
    }


def resampled(scores: Array, rng: Generator) -> dict[str, Bounds]:
    """Intervals of trials x episodes, by the methods that resample."""
    count, n = scores.shape
    mean, error = scores.mean(axis=1), scores.std(axis=1, ddof=1) / np.sqrt(n)
    drawn = rng.integers(n, size=(count, RESAMPLES * n), dtype=np.int32)
    again = np.take_along_axis(scores, drawn, axis=1).reshape(count, RESAMPLES, n)
    means, spread = again.mean(axis=2), again.std(axis=2, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (means - mean[:, None]) / spread
    low, high = _percentiles(np.nan_to_num(ratios, nan=0.0, posinf=1e12, neginf=-1e12))
    weights = rng.exponential(size=(count, RESAMPLES, n))
    weighted = np.einsum("trn,tn->tr", weights, scores) / weights.sum(axis=2)
    return {
        "percentile": _percentiles(means),
        "BCa": _bca(scores, means),
        "Bayesian": _percentiles(weighted),
        "bootstrap t": (mean - high * error, mean - low * error),
    }


def _percentiles(resampled: Array) -> Bounds:
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    return low, high


def _bca(scores: Array, means: Array) -> Bounds:
    """Percentiles, corrected for bias and acceleration."""
    normal = NormalDist()
    quantile, share = np.vectorize(normal.inv_cdf), np.vectorize(normal.cdf)
    mean = scores.mean(axis=1)[:, None]
    below = (means < mean).mean(axis=1) + (means == mean).mean(axis=1) / 2
    bias = quantile(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    off = mean - scores
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = np.nan_to_num((off**3).sum(axis=1) / (6 * (off**2).sum(axis=1) ** 1.5))
    ordered, rows = np.sort(means, axis=1), np.arange(len(means))
    bounds = []
    for z in (-1.96, 1.96):
        at = share(bias + (bias + z) / (1 - pull * (bias + z)))
        bounds.append(ordered[rows, np.clip((at * RESAMPLES).astype(int), 0, RESAMPLES - 1)])
    return bounds[0], bounds[1]


# --- the trials ----------------------------------------------------------------------------------


class Tally:
    """How many intervals there were, how many cover, and how wide they are."""

    def __init__(self) -> None:
        self.shown = self.covering = 0
        self.width = 0.0

    def add(self, low: Array, high: Array, truth: float) -> None:
        """Count intervals; those with nothing in them are left out."""
        near = 1e-9 * (1 + abs(truth))
        self.shown += len(low)
        self.covering += int(((low <= truth + near) & (high >= truth - near)).sum())
        self.width += float(np.clip(high - low, 0, 1e6).sum())

    @property
    def coverage(self) -> float:
        """Share of the intervals that hold the truth."""
        return self.covering / max(self.shown, 1)


def ours(scores: Iterable[Array]) -> Bounds:
    """The package's intervals of trials; trials without one are left out."""
    made = [stats.mean_interval(each) for each in scores]
    low = [each.low for each in made if each.low is not None]
    high = [each.high for each in made if each.high is not None]
    return np.array(low), np.array(high)


def trials(name: str, n: int, count: int, *, others: bool = True) -> dict[str, Tally]:
    """Every method on `count` trials of one distribution.

    Args:
        name: in DISTRIBUTIONS.
        n: episodes.
        count: trials.
        others: False for our own method alone.
    """
    draw, truth = DISTRIBUTIONS[name]
    rng = default_rng([n, list(DISTRIBUTIONS).index(name)])
    unit = float(np.std(draw(default_rng(0), (1, 100_000))))
    tallies: dict[str, Tally] = {}
    made, batch = 0, max(1, AT_ONCE // (RESAMPLES * n))
    while made < count:
        scores = np.asarray(draw(rng, (min(batch, count - made), n)), dtype=np.float64)
        varied = scores[np.ptp(scores, axis=1) > 0]
        found: dict[str, Bounds] = {}
        if others and len(varied):
            found = closed(varied)
            if made < count / RARER:
                found = {**resampled(varied, default_rng([made, n])), **found}
        found["ours"] = ours(scores)
        made += len(scores)
        for method, (low, high) in found.items():
            tallies.setdefault(method, Tally()).add(low / unit, high / unit, truth / unit)
    return tallies


def trials_over_games(name: str, n: int, count: int) -> tuple[Tally, Tally]:
    """The mean over games, and the interquartile mean of all games, on `count` trials."""
    games = GAMES[name]
    rng = default_rng([n, list(GAMES).index(name)])
    mean = float(np.mean([truth for _, truth in games]))
    many = [draw(default_rng(1), (1, 200_000))[0] for draw, _ in games]
    middle = stats.iqm(np.concatenate(many))
    tallies = Tally(), Tally()
    for _ in range(count):
        scores = [draw(rng, (1, n))[0] for draw, _ in games]
        made = stats.mean_interval(*scores), stats.iqm_interval(*scores)
        for tally, interval, truth in zip(tallies, made, (mean, middle), strict=True):
            if interval.low is not None and interval.high is not None:
                tally.add(np.array([interval.low]), np.array([interval.high]), truth)
    return tallies


def rows(count: int) -> Iterator[str]:
    """The lines of the tables; the last has the worst coverage of an interval that is printed."""
    worst = 1.0
    for n in EPISODES:
        fewer = f"{count // RARER:,} for bootstraps"
        yield f"n = {n}: coverage (mean width), over {count:,} trials; {fewer}"
        yield ""
        heads: list[str] = []
        for name in DISTRIBUTIONS:
            tallies = trials(name, n, count)
            if not heads:
                heads = list(tallies)
                yield f"| scores | {' | '.join(heads)} |"
                yield f"|---|{'---|' * len(heads)}"
            cells = [_cell(tallies[head]) for head in heads]
            yield f"| {name} | {' | '.join(cells)} |"
            if tallies["ours"].shown:
                worst = min(worst, tallies["ours"].coverage)
        yield ""
    rarer = max(1, count // RARER)
    yield f"Over games, n episodes each, {rarer:,} trials"
    yield ""
    yield "| games | n | mean of games | interquartile mean |"
    yield "|---|---|---|---|"
    for name in GAMES:
        for n in (10, 30):
            both = trials_over_games(name, n, rarer)
            yield f"| {name} | {n} | {_cell(both[0])} | {_cell(both[1])} |"
            worst = min(worst, *(tally.coverage for tally in both if tally.shown))
    yield ""
    yield f"coverage: at least {100 * worst:.1f}% wherever an interval is printed"


def _cell(tally: Tally) -> str:
    if not tally.shown:
        return "none"
    width = tally.width / tally.shown
    return f"{100 * tally.coverage:.1f}% ({f'{width:.2f}' if width < 1000 else 'no bound'})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", type=int, nargs="?", default=10_000, help="default: 10000")
    for row in rows(parser.parse_args().trials):
        print(row, flush=True)
