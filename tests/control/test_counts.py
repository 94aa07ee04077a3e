"""Counts as vectors: adding, storing, quantiles."""

import numpy as np
import pytest

from control.counts import CELLS, NOTHING, Counts, loads_counts, make_counts, quantile_seconds
from proxy.histogram import BUCKETS, bucket_index
from tests.helpers.counts import outcomes


def counts() -> Counts:
    return make_counts(
        {"started": 12, "finished": 11, "failed": 3, "lost": 1, "bytes_out": 2**50},
        outcomes(7, 3, 1),
        [(5, 4), (360, 3)],
        [(0, 7)],
        groups=[(0, 5), (63, 7), (127, 3)],
        group_times=[(63, 2), (64, 1), (383, 4)],
        metrics=[(0, 2), (129, 2**61)],
    )


def test_counts_survive_being_written_down() -> None:
    """What is stored is what was counted, cell for cell."""
    assert np.array_equal(loads_counts(counts().dumps()).cells, counts().cells)
    assert np.array_equal(loads_counts(NOTHING.dumps()).cells, np.zeros(CELLS))


def test_counts_written_before_a_field_existed_can_be_read() -> None:
    """A store outlives the version that wrote it."""
    old = '{"scalars": [5, 4], "outcomes": [4], "total": [[7, 4]], "first_byte": []}'

    read = loads_counts(old)

    assert (read.started, read.finished, read.failed) == (5, 4, 0)
    assert read.outcomes[0] == 4
    assert read.total[7] == 4


def test_groups_and_metrics_are_found_where_they_belong() -> None:
    """Requests, failures and classes of answers by group of keys; one row for each of the route's metrics."""
    requests, failures, quickest, second, *_, slowest = counts().groups
    assert (requests[0], requests[63]) == (5, 7)
    assert (failures[63], failures.sum()) == (3, 3)
    assert (quickest[63], second[0], slowest[63], counts().groups[2:].sum()) == (2, 1, 4, 7)
    assert counts().metrics.shape == (4, 128)
    assert (counts().metrics[0, 0], counts().metrics[1, 1]) == (2, 2**61)


def test_what_the_split_routed_leaves_overrides_out() -> None:
    """A request that named its variant says nothing about the weights."""
    assert counts().routed == 11


def test_a_difference_is_never_negative() -> None:
    """A sample taken before an arm was dropped and counted anew is larger than the present."""
    less = counts().since(counts() + counts())

    assert less.started == 0
    assert less.cells.min() == 0


def test_a_quantile_is_within_its_bucket() -> None:
    """The middle of a bucket 4.4 % wide is at most 2.2 % off."""
    histogram = np.zeros(BUCKETS, dtype=np.int64)
    histogram[bucket_index(20_000)] = 98
    histogram[bucket_index(500_000)] = 2

    assert quantile_seconds(histogram, 0.5) == pytest.approx(0.020, rel=0.045)
    assert quantile_seconds(histogram, 0.95) == pytest.approx(0.020, rel=0.045)
    assert quantile_seconds(histogram, 0.99) == pytest.approx(0.500, rel=0.045)


def test_no_request_has_no_quantile() -> None:
    """No data is not zero seconds."""
    assert quantile_seconds(np.zeros(BUCKETS, dtype=np.int64), 0.5) is None
