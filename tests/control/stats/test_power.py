"""How many requests decisions take."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from control.stats.power import (
    below_requests,
    fixed_requests,
    kl,
    promotion_requests,
    rollback_limit,
    rollback_requests,
    safe_growth,
    safe_requests,
)


@pytest.mark.parametrize(
    ("p0", "p1", "rho", "expected"),
    [(0.01, 0.02, 0.05, 817), (0.01, 0.05, 0.5, 200), (0.001, 0.005, 0.1, 896), (0.05, 0.25, 0.05, 15)],
)
def test_limits_are_the_two_sample_walds(p0: float, p1: float, rho: float, expected: float) -> None:
    """Computed beforehand from log(1/alpha) rho / D."""
    assert rollback_limit(p0, p1, rho, 0.05) == pytest.approx(expected, abs=0.6)
    assert rollback_requests(p0, p1, rho, 0.05) == pytest.approx(1.5 * expected, abs=1.0)


@pytest.mark.parametrize(
    ("p0", "m", "delta", "expected"),
    [(0.01, 1.5, 0.0, 3169), (0.01, 2.0, 0.0, 976), (0.001, 1.2, 0.002, 2889)],
)
def test_promotion_limits(p0: float, m: float, delta: float, expected: float) -> None:
    assert promotion_requests(p0, m, delta, 0.05) == pytest.approx(1.6 * expected, rel=2e-3)


def test_what_no_margin_allows_takes_for_ever() -> None:
    assert promotion_requests(0.01, 1.0, 0.0, 0.05) == math.inf
    assert below_requests(0.05, 0.02, 0.05) == math.inf
    assert safe_requests(0.1, 0.01, 0.5, 1.2, 0.0, 0.05) == math.inf
    assert rollback_limit(0.01, 0.01, 0.5, 0.05) == math.inf


def test_growth_is_quicker_with_a_better_canary_and_a_wider_margin() -> None:
    equal = safe_growth(0.01, 0.01, 0.5, 1.2, 0.005)

    assert safe_growth(0.002, 0.01, 0.5, 1.2, 0.005) > equal > 0
    assert safe_growth(0.01, 0.01, 0.5, 1.4, 0.01) > equal


@pytest.mark.parametrize("ratio", [1, 9])
def test_fixed_sample_size_equals_statsmodels(ratio: int) -> None:
    expected = samplesize_proportions_2indep_onetail(
        0.03, 0.01, power=0.9, ratio=ratio, alpha=0.02, alternative="larger"
    )

    assert fixed_requests(0.01, 0.04, ratio, 0.02, 0.9) == pytest.approx(float(expected), rel=1e-9)


def test_divergence_is_zero_only_for_equal_laws() -> None:
    assert kl(0.3, 0.3) == pytest.approx(0.0)
    assert kl(0.0, 0.3) == pytest.approx(-math.log(0.7))
    assert kl(1.0, 0.3) == pytest.approx(-math.log(0.3))
