"""Tests of the latency buckets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.histogram import BUCKETS, BUCKETS_PER_DOUBLING, EDGES_US, bucket_index, bucket_upper_edge

LATENCIES = st.integers(min_value=0, max_value=10**10)


def exact_index(microseconds: int) -> int:
    """The bucket by integer arithmetic: the least i with (us / 100)^16 <= 2^i."""
    index = 0
    while microseconds**BUCKETS_PER_DOUBLING > 100**BUCKETS_PER_DOUBLING << index and index < BUCKETS - 1:
        index += 1
    return index


@given(LATENCIES)
def test_bucket_is_the_exact_one(microseconds: int) -> None:
    """No rounding error ever moves a latency into a neighbouring bucket."""
    assert bucket_index(microseconds) == exact_index(microseconds)


def test_both_sides_of_every_edge() -> None:
    """The largest latency of a bucket and the next one are told apart at every edge."""
    assert [bucket_index(edge) for edge in EDGES_US] == list(range(BUCKETS - 1))
    assert all(bucket_index(edge + 1) > index for index, edge in enumerate(EDGES_US))


@given(LATENCIES, LATENCIES)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    """A longer latency is never in a lower bucket."""
    low, high = sorted((one, other))

    assert bucket_index(low) <= bucket_index(high)


@given(st.integers(min_value=101, max_value=590_000_000))
def test_edges_enclose_the_latency(microseconds: int) -> None:
    """The bucket's edges, in seconds, lie around what was put into it."""
    index = bucket_index(microseconds)

    assert bucket_upper_edge(index - 1) < microseconds / 1e6 * (1 + 1e-12)
    assert microseconds / 1e6 <= bucket_upper_edge(index) * (1 + 1e-12)


def test_outer_buckets_take_what_lies_outside() -> None:
    """Nothing is out of range: a clock that went back and a day-long stream are counted too."""
    assert bucket_index(-5) == 0
    assert bucket_index(100) == 0
    assert bucket_index(101) == 1
    assert bucket_index(10**18) == BUCKETS - 1


def test_edges_grow_by_a_sixteenth_of_a_doubling() -> None:
    """A bucket is 4.4 % wide, wherever it is."""
    ratios = [bucket_upper_edge(b) / bucket_upper_edge(a) for a, b in pairwise(range(BUCKETS))]

    assert ratios == pytest.approx([2 ** (1 / 16)] * (BUCKETS - 1))


@pytest.mark.parametrize("index", [-1, BUCKETS])
def test_no_edge_beyond_the_buckets(index: int) -> None:
    """Asking for a bucket that is none is an error, not a number."""
    with pytest.raises(IndexError):
        bucket_upper_edge(index)
