"""The evidence as guardrails see it."""

from __future__ import annotations

import math

import pytest

from control.judgement.evidence import Evidence
from control.judgement.view import EvidenceView, shares
from control.plans.plan import RolloutPlan
from control.stats.process import LOG_FIRST_START, HarmProcess, SafeProcess
from tests.control.feeding import Feeder

PLAN = RolloutPlan.from_config(
    {
        "burst": 0,
        "steps": ["5%", "50%", "100%"],
        "guardrails": [{"kind": "error_rate_rise"}, {"kind": "latency_ratio"}],
    }
)


def test_evidence_that_was_never_kept_is_at_its_beginning() -> None:
    """A guardrail that joins later starts from nothing, not from an error."""
    view = EvidenceView(Evidence.empty(), PLAN)

    for process in PLAN.processes:
        assert (view.values(process) == (LOG_FIRST_START if process.harm else 0.0)).all()
        if isinstance(process, HarmProcess):
            assert view.harm(process) == pytest.approx(LOG_FIRST_START)
        if isinstance(process, SafeProcess):
            assert view.safe(process) == pytest.approx(0.0, abs=1e-12)
    assert view.combined_log_e() == pytest.approx(LOG_FIRST_START)


def test_the_step_decides_how_loose_the_margin_is_and_whether_there_is_control() -> None:
    watched = Feeder(PLAN)
    for _ in range(10):
        watched.tick(50, 50)

    assert [watched.view(step).level for step in (0, 1, 2, None)] == [1, 0, 0, 0]
    assert [watched.view(step).has_control for step in (0, 1, 2, None)] == [True, True, False, True]


def test_no_control_for_fifty_requests_is_no_control() -> None:
    watched = Feeder(PLAN)
    watched.tick(49, 0)
    assert watched.view().has_control
    watched.tick(30, 0)
    assert not watched.view().has_control


def test_thresholds_and_quantiles_are_in_seconds() -> None:
    watched = Feeder(PLAN)
    event = next(event for event in PLAN.events if event.quantile == 0.5)
    assert watched.view().threshold_s(event) is None
    assert watched.view().quantile_s(event, "canary") == (None, None, None)
    watched.tick(100, 100)

    threshold = watched.view().threshold_s(event)
    value, low, high = watched.view().quantile_s(event, "control")

    assert threshold == pytest.approx(0.05, rel=0.05)
    assert value == pytest.approx(0.05, rel=0.03)
    assert low is not None
    assert high is not None
    assert low < high


def test_without_an_enforced_guardrail_nothing_is_combined() -> None:
    plan = RolloutPlan.from_config({"guardrails": [{"kind": "error_rate_rise", "mode": "warn"}]})

    assert shares(plan.guardrails) == [0.0]
    assert EvidenceView(Evidence.empty(), plan).combined_log_e() == 0.0
    assert math.isclose(sum(shares(PLAN.guardrails)), 1.0)
