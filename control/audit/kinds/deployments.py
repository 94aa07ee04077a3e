"""Events of deployments; the resource is the deployment."""

from dataclasses import dataclass, field

from control.audit.events import AuditEvent, Severity


@dataclass(frozen=True, kw_only=True)
class _DeploymentEvent(AuditEvent, abstract=True):
    """What every event about a deployment has in common."""

    resource_type = "deployment"

    route: str
    strategy: str
    release: str
    environment: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class DeploymentCreated(_DeploymentEvent):
    """A release is to be brought to a route."""

    name = "deployment_created"
    action = "create"

    target: str
    baseline: str
    endpoints: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DeploymentMoved(_DeploymentEvent):
    """A deployment has another status, or its strategy another phase."""

    name = "deployment_moved"
    action = "move"

    from_status: str
    to_status: str
    phase: str = ""


@dataclass(frozen=True, kw_only=True)
class DeploymentRolledBack(_DeploymentEvent):
    """All requests are back with what served before; `trigger` is a person, health or a rollout."""

    name = "deployment_rolled_back"
    severity = Severity.ERROR
    action = "roll_back"

    trigger: str
