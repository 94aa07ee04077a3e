"""Events of shadow deployments; the resource is the route with its shadow."""

from dataclasses import dataclass

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class _ShadowEvent(AuditEvent, abstract=True):
    """What every event about a shadow has in common."""

    resource_type = "shadow"

    route: str
    variant: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ShadowDeploymentCreated(_ShadowEvent):
    """A variant gets copies of requests from here on; its answers are compared and never returned."""

    name = "shadow_deployment_created"
    action = "create"

    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ShadowDeploymentStopped(_ShadowEvent):
    """A shadow gets no more copies."""

    name = "shadow_deployment_stopped"
    action = "stop"


@dataclass(frozen=True, kw_only=True)
class ShadowDiffered(_ShadowEvent):
    """The answers of a shadow differ from those of the variant it is compared with by more than allowed."""

    name = "shadow_differed"
    severity = Severity.WARNING
    action = "compare"

    share: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ShadowGateDecided(_ShadowEvent):
    """The gate from shadow to canary was passed, or failed for good, by these figures."""

    name = "shadow_gate_decided"
    action = "decide"

    verdict: str
    compared: int
    disagreed: int
    target: float
    latency_ratio: float | None = None
    rollout: str = ""
