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


_DRAWS = 9999


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


class Mean(NamedTuple):
    """A mean over episodes, with its standard error: 0 if all of them agree, NaN of a single one."""

    value: float
    error: float
    episodes: int

    @classmethod
    def of(cls, values: Array) -> "Mean":
        """The mean of values `[E]`."""
        values = np.asarray(values, dtype=np.float64)
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
        return cls(float(values.mean()), error, len(values))

    def draws(self, number: int, rng: np.random.Generator) -> Array:
        """What the mean may really be, given these episodes: Student's t around it (Weerahandi 1993)."""
        if self.error == 0:
            return np.full(number, self.value)
        return self.value + self.error * rng.standard_t(max(1, self.episodes - 1), size=number)


def score_interval(
    values: Array, low: Mean, high: Mean, statistic: Callable[..., Array], *, confidence: float = 0.95
) -> Interval:
    """The score (statistic − low) / (high − low) of values `[S]`, with an interval for the error of all three.

    It is the percentile interval of the score where the statistic is bootstrapped over seeds, as in
    `bootstrap_interval`, and both ends of the scale are drawn from their generalised pivots: a generalised confidence
    interval (Weerahandi 1993, "Generalized confidence intervals", JASA 88:899-905). Unlike the delta method it allows
    for the few episodes behind an end, and for a ratio that is skewed by them.

    Args:
        values: returns, one for each seed.
        low: scores 0.
        high: scores 1.
        statistic: takes an array and `axis`.
        confidence: of the interval. NaN at both ends of one seed, or of an end of the scale with a single episode.
    """
    values = np.asarray(values, dtype=np.float64)
    estimate = float((statistic(values, axis=-1) - low.value) / (high.value - low.value))
    if len(values) < 2 or not np.isfinite([low.error, high.error]).all():
        return Interval(estimate, np.nan, np.nan)
    drawn, rng = np.full(_DRAWS, float(statistic(values, axis=-1))), np.random.default_rng(1)
    if np.ptp(values) > 0:
        resampled = bootstrap((values,), statistic, method="percentile", n_resamples=_DRAWS, rng=0)
        drawn = resampled.bootstrap_distribution
    zero, one = low.draws(_DRAWS, rng), high.draws(_DRAWS, rng)
    tail = 100 * (1 - confidence) / 2
    ends = np.percentile((drawn - zero) / (one - zero), [tail, 100 - tail])
    return Interval(estimate, float(ends[0]), float(ends[1]))


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
