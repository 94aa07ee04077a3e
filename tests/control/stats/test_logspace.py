"""Sums of numbers that are known by their logarithms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from control.stats.logspace import log_sum_exp, log_sum_exp_of

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(VALUES)
def test_equal_to_scipys(values: list[float]) -> None:
    expected = float(logsumexp(values))

    assert float(log_sum_exp(np.array(values))) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert log_sum_exp_of(values) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_sums_run_along_the_last_axis() -> None:
    values = np.log(np.arange(1.0, 7.0).reshape(2, 3))

    assert np.exp(log_sum_exp(values)) == pytest.approx([6.0, 15.0])


def test_nothing_has_no_weight() -> None:
    assert log_sum_exp_of([-math.inf, -math.inf]) == -math.inf
