"""Bets against a margin: valid under their null, quick when there is nothing to see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from control.stats.affine import SAFE_SHARES, Differences, Harm, Ratios, Safe, affine_log_e
from control.stats.looseness import LEVELS, limits, margins

RATES = st.floats(0.001, 0.5)
SIZES = st.integers(1, 12)


@settings(max_examples=40)
@given(n_c=SIZES, n_t=SIZES, theta_t=RATES, m=st.floats(1.0, 3.0), delta=st.floats(0.0, 0.05))
def test_harm_bets_are_fair_at_the_margin(n_c: int, n_t: int, theta_t: float, m: float, delta: float) -> None:
    """At theta_c = m theta_t + delta the expectation over all outcomes is at most one."""
    theta_c = min(1.0, m * theta_t + delta)

    means = _expectation(n_c, n_t, theta_c, theta_t, Harm(m, delta).log_increments)

    assert (means <= 1.0 + 1e-9).all()


@settings(max_examples=40)
@given(n_c=SIZES, n_t=SIZES, theta_t=RATES, m=st.floats(1.0, 3.0), delta=st.floats(0.0, 0.05))
def test_safe_bets_are_fair_at_the_margin(n_c: int, n_t: int, theta_t: float, m: float, delta: float) -> None:
    """The same for bets on the absence of harm, at and beyond their margin."""
    for excess in (0.0, 0.1):
        theta_c = min(1.0, m * theta_t + delta + excess)
        if m * theta_t + delta > theta_c:
            continue

        means = _expectation(n_c, n_t, theta_c, theta_t, Safe([(m, delta)]).log_increments)

        assert (means <= 1.0 + 1e-9).all()


def test_no_failure_promotes_by_the_rule_of_three() -> None:
    """Without a canary failure about log(1/alpha)/delta requests suffice, give or take the mixture."""
    delta, alpha = 0.005, 0.05
    bet = Safe([(1.2, delta)])
    values = np.zeros(bet.size)
    requests = 0
    while bet.log_e(values)[0] < math.log(1.0 / alpha):
        values += bet.log_increments(10, 10, 0, 0)
        requests += 10

    assert math.log(1.0 / alpha) / delta <= requests <= 1.6 * math.log(1.0 / alpha) / delta


def test_looser_margins_are_reached_earlier() -> None:
    """All levels read the same data; the final one is the last to be shown."""
    bet = Safe(margins(1.2, 0.005))
    values = sum((bet.log_increments(50, 50, 1, 1) for _ in range(20)), start=np.zeros(bet.size))

    by_level = bet.log_e(values)

    assert len(by_level) == LEVELS
    assert by_level == sorted(by_level)


def test_levels_of_looseness_begin_with_the_final_margin() -> None:
    """Level 0 is what was configured."""
    assert margins(1.2, 0.005)[0] == (1.2, 0.005)
    assert limits(0.02) == [0.02, 0.04, 0.08, 0.16]
    assert limits(0.4) == [0.4, 0.5, 0.5, 0.5]
    assert limits(0.6) == [0.6, 0.6, 0.6, 0.6]


def test_ratio_sums_are_additive_and_peak_at_the_truth() -> None:
    """The log-likelihood of the Poisson form is largest near the ratio of the rates."""
    bet = Ratios()
    values = sum((bet.log_increments(100, 100, 6, 3) for _ in range(200)), start=np.zeros(bet.size))

    assert bet.grid[int(values.argmax())] == pytest.approx(2.0, rel=0.06)
    assert (bet.log_increments(0, 10, 0, 1) == 0.0).all()
    assert (bet.log_increments(10, 10, 0, 0) == 0.0).all()


def test_difference_sums_give_the_affine_bets_for_every_delta() -> None:
    """At m = 1 the part without delta and its factor are all there is to know."""
    block = (40, 60, 3, 2)
    fixed, slope = np.split(Differences().log_increments(*block), 2)

    for delta in (-0.02, 0.0, 0.01):
        direct = affine_log_e(*block, Differences.r, 1.0, delta)

        assert fixed - delta * slope == pytest.approx(direct, abs=1e-12)
    assert (Differences().log_increments(0, 5, 0, 0) == 0.0).all()


def test_empty_arms_say_nothing() -> None:
    """Without concurrent control there is nothing to compare with."""
    assert (Harm(1.2, 0.0).log_increments(10, 0, 3, 0) == 0.0).all()
    assert (Safe([(1.2, 0.01)]).log_increments(0, 10, 0, 1) == 0.0).all()


def test_harm_mixture_grows_beyond_the_margin_and_shrinks_within() -> None:
    """A canary at twice the tolerated rate is found out, one below it is not."""
    bet = Harm(1.5, 0.001)
    worse, fine = (
        bet.log_e(sum((bet.log_increments(100, 100, x, 2) for _ in range(100)), start=np.zeros(bet.size)))
        for x in (7, 2)
    )

    assert worse > math.log(1000)
    assert fine < 0
    assert len(SAFE_SHARES) == 12


def _expectation(n_c: int, n_t: int, theta_c: float, theta_t: float, bet: object) -> np.ndarray:
    assert callable(bet)
    total = 0.0
    for x_c in range(n_c + 1):
        for x_t in range(n_t + 1):
            chance = binom.pmf(x_c, n_c, theta_c) * binom.pmf(x_t, n_t, theta_t)
            total = total + chance * np.exp(bet(n_c, n_t, x_c, x_t))
    return np.asarray(total)
