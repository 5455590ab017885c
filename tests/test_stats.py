"""Statistics against values computed by hand, and intervals against what they say of themselves."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from atari_vlm import stats
from benchmarks.coverage import DISTRIBUTIONS, GAMES, trials, trials_over_games

TEN = [1.0, 4, 2, 8, 5, 7, 1, 3, 9, 30]


def test_the_interquartile_mean_is_the_mean_of_the_middle_half():
    assert stats.iqm(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == np.mean([2, 3, 4, 5])


@pytest.mark.parametrize(("count", "words"), [(1, "1 episode is"), (9, "9 episodes are")])
def test_too_few_scores_have_no_interval_and_say_how_many_would_do(count, words):
    interval = stats.mean_interval(TEN[:count])
    assert (interval.low, interval.high) == (None, None)
    assert interval.missing == f"{words} too few for an interval; 10 would do"
    assert str(interval) == stats.format_score(np.mean(TEN[:count]))


def test_ten_scores_have_an_interval_that_leans_where_the_scores_do():
    interval = stats.mean_interval(TEN)
    assert interval.missing == ""
    assert interval.low < 7 == interval.value < interval.high
    assert interval.high - 7 > 7 - interval.low
    mirrored = stats.mean_interval([-score for score in TEN])
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


def test_equal_scores_have_no_interval_of_no_width():
    interval = stats.mean_interval([3] * 12)
    assert (interval.value, interval.low, interval.high) == (3, None, None)
    assert interval.missing == "all 12 scores were equal"


def test_of_several_games_the_one_with_the_fewest_scores_counts():
    few = stats.mean_interval(TEN, TEN[:4])
    assert few.missing == "4 episodes a game are too few for an interval; 10 would do"
    assert (
        stats.mean_interval([1] * 10, [2] * 10).missing == "all 10 scores of each game were equal"
    )
    assert stats.mean_interval([1] * 10, TEN).low is not None


def test_a_difference_between_games_is_no_uncertainty():
    near, far = (stats.mean_interval(TEN, np.array(TEN) + shift) for shift in (0, 1e6))
    assert far.high - far.low == pytest.approx(near.high - near.low)


def test_an_interval_moves_and_stretches_with_its_scores():
    once, again = stats.mean_interval(TEN), stats.mean_interval(1e-7 * np.array(TEN) - 5)
    assert again.low == pytest.approx(1e-7 * once.low - 5, abs=1e-12)
    assert again.high == pytest.approx(1e-7 * once.high - 5, abs=1e-12)


@pytest.mark.parametrize(
    ("level", "freedom", "value"),
    [(0.95, 1, 12.7062), (0.95, 9, 2.26216), (0.99, 4, 4.60409), (0.95, 4000, 1.96056)],
)
def test_the_quantiles_of_student_are_those_of_the_tables(level, freedom, value):
    assert stats.student(level, freedom) == pytest.approx(value, rel=1e-5)


# The standard error of 600 trials that cover 93% is 1 point: below 90.5% a method has lost.
@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_an_interval_covers_what_it_says(name, n):
    tally = trials(name, n, 600, others=False)["ours"]
    assert tally.shown
    assert tally.coverage > 0.905


@pytest.mark.parametrize("name", GAMES)
def test_an_interval_over_games_covers_what_it_says(name):
    mean, middle = trials_over_games(name, 10, 200)
    assert mean.shown == middle.shown == 200
    assert mean.coverage > 0.885
    assert middle.coverage > 0.885


@pytest.mark.parametrize("n", [2, 3, 5, 9])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_interval_is_made_of_too_few_episodes(name, n):
    assert trials(name, n, 20, others=False)["ours"].shown == 0


def test_the_trials_find_a_method_that_does_not_cover():
    tallies = trials("skewed (lognormal, sigma 1)", 10, 300)
    assert tallies["percentile"].coverage < 0.85
    assert tallies["ours"].width > tallies["percentile"].width


def test_equal_scores_give_equal_intervals():
    games = [TEN, TEN[::-1], *(np.array(TEN) + k for k in range(3))]
    assert stats.iqm_interval(*games) == stats.iqm_interval(*games)
    assert stats.mean_interval(TEN) == stats.mean_interval(TEN)


def test_an_interquartile_mean_of_few_games_has_no_interval():
    missing = stats.iqm_interval(TEN, TEN).missing
    assert missing == "2 games are too few for an interval of the IQM; 5 would do"


def test_memory_grows_with_the_scores_and_not_with_the_resamples():
    games = [np.random.default_rng(k).normal(size=800) for k in range(5)]
    tracemalloc.start()
    stats.mean_interval(np.concatenate(games))
    stats.iqm_interval(*games)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [math.inf] * 10])
def test_scores_that_are_none_raise_a_value_error(scores):
    with pytest.raises(ValueError, match=r"at least one score|finite"):
        stats.mean_interval(scores)


def test_each_reason_is_said_once_with_its_rows():
    few, equal, ten = (stats.mean_interval(scores) for scores in ([1, 2], [3] * 10, TEN))
    named = [("a", few), ("b", None), ("c", equal), ("d", few), ("e", ten)]
    assert stats.why_none(named) == (
        "Rows of fewer than 10 episodes have no interval. "
        "No interval for c: all 10 scores were equal."
    )
    assert stats.why_none([("a", few), ("d", few)]).startswith("No row has an interval: 2 ep")
    assert stats.why_none([("a", few), ("e", ten)]) == stats.why_none(named).partition(" No ")[0]
    assert stats.why_none([("", equal)]) == "All 10 scores were equal."
    assert stats.why_none([("e", ten), ("b", None)]) == ""
    many = [(str(k), equal) for k in range(8)]
    assert "0; 1; 2; 3; 4; 5; 2 other rows: all" in stats.why_none([*many, ("e", ten)])


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.07103, 0.929, "0.50 (0.07 to 0.93)"),
        (18.4, 16.64, 19.79, "18.4 (16.6 to 19.8)"),
        (29197.1, 26408.2, 40151.4, "29,197 (26,408 to 40,151)"),
        (-0.9, -2.4, -0.04, "-0.9 (-2.4 to 0.0)"),
        (0.001234, 0.001111, 0.001444, "0.00123 (0.00111 to 0.00144)"),
    ],
)
def test_digits_follow_from_the_width_of_the_interval(value, low, high, text):
    assert str(stats.Interval(value, low, high)) == text


def test_the_largest_scores_have_finite_intervals_and_larger_ones_are_refused():
    made = stats.mean_interval([stats.MOST, -stats.MOST] * 5)
    assert all(map(math.isfinite, (made.value, made.low, made.high)))
    for scores in ([1e308, -1e308] * 5, [1e16] * 10, [10**400]):
        with pytest.raises(ValueError, match=r"at most 1e\+15 above or below 0"):
            stats.mean_interval(scores)


def test_a_game_without_spread_is_named_by_its_place():
    assert stats.mean_interval(TEN, [0] * 10, TEN).equal == (1,)
    assert stats.iqm_interval(TEN, [0] * 10, TEN, TEN, TEN).equal == (1,)
    assert stats.mean_interval(TEN, TEN).equal == ()
