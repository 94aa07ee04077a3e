"""Confidence sequences: nested, symmetric, never far from differently tuned ones, and they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln

from control.stats.affine import Differences, Ratios
from control.stats.sequences import (
    difference_interval,
    proportion_interval,
    quantile_bounds,
    ratio_interval,
)
from tests.control.stats import uniform_boundaries as oracle

COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_proportion_intervals_are_nested_in_alpha(count: tuple[int, int]) -> None:
    wide, narrow = proportion_interval(*count, 0.001), proportion_interval(*count, 0.1)

    assert 0.0 <= wide[0] <= narrow[0] <= count[0] / count[1] <= narrow[1] <= wide[1] <= 1.0


@given(COUNTS)
def test_proportion_intervals_are_symmetric(count: tuple[int, int]) -> None:
    low, high = proportion_interval(*count, 0.05)
    other = proportion_interval(count[1] - count[0], count[1], 0.05)

    assert (1.0 - other[1], 1.0 - other[0]) == pytest.approx((low, high), abs=1e-9)


@given(COUNTS)
def test_ends_are_where_the_mixture_reaches_its_limit(count: tuple[int, int]) -> None:
    """By definition: log e at an end that is not 0 or 1 equals log(1 / alpha)."""
    x, n = count
    for p in proportion_interval(x, n, 0.05):
        if 0.0 < p < 1.0:
            log_e = (
                betaln(x + 0.5, n - x + 0.5) - betaln(0.5, 0.5) - x * math.log(p) - (n - x) * math.log1p(-p)
            )

            assert log_e == pytest.approx(math.log(20.0), rel=1e-6)


@pytest.mark.parametrize(("x", "n"), [(3, 100), (50, 1000), (900, 1000), (120, 10_000)])
def test_proportion_intervals_are_like_differently_tuned_ones(x: int, n: int) -> None:
    """A beta-binomial sequence tuned to the very sample size is at most a third narrower."""
    low, high = proportion_interval(x, n, 0.05)
    other_low, other_high = oracle.bernoulli_interval(x, n, 0.05, n)

    assert other_high - other_low <= 1.1 * (high - low)
    assert high - low <= 1.5 * (other_high - other_low)


def test_billion_requests_keep_their_digits() -> None:
    low, high = proportion_interval(10**6, 10**9, 0.05)

    # The half-width is sqrt(2 variance log(...) / n): about 5 standard errors at this size.
    error = math.sqrt(1e-3 / 1e9)
    assert 1e-3 - low == pytest.approx(high - 1e-3, rel=1e-2)
    assert 3 * error < high - 1e-3 < 6 * error


def test_no_data_is_no_knowledge() -> None:
    assert proportion_interval(0, 0, 0.05) == (0.0, 1.0)
    assert ratio_interval(np.zeros(Ratios.size), 0.05) == (0.0, None)
    assert difference_interval(np.zeros(Differences.size), 0.05) == (-1.0, 1.0)
    empty = np.zeros(20, dtype=np.int64)
    assert quantile_bounds(empty, np.array([0.5]), 0.05).tolist() == [[0, 19]]


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3.0))
def test_ratio_and_difference_intervals_are_nested_and_cover(seed: int, ratio: float) -> None:
    """At one look at level 1 in 10 000 both contain the truth, and a wider level contains a narrower one."""
    rng = np.random.default_rng(seed)
    ratios, differences = _sums(rng, ratio, blocks=60)

    low, high = ratio_interval(ratios, 1e-4)
    narrow_low, narrow_high = ratio_interval(ratios, 0.1)
    assert low <= narrow_low <= ratio * 1.06
    assert high is None or (narrow_high is not None and high >= narrow_high >= ratio / 1.06)
    below, above = difference_interval(differences, 1e-4)
    narrow_below, narrow_above = difference_interval(differences, 0.1)
    assert below <= narrow_below <= narrow_above <= above
    assert below <= 0.05 * (ratio - 1.0) <= above


def test_intervals_are_rarely_wrong_at_any_look() -> None:
    """150 streams watched at every third of 60 blocks miss the truth at 5 % as often as allowed.

    7.5 misses are expected at most; a correct interval exceeds 17 less than once in a thousand seeds.
    """
    rng = np.random.default_rng(1)
    truth = 1.6
    missed = np.zeros(2, dtype=np.int64)
    for _ in range(150):
        ratios, differences = np.zeros(Ratios.size), np.zeros(Differences.size)
        wrong = np.zeros(2, dtype=np.bool_)
        for look in range(60):
            block = _block(rng, truth)
            ratios += Ratios().log_increments(*block)
            differences += Differences().log_increments(*block)
            if look % 3:
                continue
            low, high = ratio_interval(ratios, 0.05)
            below, above = difference_interval(differences, 0.05)
            wrong |= [
                not (low <= truth and (high is None or truth <= high)),
                not below <= 0.05 * (truth - 1.0) <= above,
            ]
        missed += wrong

    assert missed.max() <= 17


def test_quantile_bounds_narrow_around_the_quantile() -> None:
    """Buckets that hold the quantile are kept; with more data fewer others are."""
    shape = np.array([5, 20, 50, 20, 5], dtype=np.int64)

    few = quantile_bounds(np.concatenate((np.zeros(3, dtype=np.int64), shape)), np.array([0.5, 0.9]), 0.05)
    many = quantile_bounds(
        np.concatenate((np.zeros(3, dtype=np.int64), shape * 1000)), np.array([0.5, 0.9]), 0.05
    )

    assert many.tolist() == [[5, 5], [6, 6]]
    assert (few[:, 0] <= many[:, 0]).all()
    assert (few[:, 1] >= many[:, 1]).all()


def test_quantile_bounds_are_rarely_wrong_at_any_look() -> None:
    """300 streams watched 50 times: at 5 % 15 misses are expected at most, 28 once in a thousand seeds."""
    rng = np.random.default_rng(2)
    law = np.diff(1.0 - np.exp(-np.linspace(0, 6, 25)), append=1.0)
    law /= law.sum()
    truth = int(np.searchsorted(np.cumsum(law), 0.95))
    missed = 0
    for _ in range(300):
        counts = np.zeros(len(law), dtype=np.int64)
        wrong = False
        for _ in range(50):
            counts = counts + rng.multinomial(40, law)
            (first, last) = quantile_bounds(counts, np.array([0.95]), 0.05)[0]
            wrong |= not first <= truth <= last
        missed += wrong

    assert missed <= 28


def _block(rng: np.random.Generator, ratio: float) -> tuple[int, int, int, int]:
    n_c, n_t = (int(n) + 1 for n in rng.poisson(50, 2))
    return n_c, n_t, int(rng.binomial(n_c, 0.05 * ratio)), int(rng.binomial(n_t, 0.05))


def _sums(rng: np.random.Generator, ratio: float, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = [_block(rng, ratio) for _ in range(blocks)]
    return (
        sum((Ratios().log_increments(*block) for block in drawn), start=np.zeros(Ratios.size)),
        sum((Differences().log_increments(*block) for block in drawn), start=np.zeros(Differences.size)),
    )
