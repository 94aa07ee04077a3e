"""Alarms about the comparison: they hold and say why, and never roll back or pass on nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from control.guardrails.base import Guardrail
from control.guardrails.finding import Finding, Verdict
from control.guardrails.load import load_all
from control.plans.plan import RolloutPlan
from control.rollout.gates import ALARM_ENDS, hold_text
from proxy.counters import METRIC_CELLS, METRICS_MAX
from proxy.outcomes import Outcome
from tests.control.feeding import Arm, Feeder

load_all()
LABEL = {"name": "label", "source": "feedback", "range": [0, 1]}
PARAMETERS: dict[str, dict[str, Any]] = {
    "error_rate": {"max": "2%"},
    "shadow_agreement": {"max": "2%"},
    "metric": {"metric": "label", "direction": "higher_is_worse"},
    "feedback_share": {"metric": "label"},
}


def watching(kind: str) -> Feeder:
    guardrails = [{"kind": kind, **PARAMETERS.get(kind, {})}, {"kind": "error_rate_rise"}]
    if kind == "error_rate_rise":
        guardrails = guardrails[:1]
    return Feeder(RolloutPlan.from_config({"guardrails": guardrails}, metrics=[LABEL]))


class Reporting(Arm):
    """An arm some of whose requests are retried, and reported on."""

    retries = 0
    reported = 0

    def counts(self, **more: Any) -> Any:
        metrics = np.zeros((METRICS_MAX, METRIC_CELLS), dtype=np.int64)
        metrics[0, 0] = self.reported
        return super().counts(retries=self.retries, metrics=metrics, **more)


def seconds(watched: Feeder, n: int, happens: dict[str, tuple[int, int]], *, requests: int = 40) -> Finding:
    watched.canary, watched.control = Reporting(), Reporting()
    for _ in range(n):
        for i, arm in enumerate((watched.canary, watched.control)):
            assert isinstance(arm, Reporting)
            aborted = happens.get("aborted", (0, 0))[i]
            arm.serve(requests, aborted=aborted)
            arm.retries += happens.get("retried", (0, 0))[i]
            arm.reported += happens.get("reported", (0, 0))[i]
            overridden = happens.get("overridden", (0, 0))[i]
            arm.started += overridden
            arm.finished += overridden
            arm.outcomes[Outcome.OVERRIDE] += overridden
        watched.report(share=0.5)
    return watched.analyse().findings[0]


@pytest.mark.parametrize(
    ("kind", "what", "broken", "sound"),
    [
        ("retry_share", "retried", (10, 1), (2, 2)),
        ("retry_share", "retried", (1, 10), (2, 2)),
        ("client_abort_share", "aborted", (12, 2), (3, 3)),
        ("client_abort_share", "aborted", (2, 12), (3, 3)),
        ("feedback_share", "reported", (10, 30), (20, 20)),
        ("override_share", "overridden", (30, 0), (2, 0)),
    ],
)
def test_a_difference_holds_and_says_why(
    kind: str, what: str, broken: tuple[int, int], sound: tuple[int, int]
) -> None:
    bad = watching(kind)
    found = seconds(bad, 240, {what: broken})
    analysis = bad.analyse()
    good = seconds(watching(kind), 240, {what: sound})

    assert found.verdict is Verdict.FAIL
    assert found.holds
    assert analysis.verdict is not Verdict.FAIL
    assert kind in analysis.hold_code
    assert "the rollout waits" in analysis.hold
    assert hold_text(analysis) == f"{analysis.hold} ({ALARM_ENDS})"
    assert hold_text(replace(analysis, findings=())) == analysis.hold
    assert good.verdict is Verdict.PASS
    assert not good.holds


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
@pytest.mark.parametrize("quiet", ["nothing", "canary", "control"])
def test_missing_data_never_passes_and_is_never_zero(kind: str, quiet: str) -> None:
    """No kind says yes about an arm it has not heard of, however long it waits."""
    watched = watching(kind)
    first = watched.analyse().findings[0]
    for _ in range(120):
        watched.tick(
            0 if quiet in ("nothing", "canary") else 50,
            0 if quiet in ("nothing", "control") else 50,
            share=0.5,
        )
    found = watched.analyse().findings[0]

    assert first.verdict is Verdict.NO_DATA
    if quiet == "control" and not Guardrail.kinds[kind].compares:
        return
    if kind == "sample_ratio" and quiet != "nothing":
        # That an arm gets nothing at all is what this one is there to see.
        assert found.verdict is Verdict.FAIL
        return
    assert found.verdict is Verdict.NO_DATA
    assert watched.analyse().verdict is not Verdict.PASS
    if quiet != "control":
        assert found.canary.value is None


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
def test_only_what_is_enforced_decides(kind: str) -> None:
    """In warn and dry-run modes a kind is judged by itself, blames nobody and holds nothing up."""
    for mode in ("warn", "dry_run"):
        guardrail = {"kind": kind, "mode": mode, **PARAMETERS.get(kind, {})}
        watched = Feeder(RolloutPlan.from_config({"guardrails": [guardrail], "burst": 0}, metrics=[LABEL]))
        for _ in range(60):
            watched.tick(50, 50, 40, 0, share=0.2)
        analysis = watched.analyse()

        assert analysis.log_e == 0.0
        assert analysis.hold == ""
        assert analysis.culprits in ((), ("breaker",))
        assert analysis.findings[0].mode.name.lower() == mode
