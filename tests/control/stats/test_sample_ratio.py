"""The sample-ratio test: exact on small cases, calibrated, and it finds what it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import betabinom, binom

from control.stats.sample_ratio import LOG_MISMATCH, expected_share, sample_ratio_log_e


@pytest.mark.parametrize("rho", [0.05, 0.5, 0.9])
def test_it_is_the_ratio_of_two_laws(rho: float) -> None:
    """A beta-binomial law over the binomial one."""
    for n_c, n_t in ((0, 0), (3, 40), (700, 300)):
        n = n_c + n_t
        expected = betabinom.logpmf(n_c, n, 1000 * rho, 1000 * (1 - rho)) - binom.logpmf(n_c, n, rho)

        assert sample_ratio_log_e(n_c, n_t, rho) == pytest.approx(float(expected), rel=1e-7, abs=1e-9)


def test_true_shares_are_rarely_called_broken() -> None:
    """1 000 streams of 100 looks: one alarm is expected at most, six come once in a thousand seeds."""
    rng = np.random.default_rng(3)
    canary = rng.binomial(200, 0.1, size=(1000, 100)).cumsum(axis=1)
    total = np.arange(200, 20_001, 200)

    log_e = (
        betaln(100 + canary, 900 + total - canary)
        - betaln(100, 900)
        - canary * math.log(0.1)
        - (total - canary) * math.log(0.9)
    )

    assert int((log_e.max(axis=1) >= LOG_MISMATCH).sum()) <= 5
    assert log_e[0, -1] == pytest.approx(
        sample_ratio_log_e(int(canary[0, -1]), int(20_000 - canary[0, -1]), 0.1)
    )


def test_a_tenth_less_is_found() -> None:
    """A canary that loses a tenth of its requests is noticed within some ten thousand of them."""
    assert sample_ratio_log_e(9_000, 10_000, 0.5) > LOG_MISMATCH
    assert sample_ratio_log_e(9_950, 10_000, 0.5) < 0


def test_expected_share_knows_how_control_is_cut() -> None:
    """Equal slices up to one half, what is left beyond."""
    assert expected_share(0.05) == 0.5
    assert expected_share(0.5) == 0.5
    assert expected_share(0.75) == 0.75


def test_a_share_of_nothing_cannot_be_tested() -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        sample_ratio_log_e(1, 1, 1.0)
