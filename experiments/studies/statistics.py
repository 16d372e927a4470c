"""Uncertainty over training seeds.

A seed is the unit of resampling: `S` is the number of seeds, a value is one run's. Runs that share a seed and differ
in β share their noise; the bootstrap starts from the same stream on every call, so it draws the same seeds for each β.
"""

import numpy as np
from scipy.stats import binomtest, bootstrap

from magail_trainer.play.statistics import Array, Interval, bootstrap_interval, interquartile_mean


def mean_interval(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> Interval:
    """Mean over seeds, values `[S]`, with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The interval has no width where all seeds agree, or where there is one. With five seeds it is somewhat too narrow,
    as every bootstrap of so few values is.

    Raises ValueError if there are no values or one of them is not finite.
    """
    return bootstrap_interval(values, np.mean, confidence=confidence, rng_seed=rng_seed)


def mean_band(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> tuple[Array, Array]:
    """The ends of `mean_interval` for each of K rows at once, values `[K, S]`: `[K]` each.

    All rows draw the same seeds, as is right for one curve. A row with a value that is not finite has NaN.
    """
    finite = np.asarray(np.isfinite(values).all(axis=1))
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


def iqm_interval(values: Array, *, confidence: float = 0.95, rng_seed: int = 0) -> Interval:
    """Interquartile mean over seeds, values `[S]`, with its percentile bootstrap interval (Agarwal et al. 2021).

    One run that failed does not decide it. Where half the runs go one way and half the other, as the P(A) of runs that
    collapse, it lies between them as any mean does: show the share of either beside it.

    Raises ValueError if there are no values or one of them is not finite.
    """
    return bootstrap_interval(values, interquartile_mean, confidence=confidence, rng_seed=rng_seed)


def paired_difference_interval(
    values: Array, baseline: Array, *, confidence: float = 0.95, rng_seed: int = 0
) -> Interval:
    """Mean of values − baseline over seeds, `[S]` each in the same order of seeds, with its paired bootstrap interval.

    Seeds are drawn, and with a seed both of its runs. Two βs of one seed share their noise, which cancels here: the
    interval is narrower than that between two independent means, and is the one to judge an effect of β by.

    Raises ValueError if the two differ in length, there are no values or one of them is not finite.
    """
    values, baseline = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if values.shape != baseline.shape:
        raise ValueError(f"a paired difference needs the same seeds twice, got {values.shape} and {baseline.shape}")
    return mean_interval(values - baseline, confidence=confidence, rng_seed=rng_seed)


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
    """Two-sided exact binomial p-value of so many heads in so many tosses of a fair coin.

    Raises ValueError unless 0 ≤ successes ≤ trials and trials ≥ 1.
    """
    _require_trials(trials)
    return float(binomtest(successes, trials, p=0.5).pvalue)


def _sample_variance(values: Array, axis: int = -1) -> Array:
    return np.var(values, axis=axis, ddof=1)


def _require_trials(trials: int) -> None:
    if trials < 1:
        raise ValueError(f"a share needs at least one trial, got {trials}")
