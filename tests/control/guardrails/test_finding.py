"""Findings and verdicts as values."""

from __future__ import annotations

import json

from control.guardrails.finding import FAMILY_WEIGHTS, Family, Finding, Measure, Mode, Verdict


def test_verdicts_are_ordered_from_best_to_worst() -> None:
    """So that the worst of several is their maximum, and missing data is worse than undecided."""
    assert max(Verdict.PASS, Verdict.INCONCLUSIVE) is Verdict.INCONCLUSIVE
    assert max(Verdict.INCONCLUSIVE, Verdict.NO_DATA) is Verdict.NO_DATA
    assert max(Verdict) is Verdict.FAIL


def test_families_share_one_budget() -> None:
    assert set(FAMILY_WEIGHTS) == set(Family)
    assert sum(FAMILY_WEIGHTS.values()) == 1.0
    assert FAMILY_WEIGHTS[Family.PLUMBING] == 0.0


def test_findings_survive_json() -> None:
    finding = Finding(
        name="errors",
        kind="error_rate_rise",
        mode=Mode.DRY_RUN,
        family=Family.ERRORS,
        verdict=Verdict.NO_DATA,
        unit="share",
        canary=Measure(value=0.1 + 0.2, low=None, high=1 / 3, n=7, events=2),
        reason="because",
    )

    data = json.loads(json.dumps(finding.to_json()))

    assert data["verdict"] == "no_data"
    assert data["mode"] == "dry_run"
    assert Finding.from_json(data) == finding
