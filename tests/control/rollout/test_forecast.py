"""Forecasts: seeded, consistent with the statistics behind them, and honest about what never happens."""

from __future__ import annotations

import math

import pytest

from control.plans.plan import RolloutPlan
from control.rollout.forecast import forecast, power
from control.rollout.simulate import Traffic

PLAN = RolloutPlan.from_config({"preset": "aggressive", "burst": "0s"})
TRAFFIC = Traffic(requests_per_second=60.0, control_rate=0.01, canary_rate=0.3, seconds=180)


def test_the_same_seed_gives_the_same_forecast() -> None:
    """Gross harm is found in every run, quickly; whoever is as good as control is hardly ever condemned."""
    seen: list[tuple[int, int]] = []
    first = forecast(PLAN, TRAFFIC, weight=0.2, runs=40, seed=7, progress=lambda *at: seen.append(at))
    second = forecast(PLAN, TRAFFIC, weight=0.2, runs=40, seed=7)

    assert first == second
    assert first.detected == 40
    assert first.detection_s is not None
    assert first.detection_s[0] <= first.detection_s[1] < 60
    assert first.false_alarms <= 6
    low, high = first.false_alarm_rate[1:]
    assert low <= first.false_alarms / 40 <= high
    assert [kind for _, kind, _ in first.course][-1] == "rolled_back"
    assert seen[-1] == (540, 540)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert first.to_json()["false_alarm_rate"]["value"] == first.false_alarms / 40


def test_power_orders_what_can_be_ordered() -> None:
    """No test undercuts the limit; smaller effects take longer; no effect is never found."""
    small = power(PLAN, control_rate=0.01, canary_rate=0.02, weight=0.05, requests_per_second=100.0)
    large = power(PLAN, control_rate=0.01, canary_rate=0.10, weight=0.05)
    none = power(PLAN, control_rate=0.01, canary_rate=0.01, weight=0.05)

    assert small.rollback_least < small.rollback
    assert large.rollback < small.rollback / 5
    assert math.isinf(none.rollback)
    assert none.to_json()["rollback"] == {"canary_requests": None, "seconds": None}
    plain = small.to_json()
    assert plain["rollback"]["seconds"] == pytest.approx(small.rollback / 5.0)
    assert large.to_json()["rollback"]["seconds"] is None
