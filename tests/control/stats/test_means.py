"""Asymptotic sequences for means."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.means import half_width, half_width_one_sided, mean_difference


def test_sequences_narrow_with_data_and_widen_with_confidence() -> None:
    assert half_width(1.0, 10_000, 0.05) < half_width(1.0, 1_000, 0.05)
    assert half_width(1.0, 1_000, 0.01) > half_width(1.0, 1_000, 0.05)
    assert half_width_one_sided(1.0, 1_000, 0.05) < half_width(1.0, 1_000, 0.05)


def test_small_arms_have_no_interval() -> None:
    """Below a thousand values a skewed metric's variance is not known."""
    assert mean_difference((999, 1.0, 1.0), (5000, 1.0, 1.0), 0.05) is None


def test_watched_differences_are_rarely_wrong() -> None:
    """200 skewed streams, 40 looks: 10 misses are expected at most, more than 20 once in a thousand seeds."""
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(200):
        canary, control = rng.exponential(1.0, (2, 8000))
        wrong = False
        for n in range(1000, 8001, 175):
            found = mean_difference(_sums(canary[:n]), _sums(control[:n]), 0.05)
            assert found is not None
            wrong |= not found[1] <= 0.0 <= found[2]
        missed += wrong

    assert missed <= 20


def test_the_estimate_is_the_difference_of_means() -> None:
    rng = np.random.default_rng(5)
    canary, control = rng.normal(2.0, 1.0, 5000), rng.normal(1.5, 1.0, 9000)

    found = mean_difference(_sums(canary), _sums(control), 0.05)

    assert found is not None
    assert found[0] == pytest.approx(canary.mean() - control.mean())
    assert found[1] < 0.5 < found[2]
    assert found[1] > 0.3


def _sums(values: np.ndarray) -> tuple[int, float, float]:
    return len(values), float(values.sum()), float((values**2).sum())
