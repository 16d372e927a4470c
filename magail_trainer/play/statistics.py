"""Estimates over training seeds, with their intervals.

A seed is the unit of resampling: `S` is the number of seeds, a value is one run's. The bootstrap starts from the same
stream on every call, so it draws the same seeds for each β.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, trim_mean

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval, in the unit of the values."""

    estimate: float
    low: float
    high: float


def interquartile_mean(values: Array, axis: int = -1) -> Array:
    """Mean of the middle half along `axis`: a quarter of the values, rounded down, is left out at either end.

    What Agarwal et al. 2021 (arXiv 2108.13264) recommend for few runs: one that failed does not decide it, and it
    varies less than the median.
    """
    return np.asarray(trim_mean(values, 0.25, axis=axis), dtype=np.float64)


def bootstrap_interval(
    values: Array, statistic: Callable[..., Array], *, confidence: float = 0.95, rng_seed: int = 0
) -> Interval:
    """A statistic of values `[S]` with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The interval has no width where all seeds agree, or where there is one. With five seeds it is somewhat too narrow,
    as every bootstrap of so few values is.

    Args:
        values: one for each seed.
        statistic: takes an array and `axis`.
        confidence: of the interval.
        rng_seed: decides which seeds are drawn.

    Raises:
        ValueError: there are no values or one of them is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected one finite value per seed, got an array of shape {values.shape}: {values}")
    estimate = float(statistic(values, axis=-1))
    if np.ptp(values) == 0:  # resampling cannot change it, but rounding can
        return Interval(estimate, estimate, estimate)
    resampled = bootstrap((values,), statistic, method="percentile", confidence_level=confidence, rng=rng_seed)
    return Interval(estimate, float(resampled.confidence_interval.low), float(resampled.confidence_interval.high))
