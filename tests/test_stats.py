"""Statistics against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from atari_vlm import stats


def test_the_interquartile_mean_is_the_mean_of_the_middle_half():
    assert stats.iqm(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == np.mean([2, 3, 4, 5])


def test_one_score_has_no_interval():
    interval = stats.bootstrap([7], rng=np.random.default_rng(0))
    assert (interval.value, interval.low, interval.high) == (7, None, None)
    assert str(interval) == "7"


def test_equal_scores_have_an_interval_of_no_width():
    interval = stats.bootstrap([3, 3, 3], rng=np.random.default_rng(0))
    assert (interval.low, interval.value, interval.high) == (3, 3, 3)


def test_the_interval_covers_the_true_mean_in_about_95_percent():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        interval = stats.bootstrap(rng.normal(5, 2, size=30), rng=rng, resamples=500)
        covered += interval.low <= 5 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_equal_generators_give_equal_intervals():
    one, two = (stats.bootstrap([1, 5, 2, 8], rng=np.random.default_rng(4)) for _ in range(2))
    assert one == two


def test_no_scores_raise_a_value_error():
    with pytest.raises(ValueError, match="at least one score"):
        stats.bootstrap([], rng=np.random.default_rng(0))
