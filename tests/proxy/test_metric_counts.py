"""Values of metrics in buckets: where they fall, and what their sums say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.counters import METRIC_CELLS
from proxy.metric_counts import (
    FIRST_BUCKET,
    METRIC_BUCKETS,
    SQUARES,
    SUM,
    UNIT,
    VALUES,
    MetricScale,
    count_value,
)

LINEAR = MetricScale(-1.0, 3.0, log=False)
LOG = MetricScale(0.001, 1000.0, log=True)


@pytest.mark.parametrize("scale", [LINEAR, LOG])
@given(st.floats(-10, 10_000))
def test_a_value_lies_within_its_bucket(scale: MetricScale, value: float) -> None:
    bucket = scale.bucket(value)

    assert 0 <= bucket < METRIC_BUCKETS
    if scale.low < value < scale.high:
        assert scale.edge(bucket - 1) - 1e-9 <= value <= scale.edge(bucket) * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("scale", [LINEAR, LOG])
def test_values_beyond_count_as_the_ends(scale: MetricScale) -> None:
    assert scale.bucket(scale.low - 5) == scale.bucket(scale.low) == 0
    assert scale.bucket(scale.high * 9) == scale.bucket(scale.high) == METRIC_BUCKETS - 1
    assert scale.edge(-1) == pytest.approx(scale.low)
    assert scale.edge(METRIC_BUCKETS - 1) == pytest.approx(scale.high)


def test_a_tolerance_is_a_difference_or_with_log_a_share() -> None:
    assert LINEAR.shift(4.0 / METRIC_BUCKETS * 5) == 5
    assert LOG.edge(50 + LOG.shift(0.5)) / LOG.edge(50) == pytest.approx(1.5, rel=0.06)


@given(st.lists(st.floats(-1, 3), min_size=1, max_size=50))
def test_sums_give_back_mean_and_spread(values: list[float]) -> None:
    cells = memoryview(bytearray(8 * METRIC_CELLS)).cast("Q")
    for value in values:
        count_value(cells, 0, LINEAR, value)

    mean = -1.0 + 4.0 * cells[SUM] / UNIT / len(values)
    assert cells[VALUES] == sum(cells[FIRST_BUCKET:]) == len(values)
    assert mean == pytest.approx(sum(values) / len(values), abs=1e-8)
    squares = sum(((value + 1.0) / 4.0) ** 2 for value in values)
    assert cells[SQUARES] / UNIT == pytest.approx(squares, abs=1e-8)


@pytest.mark.parametrize(
    ("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True), (-1, 1, True), (0, math.inf, False)]
)
def test_what_is_no_range_is_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValueError, match=r"range|scale"):
        MetricScale(low, high, log=log)
