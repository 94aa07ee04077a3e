"""How much more keys differ than chance."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.overdispersion import phi, requests_per_unit, variance_ratio


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
    squares, expected = variance_ratio(np.zeros(64, dtype=np.int64), np.zeros(64, dtype=np.int64))
    assert squares == expected == 0.0


def test_requests_that_go_one_way_together_are_one_unit() -> None:
    """A thousand users with twenty requests each are a thousand units, whichever groups they fall into."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(200):
        groups, canary = rng.integers(0, 64, 1000), rng.random(1000) < 0.3
        arms = [20 * np.bincount(groups[arm], minlength=64) for arm in (canary, ~canary)]
        found.append(requests_per_unit(*arms))

    assert np.mean(found) == pytest.approx(20.0, rel=0.05)
    assert requests_per_unit(np.full(64, 7), np.full(64, 7)) == 1.0


def test_an_arm_without_requests_shows_no_more_than_one_unit() -> None:
    """Everything went one way, and whether that was one user or many cannot be told."""
    some, none = np.full(64, 3), np.zeros(64, dtype=np.int64)

    assert requests_per_unit(some, none) == requests_per_unit(none, some) == 192.0
    assert requests_per_unit(none, none) == 1.0
