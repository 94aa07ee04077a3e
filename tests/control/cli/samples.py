"""What the admin interface answers, made from the values of the control plane, so that both stay alike."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from control.guardrails.finding import Verdict
from control.judgement.analysis import Analysis, analyse
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.observation import observe
from control.plans.plan import RolloutPlan
from control.rollout.machine import Decision, DecisionKind, State
from proxy.histogram import BUCKETS, bucket_index
from proxy.outcomes import Outcome

PLAN = RolloutPlan.from_config({"preset": "aggressive", "steps": [0.1, 0.25, 1.0]})
DECISION_ID = "d-" + "0" * 25 + "7"


@cache
def analysis(*, bad: bool = True) -> Analysis:
    """What really comes of 46 failures in 880 canary requests, or of none in the first 40, against none."""
    answered, failed = (880, 46) if bad else (40, 0)
    evidence = Evidence.empty()
    # Evenly over two minutes: trouble of a moment would not condemn a build.
    for second in range(0, 121, 5):
        evidence = observe(
            evidence,
            PLAN,
            stage="s",
            canary=_arm(answered * second // 120, failed * second // 120),
            control=_arm(answered * second // 120, 0),
            now=float(second),
        )
    found = analyse(evidence, PLAN, 120.0, step=0)
    assert (found.verdict is Verdict.FAIL) is bad, found.reason
    return found


def _arm(answered: int, failed: int) -> ArmCounts:
    total = np.zeros(BUCKETS, dtype=np.int64)
    total[bucket_index(4000)] = answered - failed
    outcomes = tuple(
        {Outcome.OK: answered - failed, Outcome.STREAM_ERROR: failed}.get(outcome, 0) for outcome in Outcome
    )
    return ArmCounts(
        started=answered, finished=answered, failed=failed, outcomes=outcomes, total=total, first_byte=total
    )


def decision(kind: DecisionKind = DecisionKind.ROLLED_BACK, *, judged: bool = True) -> dict[str, Any]:
    """A decision as the API gives it."""
    made = Decision(
        kind=kind,
        rollout="r-1",
        route="fraud",
        at=1.7e9,
        actor="controller" if judged else "alice",
        reason="error_rate_rise: 5.2 % against 0 %" if judged else "asked for by alice",
        from_state=State.PROGRESSING,
        to_state=State.ROLLED_BACK,
        from_step=1,
        to_step=1,
        from_weight=0.25,
        to_weight=0.0,
        analysis=analysis() if judged else None,
    )
    extra = {"id": DECISION_ID, "at": "2023-11-14T22:13:20.000000Z", "canary": "v2", "revision": 12}
    return {**made.to_json(), **extra, "config_digest": "sha256:00"}


def rollout(state: str = "progressing", **changes: Any) -> dict[str, Any]:
    """A rollout as the API gives it."""
    judged = state in ("progressing", "paused")
    return {
        "id": "r-1",
        "route": "fraud",
        "stable": "v1",
        "canary": "v2",
        "release": "fraud:v2",
        "state": state,
        "reason": "",
        "paused_by": "alice" if state == "paused" else "",
        "weight": {"promoted": 1.0, "progressing": 0.25, "paused": 0.25}.get(state, 0.0),
        "step": 1,
        "steps": [{"weight": weight} for weight in (0.1, 0.25, 1.0)],
        "step_seconds": 75.0 if judged else None,
        "expires_in_seconds": 3600.0 if judged else None,
        "gates": [
            {"name": "time", "met": True, "text": "75 s of 30 s at 25 % of requests"},
            {"name": "evidence", "met": False, "text": "120 more canary requests"},
        ]
        if judged
        else [],
        "verdict": "inconclusive",
        "analysis": analysis(bad=False).to_json() if judged else None,
        "needs": [
            {"guardrail": "error_rate_rise", "verdict": "inconclusive", "requests": 120, "seconds": 40.0}
        ]
        if judged
        else [],
        "problem": "",
        "quarantine": None,
        "decisions": [],
        **changes,
    }


def status() -> dict[str, Any]:
    """The whole picture with one route."""
    latency = {"state": "ok", "n": 900, "p50": 0.004, "p95": 0.012, "p99": 0.03}
    recent = {"failure_rate": 0.001, "requests_per_second": 30.0, "latency": latency}
    return {
        "process": {"version": "0.1.0", "uptime_seconds": 125.0},
        "revision": 12,
        "config": {"digest": "sha256:0123456789abcdef", "source": "/etc/headgate/headgate.yaml"},
        "nodes": [{"node": "a", "revision": 12, "heard_seconds_ago": 0.2}],
        "routes": [
            {
                "name": "fraud",
                "split": "canary",
                "diverting": 0,
                "variants": [
                    {
                        "name": "v2",
                        "roles": ["canary"],
                        "release": "fraud:v2",
                        "set_weight": 0.25,
                        "observed_weight": 0.247,
                        "verdict": "inconclusive",
                        "last_minute": recent,
                        "total": {"requests": 4711},
                    }
                ],
            }
        ],
        "rollouts": [rollout()],
    }


def deployment() -> dict[str, Any]:
    """One without a rollout, rolled back for its health, as the API gives it."""
    figures = {"requests": 0, "failures": 0, "failure_rate": None, "p50": None, "p95": None, "p99": None}
    why, at = "no endpoint answers", 1_700_000_000.0
    return {
        "id": "p-1",
        "route": "bg",
        "strategy": "blue_green",
        "target": "green",
        "baseline": "blue",
        "release": "",
        "environment": "production",
        "endpoints": ["http://127.0.0.1:9"],
        "status": "rolled_back",
        "reason": why,
        "rollout": "",
        "rollback_reason": why,
        "rollback_trigger": "health",
        "created_at": at,
        "created_by": "alice",
        "health": "unhealthy",
        "health_text": why,
        "history": [{"at": at, "health": "unhealthy", "text": why}],
        "before": figures,
        "now": figures,
        "moves": [{"at": at, "status": "rolled_back", "actor": "controller", "reason": why}],
    }
