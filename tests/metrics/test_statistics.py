"""Bootstrap intervals: do they cover what they should, and only what they should?"""

import numpy as np
import pytest

from monocap.errors import InputError
from monocap.metrics import bootstrap_interval


def test_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        sequences = np.repeat(np.arange(25), 8)
        values = 50 + rng.normal(0, 10, 25)[sequences] + rng.normal(0, 3, 200)
        found = bootstrap_interval(values, sequences, resamples=300, seed=trial)
        hits += found.low <= 50 <= found.high
    assert 0.87 <= hits / 200 <= 0.99


def test_sequences_widen_the_interval():
    rng = np.random.default_rng(1)
    sequences = np.repeat(np.arange(12), 100)
    values = rng.normal(0, 10, 12)[sequences] + rng.normal(0, 1, 1200)
    frames, clusters = bootstrap_interval(values), bootstrap_interval(values, sequences)
    assert clusters.value == frames.value == pytest.approx(values.mean())
    assert clusters.high - clusters.low > 5 * (frames.high - frames.low)
    assert (clusters.samples, clusters.clusters, frames.clusters) == (1200, 12, 1200)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_equals_plain_resampling(statistic):
    rng = np.random.default_rng(2)
    values, names = rng.exponential(10, 37), rng.integers(0, 9, 37)
    found = bootstrap_interval(values, names, statistic, resamples=500, seed=7)
    _, member = np.unique(names, return_inverse=True)
    count = member.max() + 1
    draws = np.random.default_rng(7).integers(0, count, (500, count))
    function = {"mean": np.mean, "median": np.median}[statistic]
    plain = [function(np.concatenate([values[member == c] for c in draw])) for draw in draws]
    np.testing.assert_allclose([found.low, found.high], np.quantile(plain, [0.025, 0.975]))


def test_one_sequence_has_no_interval_and_nan_is_refused():
    found = bootstrap_interval([1.0, 2.0, 6.0], ["a", "a", "a"])
    assert found.value == 3.0
    assert np.isnan(found.low)
    with pytest.raises(InputError, match="finite"):
        bootstrap_interval([1.0, np.nan])
    with pytest.raises(InputError, match="finite"):
        bootstrap_interval([])
    with pytest.raises(InputError, match="one name per value"):
        bootstrap_interval([1.0, 2.0], ["a"])
