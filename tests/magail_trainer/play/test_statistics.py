"""Estimates over seeds: by hand, and as scipy has them."""

import numpy as np
import pytest
from scipy.stats import bootstrap, trim_mean

from magail_trainer.play.statistics import Interval, bootstrap_interval, interquartile_mean


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([3.0], 3),
        ([1.0, 2.0], 1.5),
        ([0.0, 1.0, 5.0, 100.0], 3),
        ([100.0, 1.0, 2.0, 3.0, -50.0], 2),  # of five, one is left out at either end
        ([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -7.0], 3.5),
    ],
)
def test_the_interquartile_mean_by_hand(values: list[float], mean: float) -> None:
    assert interquartile_mean(np.array(values)) == mean


def test_the_interquartile_mean_goes_along_an_axis() -> None:
    values = np.random.default_rng(0).normal(size=(3, 10))
    np.testing.assert_allclose(interquartile_mean(values, axis=1), trim_mean(values, 0.25, axis=1))
    np.testing.assert_allclose(interquartile_mean(values, axis=0)[0], np.sort(values[:, 0])[:3].mean())


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(1).normal(size=8)
    interval = bootstrap_interval(values, interquartile_mean, rng_seed=3)
    expected = bootstrap((values,), interquartile_mean, method="percentile", rng=3).confidence_interval
    assert interval == Interval(float(interquartile_mean(values)), float(expected.low), float(expected.high))
    assert interval == bootstrap_interval(values, interquartile_mean, rng_seed=3)
    assert interval.low < interval.estimate < interval.high
    narrow = bootstrap_interval(values, interquartile_mean, confidence=0.5)
    assert interval.low < narrow.low < narrow.high < interval.high


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1, 0.1]])
def test_seeds_that_agree_leave_no_width(values: list[float]) -> None:
    estimate, low, high = bootstrap_interval(np.array(values), interquartile_mean)
    assert low == estimate == high == pytest.approx(0.1)


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, np.nan], [np.inf]])
def test_refuses_what_is_not_one_finite_value_per_seed(values: list) -> None:
    with pytest.raises(ValueError, match="expected one finite value per seed"):
        bootstrap_interval(np.array(values), interquartile_mean)
