"""How sure a mean or median is: bootstrap over sequences, since frames of one sequence err alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monocap.errors import InputError


@dataclass(frozen=True)
class Interval:
    """``value`` of the statistic with its confidence bounds ``low`` and ``high``; NaN bounds with one cluster only."""

    value: float
    low: float
    high: float
    level: float
    samples: int
    clusters: int


def bootstrap_interval(
    values: Any,
    clusters: Any | None = None,
    statistic: Literal["mean", "median"] = "mean",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean or median of per-sample ``values`` (n,).

    ``clusters`` (n,) names each value's sequence (or subject): whole sequences are drawn, with replacement, so that
    many frames of few sequences do not feign certainty. Without it every value is its own cluster. With under about
    ten clusters intervals are too narrow; the counts are in the result. The same seed gives the same bounds.
    Source: Efron and Tibshirani 1993; cluster bootstrap: Davison and Hinkley 1997, section 3.8.

    Raises InputError for empty or NaN values, another statistic, or a level outside 0–1.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"values of shape {values.shape}; expected (n,) finite numbers, n at least 1")
    if statistic not in ("mean", "median") or not 0 < level < 1 or resamples < 1:
        raise InputError(f"statistic {statistic!r}, level {level}, {resamples} resamples; expected mean or median, 0–1")
    names = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    if names.shape != values.shape:
        raise InputError(f"clusters has shape {names.shape}; expected {values.shape}, one name per value")
    _, member = np.unique(names, return_inverse=True)
    count = int(member.max()) + 1
    best = float(np.mean(values) if statistic == "mean" else np.median(values))
    if count == 1:
        return Interval(best, np.nan, np.nan, level, len(values), 1)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, count, (resamples, count))
    if statistic == "mean":
        sums, sizes = np.bincount(member, values, count), np.bincount(member, minlength=count)
        found = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    else:
        found = _medians(values, member, draws)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(best, float(low), float(high), level, len(values), count)


def _medians(values: np.ndarray, member: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Median of every resample: values stay sorted once, a resample is how often each of them counts."""
    order = np.argsort(values)
    ordered, cluster = values[order], member[order]
    found = np.empty(len(draws))
    for i, draw in enumerate(draws):
        times = np.bincount(draw, minlength=draws.shape[1])[cluster]
        reached = np.cumsum(times)
        lower, upper = np.searchsorted(reached, [(reached[-1] + 1) // 2, reached[-1] // 2 + 1])
        found[i] = 0.5 * (ordered[lower] + ordered[upper])
    return found
