"""What the audit log says when a configuration adds shadows or takes them away."""

from __future__ import annotations

from config.schema import Config
from config.shadows import Shadow
from control.audit.events import AuditEvent
from control.audit.kinds.shadows import (
    ShadowDeploymentCreated,
    ShadowDeploymentStopped,
    ShadowDiffered,
    ShadowGateDecided,
)
from control.guardrails.finding import Verdict
from control.rollout.machine import CONTROLLER, Decision
from control.rollout.records import Record
from control.shadows.gate import ShadowFinding


def shadow_events(before: Config | None, after: Config) -> list[AuditEvent]:
    """An event for each shadow that begins or ends; one that goes to another upstream does both."""
    old, new = _shadows(before), _shadows(after)
    events: list[AuditEvent] = []
    for (route, name), shadow in old.items():
        following = new.get((route, name))
        if following is None or following.upstream != shadow.upstream:
            reason = "left the configuration" if following is None else "goes to another upstream"
            events.append(
                ShadowDeploymentStopped(
                    resource_id=f"{route}/{name}", route=route, variant=shadow.upstream, reason=reason
                )
            )
    for (route, name), shadow in new.items():
        earlier = old.get((route, name))
        if earlier is None or earlier.upstream != shadow.upstream:
            events.append(
                ShadowDeploymentCreated(
                    resource_id=f"{route}/{name}",
                    route=route,
                    variant=shadow.upstream,
                    reason="asked for by the configuration",
                    share=shadow.share,
                )
            )
    return events


def gate_events(record: Record, decision: Decision, finding: ShadowFinding | None) -> list[AuditEvent]:
    """The event of a decision that a shadow's gate led to; none for any other decision."""
    gate = record.plan.step(record.rollout.step).shadow
    if gate is None or finding is None or decision.actor != CONTROLLER:
        return []
    if finding.verdict not in (Verdict.PASS, Verdict.FAIL):
        return []
    latency = finding.figures["latency_ratio"]
    compared, disagreed = finding.figures["compared"], finding.figures["disagreed"]
    events: list[AuditEvent] = [
        ShadowGateDecided(
            resource_id=f"{record.rollout.route}/{gate.shadow}",
            route=record.rollout.route,
            variant=record.rollout.canary,
            reason=finding.reason,
            verdict=finding.verdict.name.lower(),
            compared=compared,
            disagreed=disagreed,
            target=gate.agreement,
            latency_ratio=None if latency is None else latency["median"],
            rollout=record.rollout.id,
        )
    ]
    differing, allowed = disagreed / max(1, compared), 1.0 - gate.agreement
    if finding.verdict is Verdict.FAIL and differing > allowed:
        events.append(
            ShadowDiffered(
                resource_id=f"{record.rollout.route}/{gate.shadow}",
                route=record.rollout.route,
                variant=record.rollout.canary,
                reason=finding.reason,
                share=differing,
                limit=allowed,
            )
        )
    return events


def _shadows(config: Config | None) -> dict[tuple[str, str], Shadow]:
    if config is None:
        return {}
    return {(route.name, shadow.label): shadow for route in config.routes for shadow in route.shadows}
