"""The two-sample bet against scipy, its bounds, and its symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, nchypergeom_fisher

from control.stats.hypergeometric import (
    EXACT_REQUESTS_MAX,
    OddsRatios,
    is_exact,
    log_mgf_bound,
    log_mgf_exact,
)
from control.stats.mixture import ODDS, PSI

BLOCKS = st.tuples(st.integers(1, 300), st.integers(1, 300)).flatmap(
    lambda n: st.tuples(st.just(n[0]), st.just(n[1]), st.integers(0, n[0]), st.integers(0, n[1]))
)


@pytest.mark.parametrize(
    ("n_c", "n_t", "x_c", "x_t"),
    [(5, 95, 1, 0), (50, 50, 20, 9), (400, 600, 30, 500), (3000, 3000, 1600, 1500), (10_000, 10_000, 99, 51)],
)
def test_exact_log_e_is_the_ratio_of_fishers_law_to_the_central_one(
    n_c: int, n_t: int, x_c: int, x_t: int
) -> None:
    """An independent implementation of both laws gives the same ratio, for long and short ranges."""
    bad, total = x_c + x_t, n_c + n_t
    psi = np.array([0.5, 1.2, 2.0, 5.0])

    log_e = x_c * np.log(psi) - log_mgf_exact(n_c, n_t, bad, psi)

    expected = [
        nchypergeom_fisher.logpmf(x_c, total, n_c, bad, odds) - hypergeom.logpmf(x_c, total, n_c, bad)
        for odds in psi
    ]
    assert log_e == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(BLOCKS)
def test_expectation_under_the_null_is_one(block: tuple[int, int, int, int]) -> None:
    """Averaged over the hypergeometric law of x_c, every e-value is one when exact, and never above it."""
    n_c, n_t, x_c, x_t = block
    bad, total = x_c + x_t, n_c + n_t
    splits = np.arange(max(0, bad - n_t), min(n_c, bad) + 1)
    chances = hypergeom.pmf(splits, total, n_c, bad)

    means = sum(
        chance * np.exp(ODDS.log_increments(n_c, n_t, int(x), int(bad - x)))
        for chance, x in zip(chances, splits, strict=True)
    )

    if 0 < bad < total and is_exact(n_c, n_t, bad):
        assert means == pytest.approx(np.ones(len(PSI)), rel=1e-8)
    assert (means <= 1.0 + 1e-8).all()


@given(BLOCKS)
def test_bound_is_never_below_the_exact_sum(block: tuple[int, int, int, int]) -> None:
    """So that a bet that uses it is only ever more careful."""
    n_c, n_t, x_c, x_t = block

    gap = log_mgf_bound(n_c, n_t, x_c + x_t, PSI) - log_mgf_exact(n_c, n_t, x_c + x_t, PSI)

    assert (gap >= -1e-9).all()


@given(BLOCKS)
def test_bets_do_not_depend_on_what_is_called_bad_or_canary(block: tuple[int, int, int, int]) -> None:
    """Exchanging bad with good, or canary with control, turns psi into 1 / psi."""
    n_c, n_t, x_c, x_t = block
    bets = OddsRatios(PSI)

    log_e = x_c * np.log(PSI) - log_mgf_exact(n_c, n_t, x_c + x_t, PSI)
    good = -(n_c - x_c) * np.log(PSI) - log_mgf_exact(n_c, n_t, n_c + n_t - x_c - x_t, 1.0 / PSI)
    other = -x_t * np.log(PSI) - log_mgf_exact(n_t, n_c, x_c + x_t, 1.0 / PSI)

    assert good == pytest.approx(log_e, abs=1e-7)
    assert other == pytest.approx(log_e, abs=1e-7)
    assert bets.size == len(PSI)


@given(BLOCKS)
def test_more_canary_failures_never_weaken_the_evidence(block: tuple[int, int, int, int]) -> None:
    """With the number of bad requests fixed, moving one to the canary raises every e-value."""
    n_c, n_t, x_c, x_t = block
    if x_t == 0 or x_c == n_c:
        return

    before, after = (ODDS.log_increments(n_c, n_t, x_c + k, x_t - k) for k in (0, 1))

    assert (after >= before).all()


@pytest.mark.parametrize("block", [(0, 10, 0, 3), (10, 0, 3, 0), (10, 10, 0, 0), (10, 10, 10, 10)])
def test_blocks_without_chance_say_nothing(block: tuple[int, int, int, int]) -> None:
    """An empty arm, no failure or nothing but failures is no evidence either way."""
    assert (ODDS.log_increments(*block) == 0.0).all()


def test_fast_bound_equals_the_plain_one() -> None:
    """The one that is used for single blocks computes the same four forms."""
    for n_c, n_t, bad in [(5, 95, 3), (50, 950, 9), (5000, 5000, 4999), (1, 10**9, 10)]:
        fast = ODDS._log_mgf_bound(n_c, n_t, bad)

        assert fast == pytest.approx(log_mgf_bound(n_c, n_t, bad, PSI), rel=1e-12)


def test_choice_of_form_depends_on_what_the_law_is_conditional_on() -> None:
    """Large and one-sided blocks take the bound; x_c has no say."""
    assert is_exact(50, 50, 30)
    assert not is_exact(50, 50, 3)
    assert is_exact(5, 95, 30)
    assert not is_exact(3, 97, 30)
    assert not is_exact(EXACT_REQUESTS_MAX, EXACT_REQUESTS_MAX, EXACT_REQUESTS_MAX)


def test_billion_requests_are_no_trouble() -> None:
    """Counts far beyond any block stay finite and have the sign of the difference."""
    n = 10**9
    worse = ODDS.log_increments(n, n, 1_020_000, 1_000_000)
    same = ODDS.log_increments(n, n, 1_000_000, 1_000_000)

    assert np.isfinite(worse).all()
    # log LR at psi = 1.2 for 1.02: still negative; the point is that cancellation has not eaten it.
    x, rho = 2_020_000, 0.5
    expected = 1_020_000 * math.log(1.2) - x * math.log1p(rho * 0.2)
    assert worse[0] == pytest.approx(expected, rel=1e-3)
    assert (same < 0).all()


def test_impossible_counts_are_refused() -> None:
    """More bad requests than requests is an error of the caller."""
    with pytest.raises(ValueError, match="not counts of a block"):
        ODDS.log_increments(10, 10, 11, 0)
