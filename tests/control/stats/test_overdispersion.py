"""How much more keys differ than chance."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.overdispersion import phi, variance_ratio


def test_independent_requests_have_no_overdispersion() -> None:
    """On average the ratio is one; below one it is cut, so that evidence is never blown up."""
    rng = np.random.default_rng(6)
    ratios = []
    for _ in range(200):
        requests = rng.poisson(100, 64)
        squares, expected = variance_ratio(requests, rng.binomial(requests, 0.05))
        ratios.append(squares / expected)

    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)
    assert phi((np.array([100, 100]), np.array([5, 5]))) == 1.0


def test_users_that_differ_show() -> None:
    """A few keys with all the failures raise the ratio well above one."""
    requests = np.full(64, 100)
    failures = np.zeros(64, dtype=np.int64)
    failures[:4] = 50

    assert phi((requests, failures)) > 20
    assert phi((requests, failures), (requests, np.full(64, 3))) > 5


def test_no_failures_no_statement() -> None:
    assert phi((np.full(64, 10), np.zeros(64, dtype=np.int64))) == 1.0
    assert phi() == 1.0
    assert variance_ratio(np.zeros(64, dtype=np.int64), np.zeros(64, dtype=np.int64)) == (0.0, 0.0)
