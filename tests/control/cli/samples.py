"""What the admin interface answers, made from the values of the control plane, so that both stay alike."""

from __future__ import annotations

from typing import Any

from control.analysis import Analysis
from control.guardrails.finding import Family, Finding, Measure, Mode, Verdict
from control.rollout import Decision, DecisionKind, State

DECISION_ID = "d-" + "0" * 25 + "7"


def finding(verdict: Verdict = Verdict.FAIL) -> Finding:
    """The error-rate guardrail after 23 failures in 440 canary requests."""
    return Finding(
        name="error_rate_rise",
        kind="error_rate_rise",
        mode=Mode.ENFORCE,
        family=Family.ERRORS,
        verdict=verdict,
        unit="share",
        canary=Measure(value=23 / 440, low=0.03, high=0.08, n=440, events=23),
        control=Measure(value=0.0, low=0.0, high=0.01, n=438, events=0),
        threshold=0.01,
        log_e=7.2,
        weight=1.0,
        reason="the canary fails more often than control",
    )


def analysis(verdict: Verdict = Verdict.FAIL) -> Analysis:
    """What stands behind a rollback."""
    return Analysis(
        at=1.7e9,
        verdict=verdict,
        reason="error_rate_rise: 5.2 % against 0 %",
        culprits=("error_rate_rise",) if verdict is Verdict.FAIL else (),
        log_e=7.2,
        threshold=100.0,
        anytime_p=0.0007,
        findings=(finding(verdict),),
        step_requests=440,
        in_flight=(2, 1),
        one_look={
            "confidence": 0.95,
            "canary": {"n": 440, "x": 23, "wilson": [0.034, 0.077]},
            "control": {"n": 438, "x": 0, "wilson": [0.0, 0.009]},
            "difference": {"newcombe": [0.03, 0.08], "wald": [0.03, 0.08]},
            "z": 4.85,
            "p": 1e-6,
        },
        latency={
            "canary": {"total": {"p99": [0.03, 0.02, 593.2]}},
            "control": {"total": {"p99": [0.028, 0.019, 0.06]}},
        },
        needed=None if verdict is Verdict.FAIL else 120,
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
        "analysis": analysis(Verdict.INCONCLUSIVE).to_json() if judged else None,
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
                "diverting": [],
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
