"""The canary's error rate must stay below a limit."""

from __future__ import annotations

import math
from typing import Any

import pytest

from control.guardrails.base import Defaults, GuardrailConfigError
from control.guardrails.error_rate import ErrorRate
from control.guardrails.finding import Finding, Mode, Verdict
from tests.control.feeding import Feeder

PLAN = {"burst": 0, "guardrails": [{"kind": "error_rate", "max": "2%"}]}


def finding(feeder: Feeder, step: int | None = None) -> Finding:
    (guardrail,) = feeder.plan.guardrails
    return guardrail.judge(feeder.view(step), 1.0)


def test_above_the_limit_and_worse_than_control_fails() -> None:
    watched = Feeder(PLAN)
    for _ in range(60):
        watched.tick(50, 50, 4, 0)

    found = finding(watched)

    assert found.verdict is Verdict.FAIL
    assert "above the limit of 2.00 %" in found.reason
    assert found.threshold == 0.02


def test_a_fault_that_both_arms_share_holds() -> None:
    """Control breaks the limit as well: no rollback, no promotion, and it says why."""
    watched = Feeder(PLAN)
    for _ in range(60):
        watched.tick(50, 50, 8, 8)

    found = finding(watched)

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.holds
    assert "a fault both share" in found.reason
    assert found.log_e < math.log(100)


def test_without_control_the_limit_alone_counts() -> None:
    """At full weight there is nobody to share a fault with."""
    watched = Feeder({**PLAN, "steps": ["50%", "100%"]})
    for _ in range(60):
        watched.tick(100, 0, 6, 0)

    assert finding(watched, step=1).verdict is Verdict.FAIL
    assert not finding(watched, step=1).holds


def test_below_the_limit_is_shown() -> None:
    watched = Feeder(PLAN)
    assert finding(watched).verdict is Verdict.NO_DATA
    watched.tick(50, 50)
    assert finding(watched).verdict is Verdict.INCONCLUSIVE
    assert finding(watched).needed is not None
    for _ in range(20):
        watched.tick(50, 50)

    assert finding(watched).verdict is Verdict.PASS
    assert finding(watched).needed == 0


def test_control_need_not_be_there() -> None:
    """It is a condition on the canary; data of the canary suffice."""
    watched = Feeder(PLAN)
    for _ in range(20):
        watched.tick(50, 0)

    assert finding(watched).verdict is Verdict.PASS
    assert not ErrorRate.compares


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [({}, "missing"), ({"max": 0}, "no limit"), ({"max": "95%"}, "no limit"), ({"max": "x"}, "not a share")],
)
def test_unusable_limits_are_named(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(GuardrailConfigError, match=problem) as caught:
        ErrorRate.from_config(parameters, name="x", mode=Mode.ENFORCE, defaults=Defaults())

    assert caught.value.path == ("max",)
