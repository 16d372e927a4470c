"""Uncertainty over training seeds.

The unit of resampling is a seed: `S` is the number of seeds, each with one value. Runs that share a seed and differ in
β share their noise; the bootstrap starts from the same stream on every call, so it draws the same seeds for each β.
"""

import numpy as np
from scipy.stats import binomtest, bootstrap

from magail_trainer.play.statistics import Array, Interval, bootstrap_interval


def mean_of(values: Array) -> float:
    """The mean of values `[S]`; NaN if there are none."""
    return float(np.mean(values)) if len(values) else np.nan


def mean_interval(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> Interval:
    """Mean over seeds, values `[S]`, with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The interval has zero width where all seeds agree, or with a single seed. With five seeds it is somewhat too narrow,
    as is any bootstrap of so few values.

    Raises ValueError if there are no values or one of them is not finite.
    """
    return bootstrap_interval(values, np.mean, confidence=confidence, rng_seed=rng_seed)


def mean_band(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> tuple[Array, Array]:
    """The ends of `mean_interval` for each of K rows, values `[K, S]`: `[K]` each; NaN for a row that is not finite.

    All rows draw the same seeds, as is right for one curve. With a single seed both ends are its values.
    """
    finite = np.asarray(np.isfinite(values).all(axis=1))
    if values.shape[1] == 1:
        alone = np.where(finite, values[:, 0], np.nan)
        return alone, alone
    resampled = bootstrap(
        (np.where(finite[:, np.newaxis], values, 0.0),),
        np.mean,
        axis=-1,
        method="percentile",
        confidence_level=confidence,
        rng=rng_seed,
    )
    low, high = (np.where(finite, end, np.nan) for end in resampled.confidence_interval)
    return low, high


def variance_interval(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> Interval:
    """Sample variance (ddof = 1) across seeds, values `[S]`, with its percentile bootstrap interval.

    In squared units of the values. One seed has no variance: all three numbers are NaN.

    Raises ValueError if there are no values or one of them is not finite.
    """
    if np.shape(values) == (1,):
        return Interval(np.nan, np.nan, np.nan)
    return bootstrap_interval(values, _sample_variance, confidence=confidence, rng_seed=rng_seed)


def share_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Share of successes with its exact interval (Clopper and Pearson 1934).

    Raises ValueError unless 0 ≤ successes ≤ trials and trials ≥ 1.
    """
    _require_trials(trials)
    result = binomtest(successes, trials)
    low, high = result.proportion_ci(confidence_level=confidence, method="exact")
    return Interval(successes / trials, float(low), float(high))


def fair_coin_p_value(successes: int, trials: int) -> float:
    """Two-sided exact binomial p-value of `successes` heads in `trials` tosses of a fair coin.

    Raises ValueError unless 0 ≤ successes ≤ trials and trials ≥ 1.
    """
    _require_trials(trials)
    return float(binomtest(successes, trials, p=0.5).pvalue)


def _sample_variance(values: Array, axis: int = -1) -> Array:
    return np.var(values, axis=axis, ddof=1)


def _require_trials(trials: int) -> None:
    if trials < 1:
        raise ValueError(f"a share needs at least one trial, got {trials}")
