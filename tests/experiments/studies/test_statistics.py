"""Intervals and p-values against SciPy and numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm

from experiments.studies import statistics
from experiments.studies.statistics import Interval

COLLAPSED = np.array([0.995, 0.004, 0.996, 0.006, 0.995])


def test_mean_interval_brackets_the_mean_within_the_data() -> None:
    interval = statistics.mean_interval(COLLAPSED)
    assert interval.estimate == pytest.approx(COLLAPSED.mean())
    assert COLLAPSED.min() <= interval.low < interval.estimate < interval.high <= COLLAPSED.max()


def test_mean_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    half_width = norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(400)
    interval = statistics.mean_interval(values)
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.02)


def test_variance_interval() -> None:
    assert statistics.variance_interval(np.array([1.0, 2.0, 6.0])).estimate == pytest.approx(7.0)
    values = np.random.default_rng(0).normal(0.0, 2.0, size=400)
    interval = statistics.variance_interval(values)
    spread = norm.ppf(0.975) * values.var(ddof=1) * math.sqrt(2 / 399)
    assert interval.low == pytest.approx(values.var(ddof=1) - spread, abs=0.15)
    assert interval.high == pytest.approx(values.var(ddof=1) + spread, abs=0.15)


def test_more_confidence_is_a_wider_interval() -> None:
    values = np.random.default_rng(0).uniform(size=30)
    wide, narrow = (statistics.mean_interval(values, confidence=confidence) for confidence in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_random_stream_is_an_argument_with_a_default() -> None:
    values = np.random.default_rng(0).uniform(size=30)
    assert statistics.mean_interval(values) == statistics.mean_interval(values)
    assert statistics.mean_interval(values) != statistics.mean_interval(values, rng_seed=1)


def test_intervals_of_different_betas_are_paired_by_seed() -> None:
    """The same seeds are drawn for both, so that adding a constant to every seed moves the interval by as much."""
    values = np.random.default_rng(0).uniform(size=30)
    here, there = statistics.mean_interval(values), statistics.mean_interval(values + 1)
    np.testing.assert_allclose(np.array(there) - 1, here, atol=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 5, 100])
def test_equal_seeds_have_intervals_of_no_width(seeds: int) -> None:
    values = np.full(seeds, 0.1)
    mean = statistics.mean_interval(values)
    assert mean.low == mean.estimate == mean.high == pytest.approx(0.1)
    variance = statistics.variance_interval(values)
    assert variance.low == variance.estimate == variance.high == pytest.approx(0.0, abs=1e-30)


def test_a_single_seed_has_a_mean_but_no_variance() -> None:
    assert statistics.mean_interval(np.array([0.3])) == Interval(0.3, 0.3, 0.3)
    assert all(math.isnan(number) for number in statistics.variance_interval(np.array([0.3])))


@pytest.mark.parametrize("values", [[], [[0.1, 0.2]], [0.1, math.nan], [math.inf, 0.0]])
def test_anything_but_one_finite_value_per_seed_is_refused(values: list[float]) -> None:
    for interval in (statistics.mean_interval, statistics.variance_interval):
        with pytest.raises(ValueError, match="one finite value per seed"):
            interval(np.array(values))


def test_share_interval_is_clopper_and_pearson() -> None:
    interval = statistics.share_interval(4, 10)
    assert interval.estimate == 0.4
    assert interval.low == pytest.approx(beta.ppf(0.025, 4, 7))
    assert interval.high == pytest.approx(beta.ppf(0.975, 5, 6))
    assert interval[1:] == pytest.approx(tuple(binomtest(4, 10).proportion_ci(method="exact")))


def test_share_interval_at_the_ends() -> None:
    assert statistics.share_interval(0, 10) == pytest.approx((0.0, 0.0, 1 - 0.025**0.1))
    assert statistics.share_interval(10, 10) == pytest.approx((1.0, 0.025**0.1, 1.0))


def test_fair_coin_p_value_by_hand() -> None:
    assert statistics.fair_coin_p_value(5, 10) == pytest.approx(1.0)
    assert statistics.fair_coin_p_value(2, 10) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert statistics.fair_coin_p_value(8, 10) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert statistics.fair_coin_p_value(0, 10) == pytest.approx(2 / 2**10)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (4, 3), (-1, 3)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    for function in (statistics.share_interval, statistics.fair_coin_p_value):
        with pytest.raises(ValueError, match=r"trial|must"):
            function(successes, trials)


def test_a_band_is_the_interval_of_every_row() -> None:
    values = np.random.default_rng(0).normal(size=(4, 5))
    values[2] = 1.5
    values[3, 0] = np.nan
    low, high = statistics.mean_band(values)
    for row in range(3):
        np.testing.assert_allclose((low[row], high[row]), statistics.mean_interval(values[row])[1:], atol=0.02)
    assert np.isnan([low[3], high[3]]).all()


def test_the_band_of_a_single_seed_is_its_values() -> None:
    for end in statistics.mean_band(np.array([[0.3], [math.nan], [2.0]])):
        np.testing.assert_array_equal(end, [0.3, math.nan, 2.0])
