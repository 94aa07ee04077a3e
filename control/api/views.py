"""What the API shows of rollouts: plain JSON, with a word where there is no number."""

from typing import Any

import orjson

from control.audit.canonical import canonical
from control.judgement.analysis import Analysis
from control.judgement.needs import Need, needs
from control.plane import Plane
from control.plans.conditions import Outside
from control.plans.describe import describe_plan, describe_steps
from control.rollout.commands import allowed
from control.rollout.gates import Gate, gates, gates_to_begin
from control.rollout.machine import State
from control.rollout.records import Record
from control.store.rollouts import Quarantine, StoredRollout


def rollout_view(plane: Plane, record: Record) -> dict[str, Any]:
    """A rollout in charge of its route: where it stands, what it waits for, what the evidence says."""
    ledger, now = plane.ledger, plane.controller.clock.steady()
    rollout, plan = record.rollout, record.plan
    quarantine = ledger.quarantine.get(record.subject)
    outside = plane.loop.outside(record)
    deployment = ledger.deployments.get(rollout.route)
    step = plan.steps[min(rollout.step, len(plan.steps) - 1)]
    # The time spent under judgement: a pause does not count.
    elapsed = None
    if record.judged and rollout.step_started_at is not None:
        elapsed = max(0.0, (rollout.paused_at or now) - rollout.step_started_at)
    return {
        "id": rollout.id,
        "route": rollout.route,
        "stable": rollout.stable,
        "canary": rollout.canary,
        "release": record.release,
        "current": record.current,
        "deployment": deployment.id if deployment is not None and record.current else "",
        "state": rollout.state.name.lower(),
        "reason": rollout.reason,
        "paused_by": rollout.paused_by,
        "held": rollout.held,
        "weight": 0.0 if quarantine is not None else record.weight,
        "step": rollout.step,
        "steps": describe_steps(plan),
        "step_seconds": elapsed,
        "seconds_left": None if elapsed is None else max(0.0, step.duration_s - elapsed),
        "expires_in_seconds": None
        if elapsed is None or plan.expiry_s <= 0 or outside.frozen(plan.freezes) is not None
        else max(0.0, plan.expiry_s - elapsed),
        "gates": [
            {"name": gate.name, "met": gate.met, "text": gate.text} for gate in _gates(record, now, outside)
        ],
        "verdict": verdict_of(record),
        "analysis": None if record.analysis is None else plain_analysis(record.analysis),
        "needs": [need.to_json() for need in _needs(plane, record, now)],
        "problem": plane.loop.problems.get(rollout.route, ""),
        "quarantine": None if quarantine is None else quarantine_view(quarantine),
        "commands": []
        if deployment is not None and deployment.finished
        else [str(verb) for verb in allowed(record, quarantined=quarantine is not None)],
        "stage": record.stage,
        "epoch": rollout.epoch,
        "identity": record.identity,
        "config_digest": record.config_digest,
        "plan": describe_plan(plan),
        "created_at": rollout.created_at,
        "started_at": rollout.started_at,
        "step_started_at": rollout.step_started_at,
        "finished_at": rollout.finished_at,
    }


def _gates(record: Record, now: float, outside: Outside) -> tuple[Gate, ...]:
    """What it waits for: to leave its step, or to begin."""
    if record.judged:
        return gates(record.rollout, record.plan, record.analysis, now, outside)
    return gates_to_begin(record.plan, outside) if record.rollout.state is State.PENDING else ()


def _needs(plane: Plane, record: Record, now: float) -> tuple[Need, ...]:
    """What undecided guardrails need, with the time it takes at the pace of the last minute."""
    if record.analysis is None or not record.judged:
        return ()
    recent = plane.loop.window.recent(now, plane.ledger.collector.totals())
    answered = sum(
        counts.finished
        for key, counts in recent.counts.items()
        if key.route == record.rollout.route and key.role == "canary"
    )
    pace = answered / recent.seconds if recent.seconds > 0 else None
    return needs(record.analysis, requests_per_second=pace)


def past_rollout_view(row: StoredRollout) -> dict[str, Any]:
    """A rollout that no longer decides anything."""
    document: dict[str, Any] = orjson.loads(row.document)
    return document | {
        "release": row.release,
        "current": row.current,
        "weight": 0.0,
        "stage": row.stage,
        "identity": row.identity,
        "config_digest": row.config_digest,
        "plan": orjson.loads(row.plan)["source"],
        "verdict": "not_judged",
        "analysis": None,
        "gates": [],
        "needs": [],
        "commands": [],
    }


def plain_analysis(analysis: Analysis) -> dict[str, Any]:
    """An analysis as JSON reads it back: an infinite figure has become null."""
    plain: dict[str, Any] = orjson.loads(canonical(analysis.to_json()))
    return plain


def verdict_of(record: Record) -> str:
    """The verdict on a canary; what is not judged now says so."""
    if record.rollout.state is State.ROLLED_BACK:
        return "fail"
    if not record.judged:
        return "not_judged"
    if record.analysis is None:
        return "no_data"
    return "not_judged" if record.analysis.unjudged else record.analysis.verdict.name.lower()


def quarantine_view(row: Quarantine) -> dict[str, Any]:
    """A condemned release; `since` in Unix seconds."""
    return {
        "subject": row.subject,
        "route": row.route,
        "variant": row.variant,
        "release": row.release,
        "rollout": row.rollout_id,
        "decision": row.decision_id,
        "deployment": row.deployment_id,
        "reason": row.reason,
        "since": row.since,
    }
