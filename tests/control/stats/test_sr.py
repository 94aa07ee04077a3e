"""The alarm after promotion."""

from __future__ import annotations

import math

import numpy as np
import pytest

from control.stats.sr import TICKS_TO_FALSE_ALARM, Watch, frozen_limit


def test_statistic_grows_by_one_a_tick_on_average() -> None:
    """At the limit the mean of R less the number of ticks stays zero, which bounds false alarms."""
    rng = np.random.default_rng(7)
    watch = Watch(0.05)
    ticks, finals = 30, []
    for _ in range(1500):
        log_r = watch.begin()
        for _ in range(ticks):
            log_r = watch.absorb(log_r, 20, int(rng.binomial(20, 0.05)))
        finals.append(math.exp(watch.log_value(log_r)))

    # Heavy-tailed, so the median says more than the mean about any one run.
    assert np.median(finals) < ticks
    assert np.mean(finals) < 4 * ticks


def test_a_broken_promotion_is_noticed_at_once() -> None:
    """From healthy for an hour to failing every fifth time: within seconds."""
    watch = Watch(frozen_limit(50, 10_000, 1.2, 0.005))
    log_r = watch.begin()
    for _ in range(3600):
        log_r = watch.absorb(log_r, 100, 0)
    assert watch.log_value(log_r) < math.log(TICKS_TO_FALSE_ALARM)
    seconds = 0
    while watch.log_value(log_r) < math.log(TICKS_TO_FALSE_ALARM):
        log_r = watch.absorb(log_r, 100, 20)
        seconds += 1

    assert seconds <= 3


def test_no_request_no_change() -> None:
    watch = Watch(0.01)

    assert watch.log_value(watch.begin()) == -math.inf
    assert (watch.absorb(watch.begin(), 0, 0) == watch.begin()).all()
    assert watch.limit == 0.01


def test_frozen_limit_allows_for_what_was_not_seen() -> None:
    assert frozen_limit(0, 0, 1.2, 0.005) == pytest.approx(0.605)
    assert frozen_limit(9, 998, 1.2, 0.005) == pytest.approx(0.017)
    assert frozen_limit(100, 100, 2.0, 0.0) == 0.9
