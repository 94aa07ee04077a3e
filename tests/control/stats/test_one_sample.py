"""Bets on one arm alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from control.stats.one_sample import BROKEN, LOG_BROKEN, Above, Below, one_sample_log_e


@given(limit=st.floats(0.001, 0.9999), share=st.floats(0.001, 1.0), n=st.integers(1, 30))
def test_bets_above_are_fair_up_to_the_limit(limit: float, share: float, n: int) -> None:
    """For every rate up to the limit the expectation is at most one."""
    bet = Above(limit)
    means = sum(binom.pmf(x, n, limit * share) * np.exp(bet.log_increments(n, 0, x, 0)) for x in range(n + 1))

    assert (means <= 1.0 + 1e-9).all()


@given(limit=st.floats(0.001, 0.8), share=st.floats(0.001, 1.0), n=st.integers(1, 30))
def test_bets_below_are_fair_from_the_limit_on(limit: float, share: float, n: int) -> None:
    """For every rate from the limit on the expectation is at most one."""
    bet = Below([limit])
    rate = limit + (1.0 - limit) * share
    means = sum(binom.pmf(x, n, rate) * np.exp(bet.log_increments(n, 0, x, 0)) for x in range(n + 1))

    assert (means <= 1.0 + 1e-9).all()


def test_fourteen_failures_in_a_row_mean_broken() -> None:
    """The breaker needs fourteen, and thirteen are not enough."""

    def log_e(failures: int) -> float:
        return BROKEN.log_e(BROKEN.log_increments(failures, 0, failures, 0))

    assert log_e(13) < LOG_BROKEN <= log_e(14)


def test_blocks_add_up_to_the_whole() -> None:
    """Splitting a stream into blocks changes nothing."""
    bet = Above(0.02)
    parts = bet.log_increments(100, 0, 4, 0) + bet.log_increments(250, 0, 3, 0)

    assert bet.log_e(parts) == pytest.approx(one_sample_log_e(350, 7, 0.02), rel=1e-12)


def test_several_limits_are_judged_at_once() -> None:
    """A wider limit is shown earlier."""
    bet = Below([0.01, 0.02, 0.04])

    by_limit = bet.log_e(bet.log_increments(500, 0, 2, 0))

    assert by_limit == sorted(by_limit)
    assert by_limit[2] > math.log(20)


def test_control_is_not_looked_at() -> None:
    """Whatever control does, the bet is on the canary alone."""
    bet = Above(0.02)

    assert (bet.log_increments(50, 10, 2, 1) == bet.log_increments(50, 900, 2, 800)).all()
