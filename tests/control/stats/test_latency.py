"""Thresholds, slow requests and quantiles from histogram counts."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.stats.latency import UPPER_EDGES, quantile, quantile_name, shift, slower, summary, threshold
from proxy.histogram import BUCKETS, EDGES_US

LATENCIES = st.lists(st.floats(0.0002, 100.0), min_size=1, max_size=300)


def histogram(seconds: list[float]) -> npt.NDArray[np.int64]:
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for value in seconds:
        counts[bisect_left(EDGES_US, int(value * 1e6))] += 1
    return counts


@given(LATENCIES, st.sampled_from([0.25, 0.5, 0.9, 0.95, 0.99]))
def test_quantiles_are_at_most_half_a_bucket_off(seconds: list[float], q: float) -> None:
    """2.2 % of the order statistic, which is all a bucket can promise."""
    exact = float(np.quantile(seconds, q, method="inverted_cdf"))

    assert quantile(histogram(seconds), q) == pytest.approx(exact, rel=0.023)


def test_threshold_is_the_edge_nearest_to_the_quantile() -> None:
    """Whichever edge leaves a share closest to the level, below or above."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    counts[100], counts[101], counts[102] = 48, 10, 42

    assert threshold(counts, 0.5) == 100
    assert threshold(counts, 0.57) == 101
    assert slower(counts, 100) == 52
    assert slower(counts, BUCKETS - 1) == 0


def test_a_tail_threshold_waits_for_data() -> None:
    """A p99 of a hundred answers would be their maximum."""
    counts = np.zeros(BUCKETS, dtype=np.int64)
    counts[50] = 499

    assert threshold(counts, 0.99) is None
    assert threshold(counts, 0.5) is not None
    counts[50] += 1
    assert threshold(counts, 0.99) is not None
    assert threshold(np.zeros(BUCKETS, dtype=np.int64), 0.5) is None


@pytest.mark.parametrize(("factor", "buckets"), [(1.0, 0), (1.25, 5), (1.5, 9), (2.0, 16), (100.0, 106)])
def test_a_factor_is_a_shift_of_buckets(factor: float, buckets: int) -> None:
    """Within half a bucket of the factor that was asked for."""
    assert shift(factor) == buckets
    assert 2.0 ** (shift(factor) / 16) == pytest.approx(factor, rel=0.023)


def test_summary_has_value_and_interval_for_each_quantile() -> None:
    """Intervals contain their value, narrow with data, and nothing is shown for nothing."""
    rng = np.random.default_rng(1)
    few = histogram(rng.lognormal(-3, 0.5, 60).tolist())
    many = histogram(rng.lognormal(-3, 0.5, 6000).tolist())
    levels = np.array([0.5, 0.95])

    for counts in (few, many):
        for value, low, high in summary(counts, levels, 0.05):
            assert value is not None
            assert low is not None
            assert high is not None
            assert low <= value <= high
    assert _width(summary(many, levels, 0.05)[0]) < _width(summary(few, levels, 0.05)[0])
    assert summary(np.zeros(BUCKETS, dtype=np.int64), levels, 0.05) == [[None] * 3, [None] * 3]


def test_without_data_there_is_no_quantile() -> None:
    assert quantile(np.zeros(BUCKETS, dtype=np.int64), 0.5) is None
    assert quantile_name(0.95) == "p95"
    assert quantile_name(0.999) == "p99.9"
    assert UPPER_EDGES[0] == pytest.approx(1e-4)


def _width(figures: list[float | None]) -> float:
    assert figures[1] is not None
    assert figures[2] is not None
    return figures[2] / figures[1]
