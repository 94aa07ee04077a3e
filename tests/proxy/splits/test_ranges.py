"""Ranges cover everything, belong to who is owed them, and change hands as little as possible."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.splits.ranges import PIECES_MAX, Ranges, centred, moved, ranges_of, read_ranges, succeed


def normal(parts: list[int]) -> list[float]:
    """Parts as shares of their sum."""
    return [part / sum(parts) for part in parts]


def weights(count: int) -> st.SearchStrategy[list[float]]:
    """Shares of this many variants, some of them 0."""
    return st.lists(st.integers(0, 10_000), min_size=count, max_size=count).filter(any).map(normal)


def changed(before: Ranges, after: Ranges) -> float:
    """How much of [0, 1) has another owner, found by cutting at every border of either."""
    borders = sorted({0.0, 1.0, *(min(u, 1.0) for u in [*before.uppers, *after.uppers])})
    return sum(
        end - start
        for start, end in pairwise(borders)
        if owner(before, (start + end) / 2) != owner(after, (start + end) / 2)
    )


def owner(ranges: Ranges, fraction: float) -> int:
    """Whose range a fraction falls into."""
    return ranges.indexes[bisect_right(ranges.uppers, fraction)]


PAIRS = st.integers(1, 8).flatmap(lambda count: st.tuples(weights(count), weights(count)))


@settings(deadline=None)
@given(st.integers(1, 8).flatmap(weights))
def test_layouts_give_everyone_their_share(shares: list[float]) -> None:
    """Both layouts add up to the shares, cover every fraction and end with an open range."""
    for layout in (ranges_of(shares), centred(shares)):
        assert layout.shares(len(shares)) == pytest.approx(shares, abs=1e-9)
        assert owner(layout, 0.0) >= 0
        assert shares[owner(layout, 1.0)] > 0


@settings(deadline=None)
@given(PAIRS)
def test_least_possible_part_moves(pair: tuple[list[float], list[float]]) -> None:
    """After a change all shares are right, and what moved is the sum of what was gained."""
    old, new = pair
    before = centred(old)

    after = moved(before, new)

    least = sum(max(0.0, b - a) for a, b in zip(old, new, strict=True))
    assert after.shares(len(new)) == pytest.approx(new, abs=1e-9)
    assert changed(before, after) == pytest.approx(least, abs=1e-9)


@settings(deadline=None)
@given(st.tuples(weights(3), st.integers(1, 5_000), st.integers(1, 5_000)))
def test_three_variants_need_no_memory(case: tuple[list[float], int, int]) -> None:
    """Whatever the first of three gives to or takes from the others moves the least by itself."""
    old, second, third = case
    first_share = 1 - second / 10_000 - third / 10_000
    new = [first_share, second / 10_000, third / 10_000]
    grow = new[1] >= old[1] and new[2] >= old[2]
    shrink = new[1] <= old[1] and new[2] <= old[2]

    part = changed(centred(old), centred(new))

    if grow or shrink:
        assert part == pytest.approx(abs(new[0] - old[0]), abs=1e-9)


def test_no_rule_without_a_memory_moves_the_least() -> None:
    """The example that shows why the ranges of the table before are needed for three variants."""
    corners = [centred(shares) for shares in ([0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])]

    parts = [changed(corners[a], corners[b]) for a, b in ((0, 1), (0, 2), (1, 2))]

    assert max(parts) > 0.5 + 1e-9
    assert changed(corners[0], moved(corners[0], [0, 0.5, 0.5])) == pytest.approx(0.5)


@settings(deadline=None)
@given(st.integers(1, 8).flatmap(lambda count: st.lists(weights(count), min_size=2, max_size=6)))
def test_shares_that_stay_leave_everything_where_it_is(history: list[list[float]]) -> None:
    """After any history the same shares again give the very same ranges, so tables can be compared."""
    ranges = centred(history[0])
    for shares in history[1:]:
        ranges = moved(ranges, shares)

    names = [str(index) for index in range(len(history[0]))]
    again = succeed(names, ranges.to_json(), names, history[-1])

    assert again is not None
    assert (again.uppers, again.indexes) == (ranges.uppers, ranges.indexes)


def test_variants_come_and_go_by_name() -> None:
    """A variant that leaves gives all it has, one that comes takes its share; the order does not matter."""
    before = centred([0.5, 0.3, 0.2])

    after = succeed(["a", "b", "c"], before.to_json(), ["c", "d", "a"], [0.2, 0.3, 0.5])

    assert after is not None
    assert after.shares(3) == pytest.approx([0.2, 0.3, 0.5])
    names = {0: "c", 1: "d", 2: "a"}
    for fraction in (n / 1000 for n in range(1000)):
        was = "abc"[owner(before, fraction)]
        now = names[owner(after, fraction)]
        assert now == ("d" if was == "b" else was)


def test_too_many_pieces_start_afresh() -> None:
    """Ranges that were cut up by hundreds of changes are not cut any further."""
    count = PIECES_MAX + 2
    pieces = [[(n + 1) / count, n % 2] for n in range(count)]

    assert succeed(["a", "b"], pieces, ["a", "b"], [0.5, 0.5]) is None


@settings(deadline=None)
@given(PAIRS)
def test_plain_form_round_trips(pair: tuple[list[float], list[float]]) -> None:
    """Ranges read from their plain form are the same."""
    ranges = moved(centred(pair[0]), pair[1])

    again = read_ranges(ranges.to_json(), len(pair[0]), "ranges")

    assert (again.uppers, again.indexes) == (ranges.uppers, ranges.indexes)
