"""The oracle of confidence sequences beside the library of the papers' authors, where that is installed.

It is no dependency of the tests: it is built from source, which takes Boost's headers and a pybind11 that
fits the interpreter.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.stats import uniform_boundaries as oracle

confseq = pytest.importorskip("confseq.boundaries")
quantiles = pytest.importorskip("confseq.quantiles")

TIMES = st.floats(1.0, 1e6)
LEVELS = st.floats(0.001, 0.2)
# Masses of lattice laws are summed to fewer digits there.
CLOSE = 1e-6


@given(TIMES, LEVELS, TIMES)
def test_normal_mixture(v: float, alpha: float, v_opt: float) -> None:
    expected = confseq.normal_mixture_bound(v, alpha, v_opt, 0.05, True)

    assert oracle.normal_mixture_bound(v, alpha, v_opt) == pytest.approx(expected, rel=CLOSE)


@given(TIMES, LEVELS, TIMES, st.floats(0.1, 5.0))
def test_gamma_exponential_mixture(v: float, alpha: float, v_opt: float, c: float) -> None:
    expected = confseq.gamma_exponential_mixture_bound(v, alpha, v_opt, c, 0.05)

    assert oracle.gamma_exponential_mixture_bound(v, alpha, v_opt, c) == pytest.approx(expected, rel=CLOSE)


@given(st.floats(10.0, 1e5), LEVELS, st.floats(10.0, 1e5), st.floats(0.05, 0.95))
def test_beta_binomial_mixture(v: float, alpha: float, v_opt: float, p: float) -> None:
    expected = confseq.beta_binomial_mixture_bound(v, alpha, v_opt, p, 1.0 - p, 0.05, True)

    assert oracle.beta_binomial_mixture_bound(v, alpha, v_opt, p, 1.0 - p) == pytest.approx(
        expected, rel=CLOSE
    )


@given(st.integers(100, 5000), st.floats(0.2, 0.8), LEVELS, st.floats(10.0, 1e3))
def test_interval_of_a_rate(n: int, share: float, alpha: float, t_opt: float) -> None:
    x = math.ceil(n * share)
    expected = confseq.bernoulli_confidence_interval(x, n, alpha, t_opt)

    assert oracle.bernoulli_interval(x, n, alpha, t_opt) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.floats(0.05, 0.95), st.integers(1000, 1_000_000), LEVELS, st.integers(10, 1000))
def test_double_stitching(p: float, t: int, alpha: float, t_opt: int) -> None:
    expected = quantiles.double_stitching_bound(p, t, alpha, t_opt)

    assert oracle.double_stitching_bound(p, t, alpha, t_opt) == pytest.approx(expected, rel=CLOSE)
