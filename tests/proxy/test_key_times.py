"""Answers by group of keys fall into classes of how slow they were among the arm's own."""

from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.counters import GROUP_TIMES, GROUPS, SLOT_CELLS, TIME_CLASSES, slot_base
from proxy.histogram import BUCKETS
from proxy.key_times import ANSWERS_MIN, CELLS, LEVELS, KeyTimes

BASE: Final = slot_base(1)
Cells = memoryview


def page() -> Cells:
    """An empty page of two slots."""
    return memoryview(bytearray((BASE + SLOT_CELLS) * 8)).cast("Q")


def count(times: KeyTimes, group: int, bucket: int) -> None:
    """Count an answer."""
    times.counts[times.classes[bucket] * GROUPS + group] += 1


def classes(cells: Cells) -> list[list[int]]:
    """What the page holds, by class and group."""
    held = cells[BASE + GROUP_TIMES : BASE + GROUP_TIMES + CELLS].tolist()
    return [held[at : at + GROUPS] for at in range(0, CELLS, GROUPS)]


def test_slow_keys_are_in_slow_classes() -> None:
    """Once there are enough answers to tell, a group with all slow answers fills the slowest classes."""
    cells, totals = page(), [0] * BUCKETS
    times = KeyTimes(cells, BASE, totals)
    for number in range(1000):
        group, bucket = (7, 200) if number % 20 == 0 else (number % 5, 50 + number % 7)
        count(times, group, bucket)
        totals[bucket] += 1
        if number % 10 == 9:
            times.settle(totals)

    held = classes(cells)
    assert len(held) == TIME_CLASSES == len(LEVELS) + 1
    assert sum(map(sum, held)) == 1000
    assert [row[7] for row in held] == [1, 0, 0, 0, 49, 0], "the slowest twentieth: beyond p90, at p99"
    assert sum(held[0][:5]) + sum(held[1][:5]) > 400, "about half of the others are below their median"


def test_too_few_answers_are_all_quick() -> None:
    """Nothing is called slow before a quartile is known."""
    cells, totals = page(), [0] * BUCKETS
    times = KeyTimes(cells, BASE, totals)
    for number in range(ANSWERS_MIN):
        count(times, number, number)
        totals[number] += 1
    times.settle(totals)

    assert classes(cells)[0][:ANSWERS_MIN] == [1] * ANSWERS_MIN
    count(times, 63, BUCKETS - 1)
    times.settle(totals)
    assert classes(cells)[TIME_CLASSES - 1][63] == 1


def test_a_new_writer_goes_on_where_the_last_one_stopped() -> None:
    """Counts are kept, and thresholds come from the histogram that is in the page as well."""
    cells, totals = page(), [0] * BUCKETS
    totals[10:110] = [1] * 100
    first = KeyTimes(cells, BASE, totals)
    count(first, 3, 109)
    first.settle(totals)
    second = KeyTimes(cells, BASE, totals)
    count(second, 3, 109)
    second.settle(totals)

    assert classes(cells)[TIME_CLASSES - 1][3] == 2


@given(st.lists(st.integers(0, BUCKETS - 1), min_size=ANSWERS_MIN, max_size=300))
def test_classes_begin_beyond_the_nearest_edges_to_the_quantiles(buckets: list[int]) -> None:
    """No other edge between two buckets has a share of answers below it that is nearer to the quantile."""
    totals = np.bincount(buckets, minlength=BUCKETS)
    cells = page()
    times = KeyTimes(cells, BASE, totals.tolist())
    for bucket in range(BUCKETS):
        count(times, bucket % GROUPS, bucket)
    times.settle(totals.tolist())

    sizes = np.sum(classes(cells), axis=1)
    below = np.concatenate(([0], totals.cumsum())) / totals.sum()
    edges = sizes.cumsum()[:-1]
    for level, edge in zip(LEVELS, edges, strict=True):
        assert abs(below[edge] - level) <= np.abs(below - level).min() + 1e-12
