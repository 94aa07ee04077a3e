"""How much more keys differ than chance."""

from __future__ import annotations

import numpy as np
import pytest

from control.stats.events import FAILURE, Event, Source
from control.stats.overdispersion import (
    NO_PHI,
    phi_at,
    phi_by_place,
    phi_of,
    requests_per_unit,
    variance_ratio,
)
from proxy.key_times import LEVELS


def test_independent_requests_have_no_overdispersion() -> None:
    """On average the ratio is one; below one it is cut, so that evidence is never blown up."""
    rng = np.random.default_rng(6)
    ratios = []
    for _ in range(200):
        requests = rng.poisson(100, 64)
        squares, expected = variance_ratio(requests, rng.binomial(requests, 0.05))
        ratios.append(squares / expected)

    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)
    assert phi_of(np.array([[100, 100]]), np.array([[5, 5]])) == 1.0


def test_users_that_differ_show() -> None:
    """A few keys with all the failures raise the ratio well above one."""
    requests = np.full(64, 100)
    failures = np.zeros(64, dtype=np.int64)
    failures[:4] = 50

    assert phi_of(requests[None], failures[None]) > 20
    both = np.stack((requests, requests)), np.stack((np.full(64, 3), failures))
    assert phi_of(*both) == phi_of(requests[None], failures[None]), "the larger of both arms' counts"


def test_no_failures_no_statement() -> None:
    assert phi_of(np.full((1, 64), 10), np.zeros((1, 64), dtype=np.int64)) == 1.0
    assert phi_by_place(np.zeros((2, 8, 64), dtype=np.int64)) == NO_PHI
    squares, expected = variance_ratio(np.zeros(64, dtype=np.int64), np.zeros(64, dtype=np.int64))
    assert squares == expected == 0.0


def test_how_slow_keys_are_is_asked_at_each_quantile() -> None:
    """Two groups with all the slowest answers differ in the tail, and in nothing else."""
    groups = np.zeros((2, 8, 64), dtype=np.int64)
    groups[:, 0] = 100
    groups[:, 1] = 1
    groups[:, 2:7] = 20
    groups[0, 6, :2], groups[0, 7, :2] = 0, 20

    failures, *quartiles, p90, p99 = phi_by_place(groups)

    assert p99 > 10
    assert [failures, *quartiles, p90] == [1.0, 1.0, 1.0, 1.0, 1.0]


def test_an_event_has_the_overdispersion_of_its_quantile() -> None:
    """Between two levels the larger one counts; what has no time has that of failures."""
    phi = (9.0, 2.0, 3.0, 4.0, 6.0, 5.0)

    def at(quantile: float, source: Source = Source.TOTAL) -> float:
        return phi_at(phi, Event(source=source, quantile=quantile))

    assert [at(level) for level in LEVELS] == [2.0, 3.0, 4.0, 6.0, 5.0]
    assert (at(0.1), at(0.6), at(0.95), at(0.999)) == (2.0, 4.0, 6.0, 5.0)
    assert (at(0.5, Source.FIRST_TOKEN), phi_at(phi, FAILURE)) == (3.0, 9.0)


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
